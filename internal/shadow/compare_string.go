package shadow

import "bytes"

// inString is a string of JSON of which words are compared: the baseline's and the
// candidate's, as they stand there. Reports show these, as long as they are short, and
// an expectation of a value may be of these.
type inString struct{ a, b []byte }

// sentences compares two strings of JSON that are not the same. Where both are texts of
// several words, of which a third at least are in both, words have places as those of
// other texts have; otherwise the string is one value.
func (r *comparison) sentences(a, b, rawA, rawB []byte) {
	a, b = r.comparer.withoutHosts(a), r.comparer.withoutHosts(b)
	if bytes.Equal(a, b) || r.urls(a, b, rawA, rawB) || r.moments(a, b, rawA, rawB) || r.jsonWithin(a, b, rawA, rawB) {
		return
	}
	if kind := kindOf(a, b); kind != Changed || r.in != nil || !isSentence(a) || !isSentence(b) ||
		r.comparer.options.Recorded && hasPseudonym(string(a)) || r.private() || !r.words(a, b, &inString{rawA, rawB}) {
		r.differ(kind, rawA, rawB)
	}
}

// jsonWithin compares two strings that are objects or lists of JSON, as bodies are: a time
// in one hides nothing beside it. It reports whether they are.
func (r *comparison) jsonWithin(a, b, rawA, rawB []byte) bool {
	if r.in != nil || !looksJSON(a) || !looksJSON(b) || r.private() {
		return false
	}
	if r.sentenced++; r.sentenced > maxSentences {
		return false
	}
	differs, are := r.embeddedJSON(a, b)
	if are && !differs {
		r.differ(Format, rawA, rawB)
	}
	return are
}

// placeSecrecy is whether the strings at a place may be secrets: that of the last place
// where it was asked, as items of a list have one and the same.
type placeSecrecy struct {
	place   string
	private bool
}

// private reports whether the string here may be a secret.
func (r *comparison) private() bool {
	if s := &r.secrecy; s.place != string(r.place) {
		s.place = string(r.place)
		declared := r.comparer.options.Private
		s.private = Shown(s.place, "a text") == redactedText || declared != nil && declared(s.place)
	}
	return r.secrecy.private
}

// maxSentences is how many strings of a body are compared by words; each other one is a
// value, so that a body of many small ones takes no longer than others.
const maxSentences = 1 << 14

// isSentence tells texts of several words from JSON, and from what has no words.
func isSentence(text []byte) bool {
	return bytes.IndexByte(text, ' ') > 0 && !looksJSON(text)
}

// words compares two strings word by word, if they have enough words in common.
func (r *comparison) words(a, b []byte, of *inString) bool {
	if r.sentenced++; r.sentenced > maxSentences {
		return false
	}
	form := formPlain
	if a[0] == '<' && b[0] == '<' {
		form = formMarkup
	}
	room := &r.texted
	if r.embedded {
		room = new([2]parted) // that one is the page's
	}
	t, spans := r.aligned(room, a, b, "", "", form)
	defer t.release()
	other := 0
	for _, s := range spans {
		other += int(s.a1 - s.a0)
	}
	if len(spans) == 0 || 3*(len(t.a.parts)-other) < max(len(t.a.parts), len(t.b.parts)) {
		return false
	}
	place := string(r.place)
	r.in = of
	t.compare(spans)
	r.in = nil
	r.at(place)
	return t.anything
}

// kind is that of a difference between words: one that the other string has not, or
// elsewhere, is a change of the string.
func (s *inString) kind(kind Kind) Kind {
	switch kind {
	case Missing, Added, Order:
		return Changed
	}
	return kind
}

// shown are the values that are told of a difference between two words.
func (s *inString) shown(a, b []byte) (x, y []byte) {
	if len(s.a) > maxExcerpt || len(s.b) > maxExcerpt {
		return a, b
	}
	return s.a, s.b
}
