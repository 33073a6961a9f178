package gates

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"resilience/internal/measure"
)

// query is what windows are added up for; gates with the same query share it.
type query struct {
	source              source
	metric              string // with fromMetric
	arm, of, from       string
	where, each, period string
	limit               float64 // for recovery: what is over it is counted by the second
	limited             bool
}

// accumulator adds up the windows of one query.
type accumulator struct {
	query
	filters []Filter
	spans   int // index into the observer's list
	want    wants
	cells   map[cellKey]*cell
	values  map[string]bool // of the `for each` key
}

// observer reads the windows of one record once and adds up what the gates
// ask for. Its memory is bounded by gates, series and seconds.
type observer struct {
	timeline *timeline
	order    []*accumulator // as asked for
	byQuery  map[query]*accumulator
	periods  []spans
	inside   map[span][]bool // which periods a window is in
	routes   map[measure.Series]*route
	traffic  map[testKey]*stream
	names    map[source]map[string]bool // names seen, for hints
	broken   map[string]uint64
	err      error
}

func newObserver(t *timeline) *observer {
	return &observer{
		timeline: t, byQuery: map[query]*accumulator{}, inside: map[span][]bool{}, routes: map[measure.Series]*route{},
		traffic: map[testKey]*stream{}, names: map[source]map[string]bool{}, broken: map[string]uint64{},
	}
}

// ask gives the accumulator of a gate's SLI in one period.
func (o *observer) ask(sli string, g Gate, inst instance, arm string, want wants) *accumulator {
	row, known := lookUp(sli)
	q := query{source: row.from, arm: arm, of: g.Of, from: g.From, each: g.Each, period: inst.period.String()}
	if !known {
		q.metric = sli
	}
	if o.timeline.asked(sli) && !known {
		q.source = fromQuery
	}
	if !math.IsNaN(want.limit) {
		q.limit, q.limited = want.limit, true
	}
	for _, f := range g.Where {
		q.where += f.String() + "\n"
	}
	acc := o.byQuery[q]
	if acc == nil {
		acc = &accumulator{query: q, filters: g.Where, spans: o.period(q.source, arm, inst), cells: map[cellKey]*cell{}, values: map[string]bool{}}
		acc.want.limit = want.limit
		o.byQuery[q] = acc
		o.order = append(o.order, acc)
	}
	acc.want.sketch = acc.want.sketch || want.sketch
	acc.want.seconds = acc.want.seconds || want.seconds
	acc.want.episodes = acc.want.episodes || want.episodes
	acc.want.looks = acc.want.looks || want.looks
	return acc
}

// period gives the index of a list of spans. What a dependency saw, and what a
// query answers, can not be told apart by test, so that there only the time in
// which tests ran counts, and none in which any of them was warming up. For a
// query overall has no end: what counters grew by in the last step, of which the
// tests took a part, is known after it.
func (o *observer) period(src source, arm string, inst instance) int {
	s := inst.spans
	if src == fromDependency || src == fromQuery {
		runs := o.timeline.runs(arm)
		if n := len(runs); src == fromQuery && inst.period.Kind == Overall && n > 0 {
			runs[n-1].to = math.MaxInt64
		}
		s = s.intersect(runs).without(o.timeline.warmups(arm))
	}
	for i, other := range o.periods {
		if slices.Equal(s, other) {
			return i
		}
	}
	o.periods = append(o.periods, s)
	return len(o.periods) - 1
}

// read goes through the windows of a record.
func (o *observer) read(r Record) {
	if r.Windows == nil {
		return
	}
	for w, err := range r.Windows {
		if err != nil {
			o.err = err
			return
		}
		if w.Series.Phase == o.timeline.phase || w.Series.Phase == "" {
			o.add(&w)
		}
	}
}

func (o *observer) add(w *measure.Window) {
	if why := broken(w); why != "" {
		o.broken[why]++
		return
	}
	r := o.routes[w.Series]
	if r == nil {
		r = o.resolve(w.Series)
		o.routes[w.Series] = r
	}
	if w.Start < r.from || w.Start > r.to {
		o.broken["times outside of their test's"]++
		return
	}
	r.account(w)
	if w.Start < r.warmEnd || w.Start >= r.warm.from && w.Start < r.warm.to || len(r.targets) == 0 {
		return
	}
	in := o.membership(w.Start, w.Start+w.Width)
	for _, t := range r.targets {
		if in[t.acc.spans] {
			t.cell.add(w, t.acc.want)
		}
	}
}

// maxInside bounds the memory for periods of windows.
const maxInside = 1 << 20

func (o *observer) membership(from, to int64) []bool {
	key := span{from, to}
	if in, ok := o.inside[key]; ok {
		return in
	}
	in := make([]bool, len(o.periods))
	for i, s := range o.periods {
		in[i] = s.contains(from, to)
	}
	if len(o.inside) < maxInside {
		o.inside[key] = in
	}
	return in
}

func (o *observer) noteNames(s measure.Series, c class) {
	kind := fromAttempts
	switch {
	case c == calls:
		kind = fromDependency
	case s.Metric == measure.MetricAssertion:
		kind = fromChecks
	case c == others:
		kind = fromMetric
	}
	if o.names[kind] == nil {
		o.names[kind] = map[string]bool{}
	}
	for _, name := range []string{s.Transaction, s.Step} {
		if name != "" {
			o.names[kind][name] = true
		}
	}
}

// eachValues gives what was seen of the `for each` key, sorted; one empty
// value for gates without it.
func (a *accumulator) eachValues() []string {
	if a.each == "" {
		return []string{""}
	}
	var values []string
	for v := range a.values {
		values = append(values, v)
	}
	slices.Sort(values)
	return values
}

// brokenText says what was wrong with windows, "" when nothing was.
func (o *observer) brokenText() string {
	var parts []string
	for why, n := range o.broken {
		parts = append(parts, fmt.Sprintf("%s window(s) of the record have %s", countText(n), why))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

// namesSeen gives the names that an SLI could be asked of, for hints.
func (o *observer) namesSeen(kind source) []string {
	if kind == fromOutcomes || kind == fromRequests || kind == fromCompared || kind == fromStatuses {
		kind = fromAttempts
	}
	return slices.Sorted(maps.Keys(o.names[kind]))
}
