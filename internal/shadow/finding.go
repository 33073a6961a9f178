package shadow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"resilience/gates/evidence"
)

// Observed is what one exchange showed. Exchanges without any difference are to be
// told as well: shares are of all of them.
type Observed struct {
	// At is when it was asked now, not when it was recorded; the zero time stands
	// for this moment. What happens within one block of time (see
	// [FindingOptions]) is taken to have one cause.
	At    time.Time
	Route string
	// Session is who asked: of what one session shows at a field, one answer counts,
	// because those after it may differ for the same reason. "" where nobody knows,
	// or where nothing is written, so that no answer depends on an earlier one: then
	// each counts for itself.
	Session string
	// Asker is who asked, also where each answer counts for itself: until it turns out
	// that at a field those of one asker all differ alike, in the candidate or in noise.
	Asker   string
	Request Request
	Trace   string // the id of a trace, if there is one
	// Candidate is what [Comparer.Compare] says of an answer of the baseline and
	// one of the candidate.
	Candidate []Difference
	// Noise is what it says of the same answer of the baseline and a second one of
	// the baseline, from another instance or asked again. It counts if Paired.
	//
	// In place of the baseline's answer the recorded one may stand, in both: then
	// what changed since the recording differs in both. And the noise may be that
	// of another request of the route, as long as it is each time another one.
	Noise  []Difference
	Paired bool
	// Hide takes secrets out of a value at a place that is kept as an example; nil
	// where there are none. It is called while the findings are locked, for few
	// exchanges.
	Hide func(place, value string) string
}

// Example is one exchange that a finding rests on.
type Example struct {
	At                  time.Time
	Request             string // method and target, without the values of its query
	Baseline, Candidate string // what stood there, cut after 100 bytes
	Trace               string
}

// Finding is what is known of one kind of differences at one place of a route.
type Finding struct {
	Route string
	Place string
	Kind  Kind
	Class Class

	Pairs          uint64 // exchanges of the route in which candidate and baseline were compared
	Differing      uint64 // of those, the ones with this difference
	NoisePairs     uint64 // exchanges of the route in which the baseline was compared with itself
	NoiseDiffering uint64 // of those, the ones with this difference

	// Evidence is that the candidate differs more often than noise does. It is a
	// regression if it is certain for the error rate Alpha, which is this field's
	// part of that of all. Both are zero where nothing is tested: of what is
	// expected or undecidable.
	Evidence evidence.Finding
	Alpha    float64

	// Unread says that the field is all of the bodies, which could only be compared as
	// a whole, and that most of them differ in the baseline itself: nothing that is in
	// them was compared.
	Unread bool

	Examples []Example // at most 3, of the candidate

	Expectation Expectation // that it meets, where it is expected

	blocks   uint64 // of time, in which exactly one of candidate and noise differed
	unvaried bool   // it is one value of each, in all examples and beyond
}

// String tells the finding in one line.
func (f Finding) String() string {
	text := fmt.Sprintf("%s: %s %s %s in %d of %d", f.Class, f.Route, ShownPlace(f.Place), f.Kind, f.Differing, f.Pairs)
	if f.NoisePairs > 0 {
		text += fmt.Sprintf(", noise in %d of %d", f.NoiseDiffering, f.NoisePairs)
	}
	if len(f.Examples) > 0 {
		e := f.Examples[0]
		text += fmt.Sprintf("; %s: %s -> %s", e.Request, cmp.Or(e.Baseline, "nothing"), cmp.Or(e.Candidate, "nothing"))
	}
	return text
}

// unserved reports whether the baseline failed alone, and not by a chance that would as
// well have met its other answer.
func (f Finding) unserved() bool {
	return f.Kind == Unserved && f.Class == Undecided && (f.NoiseDiffering == 0 || f.Evidence.Certain(f.Alpha))
}

// share is how often it differs.
func (f Finding) share() float64 { return float64(f.Differing) / float64(max(1, f.Pairs)) }

// List gives the findings up to now: regressions, then what is undecided, expected,
// or noise; of each the gravest kinds first, then the most frequent.
func (f *Findings) List() []Finding {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []Finding{}
	for name, r := range f.routes {
		for key, of := range r.fields {
			all = append(all, f.finding(name, r, key, of))
		}
	}
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(slices.Index(classes, a.Class), slices.Index(classes, b.Class)),
			cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)),
			cmp.Compare(b.share(), a.share()),
			strings.Compare(a.Route, b.Route),
			strings.Compare(a.Place, b.Place),
		)
	})
	return all
}

func (f *Findings) finding(route string, r *routeFields, key fieldKey, of *field) Finding {
	found := Finding{
		Route: route, Place: key.place, Kind: key.kind, Class: f.class(key, of),
		Pairs: r.pairs, Differing: of.differing, NoisePairs: r.noisePairs, NoiseDiffering: of.noise,
		Unread: of.whole && 2*of.noise > r.noisePairs, Examples: slices.Clone(of.examples), unvaried: !of.varied,
	}
	if key.expected > 0 {
		found.Expectation = f.rules.Expect[key.expected-1]
	}
	if key.tested() {
		coins := of.evidence()
		found.Evidence, found.Alpha, found.blocks = coins.now().Finding(), f.alpha(of), coins.seen()
	}
	return found
}

// ClassOf says what is thought now of a kind of differences at a place that no
// expectation meets (see [Difference.Expected]). What was never seen is undecided.
func (f *Findings) ClassOf(route, place string, kind Kind) Class {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.routes[route]
	if r == nil {
		r = f.routes[otherRoutes]
	}
	if r == nil {
		return Undecided
	}
	for _, at := range []string{r.counted(fieldKey{place, kind, 0}).place, otherPlaces} {
		key := fieldKey{at, kind, 0}
		if of := r.fields[key]; of != nil {
			return f.class(key, of)
		}
	}
	return Undecided
}

// Unused gives the expectations that nothing met: the change they approve did not
// come, or their pattern is wrong.
func (f *Findings) Unused() []Expectation {
	f.mu.Lock()
	defer f.mu.Unlock()
	var unused []Expectation
	for i, e := range f.rules.Expect {
		if f.used[i] == 0 {
			unused = append(unused, e)
		}
	}
	return unused
}

// any reports whether anything was compared.
func (f *Findings) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.routes) > 0
}

// Expected tells whether the difference meets an expectation.
func (d Difference) Expected() bool { return d.expected > 0 }

// requestLine gives the method and target of a request, without the values of its
// query, which may be secret.
func requestLine(r Request) string {
	path, query, _ := strings.Cut(r.Target, "?")
	var names []string
	for part := range strings.SplitSeq(query, "&") {
		if name, _, has := strings.Cut(part, "="); has {
			names = append(names, name+"=…")
		} else if part != "" {
			names = append(names, "…")
		}
	}
	line := strings.ToValidUTF8(r.Method+" "+path, "?")
	if len(names) > 0 {
		line += "?" + strings.ToValidUTF8(strings.Join(names, "&"), "?")
	}
	return excerpt([]byte(line))
}
