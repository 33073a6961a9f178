package shadow

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"resilience/gates/evidence"
)

// FindingOptions say how findings are made.
type FindingOptions struct {
	// FalseAlarms is the greatest probability that any regression is reported of a
	// candidate that differs from the baseline no more often than the baseline does
	// from itself, between 0 and 1; 0.01 unless given. It is for all fields of all
	// routes together, however often one looks.
	FalseAlarms float64
	// Block is how long what has one cause may last and be taken for one, such as a
	// pause of one of the systems; 250 ms unless given. A block doubles the
	// evidence at most, so nothing is found before some 10 to 25 blocks.
	Block time.Duration
}

// Limits of what is remembered. What is beyond has the names below.
// See also those of words in texts.
const (
	maxRoutes   = 1000
	maxFields   = 500  // of a route
	allFields   = 5000 // of all routes
	maxExamples = 3
	maxThrown   = 1 << 19
	otherRoutes = "(other)"
	otherPlaces = "(other)"
)

// Findings collects what exchanges show, and tells regressions from noise. It may
// be used by several goroutines at once; it takes no more memory than some
// thousands of fields do, however many exchanges there are.
//
// A field is a kind of differences at a place of a route. If the candidate differs
// from the baseline there no more often than the baseline from itself, then of the
// exchanges in which exactly one of the two differs, the candidate is the one in
// half of them at most: a fair coin, which [evidence.PairWatch] bets on. The nth
// field that throws one gets the part [evidence.FieldShare] of the error rate.
//
// Where nothing was compared with itself, baseline and candidate might as well
// change places if they are the same; so of the differences that have a direction
// (missing or added, one type or format for another, one status for another) as
// many must go the one way as the other, which is tested likewise. Of values that
// are just others, nothing can be said then: they stay undecided.
//
// What goes on in one session often has one cause (a cart that differs once differs
// in all answers after that): of its coins at a field the first counts.
//
// Out of scope: a field whose values are noisy in the baseline, too, and in the
// candidate as often, but other values.
type Findings struct {
	rules   Rules
	options FindingOptions

	mu     sync.Mutex
	routes map[string]*routeFields
	fields int    // of all routes
	tested uint64 // of those that threw a coin, which share the error rate
	used   []uint64
	thrown map[thrown]bool
	firsts map[thrown]bool // whether the first coin of a session at a field was of the candidate
	folds  atomic.Bool     // a route has names that are data
}

// routeFields is what is known of a route.
type routeFields struct {
	pairs, noisePairs uint64
	fields            map[fieldKey]*field
	wordFields        int                      // of words in texts, before this exchange
	newWordFields     int                      // of this one
	elements          map[string]*elementWords // by their places
	named             map[string]int           // fields of names that are missing or added, by the object
	folded            map[string]bool          // objects whose names are data
}

// fieldKey names a field of a route. What meets an expectation is a field of its
// own.
type fieldKey struct {
	place    string
	kind     Kind
	expected int
}

// tested tells whether differences there can be a regression.
func (k fieldKey) tested() bool { return k.expected == 0 && k.kind != Undecidable }

// field is what is known of one.
type field struct {
	number           uint64 // of those that threw a coin, from 1; 0 before
	differing, noise uint64
	all, firsts      coins  // each that was thrown, and the first of each session
	again, against   uint64 // later coins of sessions whose first was of noise: of noise again, or of the candidate
	direction        int    // the way in which the first difference went, without noise to compare with
	examples         []Example
	whole            bool      // of bodies that can only be compared as a whole
	values           [2]string // of the baseline and the candidate, where they first differed
	varied           bool      // they differed in others later
}

// NewFindings makes an empty collection, for differences by a comparer with the
// same rules.
func NewFindings(rules Rules, options FindingOptions) (*Findings, error) {
	if options.FalseAlarms == 0 {
		options.FalseAlarms = 0.01
	}
	if options.Block == 0 {
		options.Block = 250 * time.Millisecond
	}
	switch {
	case !(options.FalseAlarms > 0 && options.FalseAlarms < 1):
		return nil, fmt.Errorf("the rate of false alarms must be between 0 and 1, not %v", options.FalseAlarms)
	case options.Block < 0:
		return nil, fmt.Errorf("a block must be longer than 0, not %v", options.Block)
	}
	if err := rules.check(); err != nil {
		return nil, err
	}
	return &Findings{rules: rules, options: options, routes: map[string]*routeFields{}, used: make([]uint64, len(rules.Expect))}, nil
}

// touched is a field that an exchange differs at.
type touched struct {
	field            *field
	key              fieldKey
	difference       Difference
	candidate, noise bool
	fresh            bool // found by this exchange
}

