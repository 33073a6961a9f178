package gates

import (
	"cmp"
	"fmt"
	"slices"
)

// reading is what an accumulator found in one period, put together over its
// tests: the drops added to their attempts, outcomes set against attempts.
type reading struct {
	cell
	below    cell     // the requests under amplification
	running  spans    // when the tests in question ran in the period
	matched  bool     // something of that name was seen, in whatever period
	warnings []string // what a reader should know
	doubt    string   // why it can not be true; "" when it can
	silent   string   // why a rate of it can not be; "" when it can

	undecided    uint64 // answers of which it is not known whether they mismatch
	overFailed   uint64 // seconds with more failures than samples
	overVerified uint64 // attempts fewer than those whose outcome was verified
}

// reading puts an accumulator together for one value of its `for each` key.
func (o *observer) reading(a *accumulator, each string) reading {
	r := reading{}
	for _, key := range o.streams(a) {
		o.readStream(&r, a, each, key)
	}
	if a.source == fromDependency {
		for key, c := range a.cells {
			if key.class == calls {
				r.merge(c)
				r.matched = true
			}
		}
	}
	if a.source == fromQuery {
		c := a.cells[cellKey{class: others}]
		r.merge(c)
		r.matched, r.running = c != nil, union(r.looks...)
	}
	r.contradict()
	if r.undecided > 0 {
		r.warnings = append(r.warnings, fmt.Sprintf("of %s exchanges nobody knows whether their answers match: what they differ in was seen too seldom, or in too short a time, to tell it from noise, or both versions failed", countText(r.undecided)))
	}
	if r.unplaced > 0 {
		r.warnings = append(r.warnings, fmt.Sprintf("%s arrivals could not start; which of them would have counted here is not known", countText(r.unplaced)))
	}
	slices.Sort(r.warnings)
	r.running = r.running.intersect(o.periods[a.spans])
	return r
}

// contradict notes what can not be true of the counts. A correction belongs to
// the second of its attempt, so that no second has more failures than samples.
func (r *reading) contradict() {
	for _, t := range r.seconds {
		if t.failed > t.count {
			r.overFailed++
		}
	}
	switch {
	case r.failed > r.count:
		r.doubt = fmt.Sprintf("%s failures were noted for %s samples", countText(r.failed), countText(r.count))
		r.failed = r.count
	case r.overFailed > 0:
		r.doubt = fmt.Sprintf("more failures than samples were noted in %s second(s)", countText(r.overFailed))
	case r.overVerified > 0:
		r.doubt = fmt.Sprintf("%s more outcomes were verified than attempts made", countText(r.overVerified))
	}
	if r.doubt != "" {
		r.warnings = append(r.warnings, r.doubt)
	}
}

// streams are the tests that an accumulator may read, in order.
func (o *observer) streams(a *accumulator) []testKey {
	var keys []testKey
	for key := range o.traffic {
		if key.arm == a.arm && (a.from == "" || a.from == key.test) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(x, y testKey) int { return cmp.Compare(x.test, y.test) })
	return keys
}

func (o *observer) readStream(r *reading, a *accumulator, each string, key testKey) {
	s := o.traffic[key]
	found := true
	switch a.source {
	case fromAttempts:
		found = r.attempts(a, each, key.test, s)
	case fromOutcomes:
		found = r.outcomes(a, each, key.test, s)
	case fromDependency:
		r.below.merge(a.cells[cellKey{test: key.test, class: requests}])
		found = false
	case fromArrivals:
		r.merge(a.cells[cellKey{each: each, test: key.test, class: drops}])
		r.merge(a.cells[cellKey{each: each, test: key.test, class: arrivals}])
	case fromRequests:
		c := a.cells[cellKey{each: each, test: key.test, class: requests}]
		r.merge(c)
		lost := a.cells[cellKey{test: key.test, class: drops}]
		r.drops(lost, a.plain() && s.allAre(requests, a.of))
		found = c != nil || a.of == "" && lost != nil
	default:
		c := a.cells[cellKey{each: each, test: key.test, class: plainClass(a.source)}]
		r.merge(c)
		found = c != nil
		for _, class := range []class{undecideds, undecidedStatuses} { // one of them is read, if any
			if open := a.cells[cellKey{each: each, test: key.test, class: class}]; open != nil {
				r.undecided += open.count
			}
		}
	}
	if found {
		r.matched = true
		r.running = union(append(r.running, o.ran(key, s)...)...)
		r.silent = cmp.Or(r.silent, o.silence(key, s))
	}
}

// silence says that a test is told to have run mostly before and after anything of it
// was measured, by events of another clock: its rates would be those of the time between.
func (o *observer) silence(key testKey, s *stream) string {
	const most = float64(60 * second)
	run := o.timeline.tests[key]
	if run == nil || run.starts == 0 || run.ends == 0 {
		return ""
	}
	length := float64(run.end) - float64(run.start) // which may be all the time there is
	silent := max(0, float64(s.first)-float64(run.start)) + max(0, float64(run.end)-float64(s.last))
	if silent <= most || silent <= length/2 {
		return ""
	}
	return fmt.Sprintf("of the time in which %s ran, most was before and after all that was measured of it", key.test)
}

// plainClass is the class of a source that is made of one.
func plainClass(src source) class {
	switch src {
	case fromRetries:
		return retries
	case fromCompared:
		return comparisons
	case fromStatuses:
		return statuses
	}
	return others
}

