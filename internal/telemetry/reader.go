package telemetry

import (
	"fmt"
	"math"
	"slices"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// reader turns the answers to one query on one arm into windows.
type reader struct {
	name   string
	query  plan.Query
	series measure.Series
	step   int64
	after  bool // a step begins at its point's moment
	out    *outlet

	seen   []bool    // whether there was ever a series, one for each text
	totals []*totals // of counters, one for each text
	carry  []float64 // of shares: what rounding left over, one for each text
}

func newReader(name string, q plan.Query, arm plan.Arm, phase string, step int64, after bool, out *outlet) *reader {
	r := &reader{
		name: name, query: q, step: step, after: after, out: out,
		series: measure.Series{Metric: name, Phase: phase, Arm: arm.Name},
	}
	r.seen = make([]bool, len(q.Texts()))
	for range q.Texts() {
		r.totals = append(r.totals, &totals{last: map[string]float64{}, longest: int64(q.Stale)})
		r.carry = append(r.carry, 0)
	}
	return r
}

func (r *reader) warn(detail string) { r.out.warn("query "+r.name, detail) }

// note takes note of what answers are like, whatever is read from them.
func (r *reader) note(answers [][]series) {
	for i, all := range answers {
		r.seen[i] = r.seen[i] || len(all) > 0
		for _, one := range all {
			if one.odd > 0 {
				r.warn("gives values that are NaN or infinite, such as after a division by zero: they are left out")
			}
		}
	}
}

// done tells at the end of what there was never a series.
func (r *reader) done() {
	for i, seen := range r.seen {
		switch {
		case seen:
		case r.query.Share():
			r.warn([]string{"good", "total"}[i] + " never gave a series: nothing matches it")
		default:
			r.warn("never gave a series: nothing matches it")
		}
	}
}

// take reads an answer to each text of the query.
func (r *reader) take(answers [][]series) {
	r.note(answers)
	var windows []measure.Window
	switch {
	case r.query.Share():
		windows = r.shares(r.amounts(0, answers[0]), r.amounts(1, answers[1]))
	case r.query.Type == plan.Gauge:
		windows = r.values(answers[0])
	default:
		for _, a := range r.amounts(0, answers[0]) {
			windows = append(windows, measure.Window{Series: r.series, Start: a.from, Width: a.to - a.from, Count: 1, Sum: a.value})
		}
	}
	r.out.windows(windows)
}

// amount is how many there were in a stretch of time.
type amount struct {
	from, to int64
	value    float64
}

// amounts are what counters grew by, or what was counted in each step.
func (r *reader) amounts(i int, all []series) (list []amount) {
	for _, m := range moments(all) {
		var a amount
		var ok bool
		if r.query.Type == plan.Counter {
			at := m.at
			if r.after && r.query.Stepped() {
				at += r.step // the total at the end of its step
			}
			a, ok = r.totals[i].grown(at, m.values)
		} else {
			a.from, a.to = r.about(m.at)
			for _, v := range m.values {
				a.value += v
			}
			if ok = a.value >= 0; !ok {
				r.warn("gives a count below zero, which is left out")
			}
		}
		if ok {
			list = append(list, a)
		}
	}
	return list
}

// about is the time that a point is about: its step, or the second of its
// moment.
func (r *reader) about(at int64) (from, to int64) {
	switch {
	case !r.query.Stepped():
		at = floor(at, measure.Second)
		return at, at + measure.Second
	case r.after:
		return at, at + r.step
	}
	return at - r.step, at
}

// values are the windows of a gauge: one value each.
func (r *reader) values(all []series) (windows []measure.Window) {
	for _, m := range moments(all) {
		if len(m.values) > 1 {
			r.warn(fmt.Sprintf("gives %d series where one value is wanted: aggregate them, for example with sum(...) or max(...)", len(all)))
			continue
		}
		for _, v := range m.values {
			from, to := r.about(m.at)
			v = min(max(v*r.query.Factor(), -math.MaxFloat64), math.MaxFloat64)
			w := measure.Window{Series: r.series, Start: from, Width: to - from, Count: 1, Sum: v, Min: v, Max: v, Sketch: measure.NewSketch()}
			w.Sketch.Add(v)
			windows = append(windows, w)
		}
	}
	return windows
}

// shares sets what went well against all. Counts are whole: what rounding
// leaves over goes to the next.
func (r *reader) shares(good, total []amount) (windows []measure.Window) {
	for _, t := range total {
		i := slices.IndexFunc(good, func(g amount) bool { return g.from == t.from && g.to == t.to })
		if i < 0 {
			continue
		}
		if good[i].value > t.value*(1+1e-9) {
			r.warn("gives more for good: than for total:, which is left out")
			continue
		}
		n := r.whole(1, t.value)
		well := min(n, r.whole(0, good[i].value))
		windows = append(windows, measure.Window{Series: r.series, Start: t.from, Width: t.to - t.from, Count: n, Failed: n - well})
	}
	return windows
}

// whole rounds an amount and carries the rest.
func (r *reader) whole(i int, value float64) uint64 {
	value += r.carry[i]
	n := math.Round(min(max(value, 0), 1<<49))
	r.carry[i] = value - n
	return uint64(n)
}

// moment is what all series had at one time.
type moment struct {
	at     int64
	values map[string]float64 // by labels
}

// moments puts the points of all series in order of time.
func moments(all []series) []moment {
	byTime := map[int64]map[string]float64{}
	for _, s := range all {
		key := fmt.Sprintf("%q", s.labels) // in order
		for _, p := range s.points {
			if byTime[p.at] == nil {
				byTime[p.at] = map[string]float64{}
			}
			byTime[p.at][key] = p.value
		}
	}
	list := make([]moment, 0, len(byTime))
	for at, values := range byTime {
		list = append(list, moment{at, values})
	}
	slices.SortFunc(list, func(a, b moment) int { return int(min(max(a.at-b.at, -1), 1)) })
	return list
}

// totals remembers counters, to know what they grow by.
type totals struct {
	last    map[string]float64 // by labels
	at      int64              // of the last; 0 before the first
	longest int64              // between two, or what was between is not known
}

// grown tells what all counters together grew by since the last time. One that
// is less than it was began again, and one that was not there began, at zero.
// Nothing is known before the second time, and after too long a gap.
func (t *totals) grown(at int64, values map[string]float64) (a amount, known bool) {
	if at <= t.at {
		return a, false
	}
	a.from, a.to = t.at, at
	for key, v := range values {
		if last, seen := t.last[key]; seen && v >= last {
			v -= last
		}
		a.value += v
	}
	for key, v := range values {
		t.last[key] = v
	}
	known = t.at > 0 && a.to-a.from <= t.longest
	t.at = at
	return a, known
}
