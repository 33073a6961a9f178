package measure

import "math"

// Fate says how an attempt ended. The zero value is OK; the others combine.
type Fate uint8

// Fates. What is unfinished or dropped has failed too, said or not.
const (
	OK         Fate = 0
	Failed     Fate = 1 << 0
	Unfinished Fate = 1 << 1 // under way when the test ended; the value is the time it had waited
	Dropped    Fate = 1 << 2 // could not start; it has no value
)

// Aggregator turns samples into windows of one second. It holds what was added
// since the last Take, and a bounded number of series. It is not safe for
// concurrent use: the caller locks.
type Aggregator struct {
	source     string
	limit      int
	part       uint32
	overflowed uint64
	refs       map[Series]*Ref
	others     map[Series]*Ref // overflow series
	dirty      []*Ref          // have something to hand out
}

// Ref is one series of an Aggregator, looked up once and then used for each
// sample. It stays valid as long as its Aggregator.
type Ref struct {
	aggregator *Aggregator
	series     Series
	folded     bool      // stands for series above the limit
	pending    []*Window // since the last Take; mostly a few, the newest mostly last
	latest     int64     // start of the newest of them
}

// NewAggregator makes an aggregator whose windows carry the name of the source
// (the process that measures). It keeps at most limit series apart, at least
// one.
func NewAggregator(source string, limit int) *Aggregator {
	return &Aggregator{
		source: source,
		limit:  max(limit, 1),
		refs:   map[Series]*Ref{},
		others: map[Series]*Ref{},
	}
}

// Ref finds a series. Once there are as many as the limit allows, all further
// ones of the same metric, phase, test and arm share one whose Step is
// [Overflow]; the samples that go there are counted by Overflowed. Callers
// that remember refs by a key of their own should bound that memory too.
func (a *Aggregator) Ref(series Series) *Ref {
	if ref, ok := a.refs[series]; ok {
		return ref
	}
	if len(a.refs) < a.limit {
		ref := &Ref{aggregator: a, series: series}
		a.refs[series] = ref
		return ref
	}
	return a.overflow(series)
}

// Overflowed tells how many samples were added to overflow series so far. The
// caller reports the first with an event ([EventOverflow]).
func (a *Aggregator) Overflowed() uint64 { return a.overflowed }

// Take hands out what was added since the last time, as windows that the
// aggregator then forgets. Each has a Part of its own, so a sample that comes
// late makes another part of its second and never replaces one. The windows
// of a series come in the order in which their seconds were first seen.
func (a *Aggregator) Take() []Window { return a.TakeBefore(math.MaxInt64) }

// TakeBefore hands out the windows that start before a time (Unix nanoseconds)
// as Take does, and keeps the others. Those that take at times when a second is
// over get most windows in one part.
func (a *Aggregator) TakeBefore(start int64) []Window {
	var windows []Window
	var dirty []*Ref
	for _, ref := range a.dirty {
		var kept []*Window
		for _, w := range ref.pending {
			if w.Start >= start {
				kept = append(kept, w)
				continue
			}
			a.part++
			w.Part = a.part
			windows = append(windows, *w)
		}
		if ref.pending = kept; kept != nil {
			dirty = append(dirty, ref)
		}
	}
	a.dirty = dirty
	return windows
}

// Add counts an attempt that started at start (Unix nanoseconds) with its
// value; a latency is in milliseconds. A value that is NaN or infinite, and
// that of a dropped attempt, is left out: the attempt is only counted.
func (r *Ref) Add(start int64, value float64, fate Fate) {
	w := r.count(start, fate)
	if fate&Dropped == 0 && !math.IsNaN(value) && !math.IsInf(value, 0) {
		w.observe(value)
	}
}

// Count counts an attempt without a value.
func (r *Ref) Count(start int64, fate Fate) { r.count(start, fate) }

// Correct adds failures of attempts that were counted before as accepted, such
// as those whose script threw later. It counts no attempts.
func (r *Ref) Correct(start int64, failed uint64) {
	if failed > 0 {
		r.window(start).Failed += failed
	}
}

func (r *Ref) count(start int64, fate Fate) *Window {
	w := r.window(start)
	w.Count++
	if fate != OK {
		w.Failed++
	}
	if fate&Unfinished != 0 {
		w.Unfinished++
	}
	if fate&Dropped != 0 {
		w.Dropped++
	}
	if r.folded {
		r.aggregator.overflowed++
	}
	return w
}

// window finds the pending window of the second that start is in.
func (r *Ref) window(start int64) *Window {
	start -= ((start % Second) + Second) % Second
	if len(r.pending) == 0 {
		r.aggregator.dirty = append(r.aggregator.dirty, r)
		r.latest = start - 1
	}
	for i := len(r.pending) - 1; i >= 0 && start <= r.latest; i-- {
		if r.pending[i].Start == start {
			return r.pending[i]
		}
	}
	r.latest = max(r.latest, start)
	w := &Window{Source: r.aggregator.source, Series: r.series, Start: start, Width: Second}
	r.pending = append(r.pending, w)
	return w
}

// overflow finds the series that stands for those above the limit. Should
// even metrics, phases, tests and arms be more than the limit, one series
// stands for all.
func (a *Aggregator) overflow(series Series) *Ref {
	folded := Series{Metric: series.Metric, Phase: series.Phase, Test: series.Test, Arm: series.Arm, Step: Overflow}
	ref, ok := a.others[folded]
	if !ok && len(a.others) >= a.limit {
		folded = Series{Metric: Overflow, Step: Overflow}
		ref, ok = a.others[folded]
	}
	if !ok {
		ref = &Ref{aggregator: a, series: folded, folded: true}
		a.others[folded] = ref
	}
	return ref
}