// ran is when a test sent what is judged.
func (o *observer) ran(key testKey, s *stream) []span {
	run := o.timeline.tests[key]
	if run == nil || run.starts == 0 || run.ends == 0 {
		return []span{{max(s.first, o.timeline.warmEnd(key)), s.last}}
	}
	all := run.judged()
	all[len(all)-1].to = run.end // as far as is known
	return all
}

// attempts adds the attempts of one test.
func (r *reading) attempts(a *accumulator, each, test string, s *stream) bool {
	c, found := s.classFor(a.of)
	if !found {
		return false
	}
	r.merge(a.cells[cellKey{each: each, test: test, class: c}])
	r.drops(a.cells[cellKey{test: test, class: drops}], a.plain() && c == s.attempts() && s.allAre(c, a.of))
	return true
}

// plain reports whether every attempt of a test belongs to the query whatever
// its tenant, cell or the like.
func (a *accumulator) plain() bool { return len(a.filters) == 0 && a.each == "" }

// classFor finds what a name means in one test: a transaction, else a step,
// else a route; without a name, the test's attempts.
func (s *stream) classFor(of string) (class, bool) {
	if of == "" {
		return s.attempts(), true
	}
	for _, c := range []class{transactions, steps, requests} {
		for names := range s.names[c] {
			if c.names(names, of) {
				return c, true
			}
		}
	}
	return 0, false
}

func (c class) names(names [2]string, of string) bool {
	return of == "" || c != steps && names[0] == of || c != transactions && names[1] == of || c == requests && isRoute(names[1], of)
}

// allAre reports whether all that was seen of a class bears the name.
func (s *stream) allAre(c class, of string) bool {
	for names := range s.names[c] {
		if !c.names(names, of) {
			return false
		}
	}
	return true
}

// drops counts arrivals that could not start as failed attempts without a
// value. Whose attempts they would have been is not known unless all attempts
// of the test are asked for.
func (r *reading) drops(lost *cell, known bool) {
	if lost == nil {
		return
	}
	if !known {
		r.unplaced += lost.dropped
		for at, t := range lost.seconds {
			r.second(at).unplaced += t.dropped
		}
		return
	}
	r.place(lost.dropped)
	for at, t := range lost.seconds {
		if n := t.dropped; n > 0 {
			r.second(at).merge(tick{counts: counts{count: n, failed: n, dropped: n}, over: n})
		}
	}
}

func (r *reading) place(lost uint64) {
	r.count += lost
	r.failed += lost
	r.dropped += lost
}

// worst is the reading in which all the arrivals belong here of which that is
// not known.
func (r reading) worst() reading {
	r.place(r.unplaced)
	r.unplaced = 0
	return r
}

// mismatching is the reading in which all answers mismatch that may.
func (r reading) mismatching() reading {
	r.failed = min(r.failed+r.undecided, r.count)
	return r
}

// outcomes sets the outcomes of one test against its attempts, for those
// attempts whose outcome was ever looked at. What never came to be looked at
// was not completed.
func (r *reading) outcomes(a *accumulator, each, test string, s *stream) bool {
	c, found := s.verifiedClass(a.of)
	if !found {
		return false
	}
	all := true
	for names := range s.names[c] {
		verified := s.names[outcomes][names]
		if !verified || !c.names(names, a.of) {
			all = false
			continue
		}
		key := cellKey{each: each, test: test, class: c, transaction: names[0], step: names[1]}
		tried := a.cells[key]
		key.class = outcomes
		r.complete(tried, a.cells[key])
	}
	r.drops(a.cells[cellKey{test: test, class: drops}], a.plain() && all && c == s.attempts())
	return true
}

// verifiedClass is the class of attempts that outcomes were recorded for.
func (s *stream) verifiedClass(of string) (class, bool) {
	for _, c := range []class{s.attempts(), transactions, steps, requests} {
		for names := range s.names[c] {
			if s.names[outcomes][names] && c.names(names, of) {
				return c, true
			}
		}
	}
	return 0, false
}

// complete adds attempts of which only those with a good outcome succeeded.
func (r *reading) complete(tried, looked *cell) {
	if tried == nil {
		return
	}
	if looked == nil {
		looked = &cell{}
	}
	ok := looked.count - min(looked.failed, looked.count)
	r.count += tried.count
	r.unfinished += tried.unfinished
	r.failed += tried.count - min(ok, tried.count)
	over := uint64(0)
	for at, t := range tried.seconds {
		good := uint64(0)
		if l := looked.seconds[at]; l != nil {
			good = l.count - min(l.failed, l.count)
		}
		over += good - min(good, t.count)
		r.second(at).merge(tick{counts: counts{count: t.count, failed: t.count - min(good, t.count)}})
	}
	r.overVerified += max(over, ok-min(ok, tried.count))
}

// perSecond adds up the seconds in which the tests ran.
func (r *reading) perSecond(value func(tick) float64, add func(float64)) (seconds uint64, sum float64) {
	whole, n := r.running.wholeSeconds()
	for _, at := range sortedTicks(r.seconds) {
		if whole.contains(at, at+second) {
			v := value(*r.seconds[at])
			sum += v
			add(v)
		}
	}
	return n, sum
}

func sortedTicks(seconds map[int64]*tick) []int64 {
	order := make([]int64, 0, len(seconds))
	for at := range seconds {
		order = append(order, at)
	}
	slices.Sort(order)
	return order
}
