package shadow

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// CompareOptions bound what a [Comparer] does.
type CompareOptions struct {
	// Hosts are names of the systems that are compared, with ports where they have
	// one ("127.0.0.1:8301"): where they stand in a value they are taken for the
	// same.
	Hosts []string
	// MaxDifferences is how many differences of two answers are listed, 64 unless
	// given; what is more becomes one of the kind [TooMany].
	MaxDifferences int
	// Recorded says that the baseline's answers are those of a recording, which has
	// pseudonyms in place of secrets: of these no more is known than their type.
	Recorded bool
	// Private tells places of JSON whose strings may be secret, so that no place tells a
	// word of theirs: [Redactor.Private], or nil where none is declared. Those with the
	// name of a secret are in any case.
	Private func(place string) bool
}

// maxDifferences is the default of CompareOptions.
const maxDifferences = 64

// Comparer compares answers. It may be used by several goroutines at once.
type Comparer struct {
	rules   Rules
	options CompareOptions
	headers headerTable
	routes  routeRules
	names   nameCache // of words and fields
}

// NewComparer makes a comparer, or says which rule is wrong.
func NewComparer(rules Rules, options CompareOptions) (*Comparer, error) {
	if err := rules.check(); err != nil {
		return nil, err
	}
	if options.MaxDifferences <= 0 {
		options.MaxDifferences = maxDifferences
	}
	c := &Comparer{rules: rules, options: options, headers: newHeaderTable(rules.Headers)}
	c.routes.rules, c.routes.met = rules, newMetRules(rules)
	return c, nil
}

// Unmet tells the rules that ignore, tolerate or name keys and that no difference or
// list met, as plans write them: "ignore: body.at of GET /orders".
func (c *Comparer) Unmet() []string { return c.routes.unmet() }

// unmetRules warns of rules that nothing met, where anything was compared.
func unmetRules(c *Comparer, f *Findings) (warnings []string) {
	for _, e := range f.Unused() {
		warnings = append(warnings, fmt.Sprintf("nothing met the expectation of %s %s (%s): take it out if the change is done", e.Place, e.Route, e.Why))
	}
	if !f.any() {
		return warnings
	}
	for _, rule := range c.Unmet() {
		warnings = append(warnings, fmt.Sprintf("nothing met %s: take it out if nothing differs there any more, or see how the field is called", rule))
	}
	return warnings
}

// comparisons keeps the memory of comparisons.
var comparisons = sync.Pool{New: func() any { return &comparison{seen: map[string]*spot{}} }}

// Compare tells in which ways the candidate's answer to a request differs from the
// baseline's, at most once for each place and kind. Nothing means that the two are
// known to be the same, as far as the rules look.
//
// Answers whose statuses are of different hundreds are not compared further: all
// of an error differs from all of a product.
func (c *Comparer) Compare(route string, baseline, candidate Response) []Difference {
	r := comparisons.Get().(*comparison)
	defer r.release()
	r.comparer, r.rules, r.most = c, c.routes.of(route), c.options.MaxDifferences
	r.made = [2]moment{madeAt(baseline), madeAt(candidate)}
	if !r.status(baseline, candidate) {
		return r.found
	}
	if c.headless(baseline) || c.headless(candidate) {
		return r.found
	}
	r.allHeaders(baseline, candidate)
	if c.options.Recorded && baseline.Body.unknown() {
		return r.found
	}
	r.at("body")
	r.body(baseline, candidate)
	return r.found
}

// status compares the status lines, and tells whether to look further.
func (r *comparison) status(a, b Response) bool {
	r.at(statusPlace)
	switch {
	case a.Status == 0 && b.Status == 0:
		r.differ(Undecidable, []byte(a.Failure), []byte(b.Failure))
		return false
	case a.Status == 0 || b.Status == 0:
		r.differ(Failed, outcome(a), outcome(b))
		return false
	case a.Status != b.Status:
		r.differ(Changed, outcome(a), outcome(b))
	}
	return a.Status/100 == b.Status/100
}

// outcome is the status of an answer, or why there is none.
func outcome(r Response) []byte {
	switch {
	case r.Status != 0:
		return strconv.AppendInt(nil, int64(r.Status), 10)
	case r.Failure == "":
		return []byte("no answer")
	}
	return []byte(r.Failure)
}

