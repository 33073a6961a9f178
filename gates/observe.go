package gates

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"resilience/internal/measure"
)

// source is what an SLI reads.
type source string

const (
	fromAttempts   source = "attempts"
	fromOutcomes   source = "outcomes" // attempts and their outcomes
	fromRequests   source = "requests"
	fromChecks     source = "assertions"
	fromArrivals   source = "arrivals"
	fromDependency source = "dependency" // calls and requests
	fromMetric     source = "metric"
)

// sources says what each SLI reads; any other name is a k6 metric.
var sources = map[string]source{
	"availability": fromAttempts, "latency": fromAttempts, "throughput": fromAttempts,
	"reliability": fromOutcomes, "errors": fromRequests, "assertions": fromChecks,
	"delivered": fromArrivals, "amplification": fromDependency,
}

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
	metrics  map[string]bool            // metrics seen
	checks   map[string]map[string]bool // names seen, by class of name, for hints
	broken   map[string]uint64
	err      error
}

// stream is what one test sent to one arm, warm-up included.
type stream struct {
	cells       map[class]*cell
	names       map[class]map[[2]string]bool // transactions and steps seen
	first, last int64
}

// route is where the windows of one series go.
type route struct {
	stream   *stream
	class    class
	sum      *cell // of the stream; nil when it is not summed up
	warmEnd  int64
	from, to int64 // when the test ran, with some leeway
	targets  []target
}

type target struct {
	acc  *accumulator
	cell *cell
}

func newObserver(t *timeline) *observer {
	return &observer{
		timeline: t, byQuery: map[query]*accumulator{}, inside: map[span][]bool{}, routes: map[measure.Series]*route{},
		traffic: map[testKey]*stream{}, metrics: map[string]bool{}, checks: map[string]map[string]bool{}, broken: map[string]uint64{},
	}
}

// ask gives the accumulator of a gate's SLI in one period.
func (o *observer) ask(sli string, g Gate, inst instance, arm string, want wants) *accumulator {
	src, known := sources[sli]
	q := query{source: src, arm: arm, of: g.Of, from: g.From, each: g.Each, period: inst.period.String()}
	if !known {
		q.source, q.metric = fromMetric, sli
	}
	if !math.IsNaN(want.limit) {
		q.limit, q.limited = want.limit, true
	}
	for _, f := range g.Where {
		q.where += f.String() + "\n"
	}
	acc := o.byQuery[q]
	if acc == nil {
		acc = &accumulator{query: q, filters: g.Where, spans: o.period(q.source, arm, inst.spans), cells: map[cellKey]*cell{}, values: map[string]bool{}}
		acc.want.limit = want.limit
		o.byQuery[q] = acc
		o.order = append(o.order, acc)
	}
	acc.want.sketch = acc.want.sketch || want.sketch
	acc.want.seconds = acc.want.seconds || want.seconds
	return acc
}

// period gives the index of a list of spans. What a dependency saw can not be
// told apart by test, so that there every warm-up is left out.
func (o *observer) period(src source, arm string, s spans) int {
	if src == fromDependency {
		s = s.without(o.timeline.warmups(arm))
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
	if w.Start < r.warmEnd || len(r.targets) == 0 {
		return
	}
	in := o.membership(w.Start, w.Start+w.Width)
	for _, t := range r.targets {
		if in[t.acc.spans] {
			t.cell.add(w, t.acc.want)
		}
	}
}

// account adds a window to the summary of its test. Requests inside of
// transactions are no attempts, so that their values are not wanted.
func (r *route) account(w *measure.Window) {
	if r.stream == nil {
		return
	}
	if r.stream.first == 0 || w.Start < r.stream.first {
		r.stream.first = w.Start
	}
	r.stream.last = max(r.stream.last, w.Start+w.Width)
	if r.sum != nil {
		values := r.class == transactions || r.class == requests && r.stream.cells[transactions] == nil
		r.sum.add(w, wants{sketch: values, limit: math.NaN()})
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

// skew is how far a window may lie outside of its test before the clocks are
// taken to differ.
const skew = 5 * second

// resolve decides once where the windows of a series go.
func (o *observer) resolve(s measure.Series) *route {
	key := testKey{s.Test, armOf(s.Arm)}
	c := classOf(s)
	r := &route{class: c, warmEnd: o.timeline.warmEnd(key), from: math.MinInt64, to: math.MaxInt64}
	o.metrics[s.Metric] = true
	o.noteNames(s, c)
	if s.Test != "" {
		r.stream = o.stream(key)
		r.stream.note(s, c)
		if c <= drops {
			r.sum = r.stream.cell(c)
		}
	}
	if run := o.timeline.tests[key]; run != nil && run.starts > 0 {
		r.from = run.start - second - skew
		if run.ends >= run.starts {
			r.to = run.end + skew
		}
	}
	for _, acc := range o.order {
		if acc.arm != key.arm || acc.from != "" && c != calls && acc.from != s.Test {
			continue
		}
		r.targets = acc.targets(s, c, r.targets)
	}
	return r
}

// classOf gives the class of a series. Arrivals that could not start count as
// drops only where the target was to blame; they are arrivals too.
func classOf(s measure.Series) class {
	switch s.Metric {
	case measure.MetricTransaction:
		return transactions
	case measure.MetricStep:
		return steps
	case measure.MetricRequest:
		return requests
	case measure.MetricOutcome:
		return outcomes
	case measure.MetricIteration:
		if s.Status == measure.StatusGenerator {
			return arrivals
		}
		return drops
	case measure.MetricDependency:
		return calls
	}
	return others
}

func (o *observer) stream(key testKey) *stream {
	s := o.traffic[key]
	if s == nil {
		s = &stream{cells: map[class]*cell{}, names: map[class]map[[2]string]bool{}}
		o.traffic[key] = s
	}
	return s
}

func (s *stream) note(series measure.Series, c class) {
	if s.names[c] == nil {
		s.names[c] = map[[2]string]bool{}
	}
	s.names[c][[2]string{series.Transaction, series.Step}] = true
}

func (s *stream) cell(c class) *cell {
	if s.cells[c] == nil {
		s.cells[c] = &cell{}
	}
	return s.cells[c]
}

// attempts is the class that a test's attempts are of.
func (s *stream) attempts() class {
	if s.names[transactions] != nil {
		return transactions
	}
	return requests
}

func (o *observer) noteNames(s measure.Series, c class) {
	kind := "attempt"
	switch c {
	case calls:
		kind = "dependency"
	case others:
		kind = s.Metric
	}
	if o.checks[kind] == nil {
		o.checks[kind] = map[string]bool{}
	}
	for _, name := range []string{s.Transaction, s.Step} {
		if name != "" {
			o.checks[kind][name] = true
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

// names gives the names seen of a kind, for hints.
func (o *observer) namesSeen(kind string) []string {
	var names []string
	for name := range o.checks[kind] {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	return names
}
