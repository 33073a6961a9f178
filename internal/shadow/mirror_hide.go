package shadow

import (
	"encoding/json"
	"mime"
	"slices"
	"strings"
)

// mirrorHide takes what is secret in one exchange out of the examples that it gives.
// The answers were compared as they are: which differ, and where, is no secret, but
// what stands there may be.
type mirrorHide struct {
	r       *Redactor
	request Request
	answers []Response

	secrets *redaction // what was sent and answered as such; nil until it is looked for
	unread  bool       // of a body that can not be searched nothing is shown
}

// hide gives a value as it may be shown.
func (h *mirrorHide) hide(place, value string) string {
	nodes, all := h.r.hides(place)
	if h.secrets == nil {
		h.search()
	}
	switch name, header := strings.CutPrefix(place, "header "); {
	case all:
		return redactedText
	case header && !strings.HasSuffix(name, "cookie"): // of these only names are compared
		value = h.secrets.headerValue(name, value)
	case header:
	case place == statusPlace:
		value = h.secrets.url(value)
	case h.unread || h.unplaced(place) || hiddenNumber(place, Changed, []byte(value)):
		return redactedText
	default:
		value = h.secrets.inner(h.secrets.begun(value, nodes))
	}
	return Shown(place, h.secrets.conceal(h.secrets.shapedText(value)))
}

// search finds the secrets of all that was sent and answered.
func (h *mirrorHide) search() {
	h.secrets = &redaction{r: h.r}
	h.secrets.header(h.request.Header)
	h.secrets.url(h.request.Target)
	for _, a := range h.answers {
		h.secrets.header(a.Header)
	}
	h.body(h.request.Body, h.request.Header.Get("Content-Type"))
	for _, a := range h.answers {
		h.unread = h.body(a.Body, a.Header.Get("Content-Type")) || h.unread
	}
}

// body finds the secrets of a body, and reports whether it can not be searched.
func (h *mirrorHide) body(b Body, media string) (unread bool) {
	return strings.HasPrefix(h.secrets.body(b, media).Digest, keyedDigest)
}

// unplaced reports whether a value is of JSON that was compared as a text, and may be
// one that was declared.
func (h *mirrorHide) unplaced(place string) bool {
	return h.r.strict && strings.Contains(place, textMark) && slices.ContainsFunc(h.answers, func(a Response) bool { return a.unplaces(place) })
}

// unplaces reports whether the place of a word may be anywhere in an answer, as it is
// JSON that was compared as a text. In a string of JSON that can be read it is not.
func (a Response) unplaces(place string) bool {
	media, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	return isJSON(media, a.Body.Data) && (strings.HasPrefix(place, "body"+textMark) || !json.Valid(withoutBOM(a.Body.Data)))
}

// inner redacts JSON within a string of JSON.
func (w *redaction) inner(value string) string {
	if text := unquotedValue([]byte(value)); !strings.HasPrefix(value, `"`) || !mayBeJSON(text) {
		if rest := strings.TrimLeft(value, `" `); !strings.HasPrefix(value, `"`) || rest == "" || rest[0] != '{' && rest[0] != '[' {
			return value
		}
	} else if clean, err := w.json(text); err == nil {
		quoted, _ := json.Marshal(string(clean)) // a string can always be written
		return string(quoted)
	}
	return redactedText
}

// numberPlace is a place as if it were one of JSON.
func numberPlace(place string) string {
	if before, word, is := strings.Cut(place, textMark); is {
		word = word[:strings.IndexAny(word+"+", "+(")]
		return before + "." + word[strings.LastIndex(word, pairMark)+1:]
	}
	return place
}