// comparison is one under way. Its place is where it looks now.
type comparison struct {
	comparer *Comparer
	rules    *ruleSet
	most     int
	place    []byte
	seen     map[string]*spot // by place and kind
	found    []Difference
	full     bool      // nothing more is listed
	whole    bool      // the bodies can only be compared as a whole
	in       *inString // that words are compared of, nil for none
	secrecy  placeSecrecy

	differed  bool      // something was noted, perhaps for a rule that leaves it out
	embedded  bool      // the JSON is in something else
	sentenced int       // strings of which words were compared
	made      [2]moment // when

	a, b   *jsonTree
	texted [2]parted
	kids   []int32 // room for the children of lists and objects
}

// spot is what is known of differences of a kind at a place: which rules they
// meet, and which of them were listed.
type spot struct {
	ignored  bool
	tolerate []*Tolerance
	expect   []int // numbers of expectations
	listed   []int // for which expectations one is listed; 0 stands for none
}

// maxSpots bounds the memory for places of one comparison.
const maxSpots = 4096

func (r *comparison) release() {
	clear(r.seen)
	*r = comparison{seen: r.seen, place: r.place[:0], kids: r.kids[:0], texted: r.texted}
	if cap(r.kids) > 1<<16 {
		r.kids = nil
	}
	comparisons.Put(r)
}

// at goes to a place.
func (r *comparison) at(place string) { r.place = append(r.place[:0], place...) }

// differ notes a difference at the place, unless a rule or an earlier one makes
// it needless.
func (r *comparison) differ(kind Kind, a, b []byte) {
	r.differed = true
	if r.in != nil {
		kind = r.in.kind(kind)
	}
	if r.full || hidden(kind, a) || r.comparer.options.Recorded && hiddenNumber(string(r.place), kind, a) {
		return
	}
	s := r.spot(kind)
	if s == nil || s.ignored || s.tolerates(kind, a, b) {
		return
	}
	expected := r.comparer.rules.expected(s.expect, a, b)
	if r.in != nil {
		if expected == 0 {
			expected = r.comparer.rules.expected(s.expect, r.in.a, r.in.b)
		}
		a, b = r.in.shown(a, b)
	}
	for _, listed := range s.listed {
		if listed == expected {
			return
		}
	}
	s.listed = append(s.listed, expected)
	if len(r.found) >= r.most {
		r.overflow()
		return
	}
	r.found = append(r.found, Difference{
		Place: string(r.place), Kind: kind, Baseline: excerpt(a), Candidate: excerpt(b), whole: r.whole, expected: expected,
	})
}

// hidden tells whether the baseline's value is not known, because a recording has a
// pseudonym in its place.
func hidden(kind Kind, value []byte) bool {
	switch kind {
	case Changed, Type, Format, Encoding, ID:
		return len(value) <= maxHidden && hasPseudonym(string(value))
	}
	return false
}

// hiddenNumber tells whether a recording has another number in the place of the
// baseline's.
func hiddenNumber(place string, kind Kind, value []byte) bool {
	if kind != Changed && kind != Format || len(value) == 0 || !isDigit(value[0]) && value[0] != '-' {
		return false
	}
	name, listed := strings.CutSuffix(numberPlace(place), "[]")
	return secretNumbers(name[strings.LastIndexByte(name, '.')+1:], listed).takes(string(value))
}

// maxHidden is how long a value with a pseudonym may be, in bytes: of a longer one
// the rest counts.
const maxHidden = 1024

// overflow lists that there is more.
func (r *comparison) overflow() {
	r.full = true
	r.found = append(r.found, Difference{Place: "body", Kind: TooMany})
}

// spot finds what is known of the place, nil when there are too many.
func (r *comparison) spot(kind Kind) *spot {
	length := len(r.place)
	key := append(append(r.place, 0), kind...)
	r.place = key[:length]
	if s := r.seen[string(key)]; s != nil {
		return s
	}
	if len(r.seen) >= maxSpots {
		r.overflow()
		return nil
	}
	s := r.rules.spot(string(r.place), kind)
	r.seen[string(key)] = s
	return s
}

// maxExcerpt is the length of a value in a difference, in bytes.
const maxExcerpt = 100

// excerpt gives the beginning of a value, never half a character.
func excerpt(value []byte) string {
	if len(value) <= maxExcerpt {
		return string(value)
	}
	end := maxExcerpt - len("…")
	for end > maxExcerpt-8 && value[end]&0xC0 == 0x80 {
		end--
	}
	return string(value[:end]) + "…"
}
