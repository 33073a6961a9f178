package gates

import (
	"math"

	"resilience/internal/measure"
)

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
	warm     span  // the warm-up of the second part, and the time before; empty when there is none
	from, to int64 // when the test ran, with some leeway
	targets  []target
}

type target struct {
	acc  *accumulator
	cell *cell
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

// skew is how far a window may lie outside of its test before the clocks are
// taken to differ.
const skew = 5 * second

// resolve decides once where the windows of a series go.
func (o *observer) resolve(s measure.Series) *route {
	key := testKey{s.Test, armOf(s.Arm)}
	c := classOf(s)
	r := &route{class: c, warmEnd: o.timeline.warmEnd(key), from: math.MinInt64, to: math.MaxInt64}
	o.noteNames(s, c)
	if s.Test != "" {
		r.stream = o.stream(key)
		r.stream.note(s, c)
		if c <= retries {
			r.sum = r.stream.cell(c)
		}
	}
	if run := o.timeline.tests[key]; run != nil && run.starts > 0 {
		r.from = run.start - second - skew
		if run.again > 0 && run.warmup > 0 {
			r.warm = span{run.pause, run.again + int64(run.warmup)}
		}
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
	case measure.MetricRetried:
		return retries
	case measure.MetricIteration:
		if s.Status == measure.StatusGenerator {
			return arrivals
		}
		return drops
	case measure.MetricDependency:
		return calls
	case measure.MetricComparison:
		return comparisons
	case measure.MetricStatusChange:
		return statuses
	case measure.MetricUndecided:
		return undecideds
	case measure.MetricUndecidedStatus:
		return undecidedStatuses
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