// Add adds what one exchange showed.
func (f *Findings) Add(o Observed) {
	if o.At.IsZero() {
		o.At = time.Now()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.route(o.Route)
	r.pairs++
	if o.Paired {
		r.noisePairs++
	} else {
		o.Noise = nil
	}
	if len(o.Candidate)+len(o.Noise) == 0 {
		return
	}
	all := f.touch(r, o)
	for _, t := range all {
		t.count(o)
		if t.key.tested() {
			f.throw(r, o, t)
		}
	}
	r.seen(o.Candidate, o.Noise)
	for _, t := range all {
		if !t.fresh {
			continue
		}
		if object := r.seeName(t.key); object != "" {
			f.foldNames(r, object)
		}
	}
}

// route finds what is known of a route.
func (f *Findings) route(name string) *routeFields {
	if r := f.routes[name]; r != nil {
		return r
	}
	if len(f.routes) >= maxRoutes {
		name = otherRoutes
		if r := f.routes[name]; r != nil {
			return r
		}
	}
	r := &routeFields{fields: map[fieldKey]*field{}}
	f.routes[strings.Clone(name)] = r
	return r
}

// touch finds the fields that an exchange differs at, each once.
func (f *Findings) touch(r *routeFields, o Observed) []touched {
	all := make([]touched, 0, len(o.Candidate)+len(o.Noise))
	find := func(key fieldKey, d Difference) *touched {
		of, key, fresh := f.field(r, key)
		i := slices.IndexFunc(all, func(t touched) bool { return t.field == of })
		if i < 0 {
			i, all = len(all), append(all, touched{field: of, key: key, fresh: fresh, difference: d})
		}
		return &all[i]
	}
	for _, d := range o.Candidate {
		if d.expected > len(f.used) {
			d.expected = 0 // of other rules
		}
		if t := find(fieldKey{d.Place, d.Kind, d.expected}, d); !t.candidate {
			t.candidate, t.difference = true, d
		}
		if d.expected > 0 {
			f.used[d.expected-1]++
		}
	}
	for _, d := range o.Noise {
		find(fieldKey{d.Place, d.Kind, 0}, d).noise = true
	}
	return all
}

// field finds a field, or makes it; where there are too many already, it is that of
// all other places.
func (f *Findings) field(r *routeFields, key fieldKey) (of *field, at fieldKey, fresh bool) {
	key = r.counted(key)
	if of := r.fields[key]; of != nil {
		return of, key, false
	}
	if len(r.fields) >= maxFields || f.fields >= allFields {
		key.place = otherPlaces
		if of := r.fields[key]; of != nil {
			return of, key, false
		}
	}
	of = &field{}
	f.fields++
	r.fields[key] = of
	if strings.Contains(key.place, textMark) {
		r.newWordFields++
	}
	return of, key, true
}

// count counts the exchange at a field.
func (t touched) count(o Observed) {
	of := t.field
	of.whole = of.whole || t.difference.whole
	if t.noise {
		of.noise++
	}
	if !t.candidate {
		return
	}
	of.differing++
	switch values := [2]string{t.difference.Baseline, t.difference.Candidate}; {
	case of.differing == 1:
		of.values = values
	case of.values != values:
		of.varied = true
	}
	if len(of.examples) < maxExamples {
		of.examples = append(of.examples, Example{
			At: o.At, Request: requestLine(o.Request), Trace: excerpt([]byte(o.Trace)),
			Baseline: o.shown(t.difference.Place, t.difference.Baseline), Candidate: o.shown(t.difference.Place, t.difference.Candidate),
		})
	}
}

// shown is a value as an example shows it.
func (o Observed) shown(place, value string) string {
	if o.Hide == nil || value == "" {
		return value
	}
	return o.Hide(place, value)
}

// alpha is a field's part of the error rate.
func (f *Findings) alpha(of *field) float64 {
	return f.options.FalseAlarms * evidence.FieldShare(of.number)
}

// class says what is thought of a field.
func (f *Findings) class(key fieldKey, of *field) Class {
	switch {
	case key.expected > 0:
		return Expected
	case key.kind == Undecidable:
		return Undecided
	case of.evidence().now().Finding().Certain(f.alpha(of)):
		if key.kind == Unserved { // of the baseline
			return Undecided
		}
		return Regression
	case of.likeNoise():
		return Noise
	}
	return Undecided
}

// likeNoise tells whether a field is known to be noisy, and the candidate to be
// that as often, within two standard deviations.
func (of *field) likeNoise() bool {
	seen := of.evidence().now().Seen()
	other := seen.Discordant - seen.Candidate
	if of.noise == 0 && other == 0 {
		return false
	}
	return float64(seen.Candidate)-float64(other) <= 2*math.Sqrt(float64(seen.Discordant))
}
