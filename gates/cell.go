package gates

import (
	"math"

	"resilience/internal/measure"
)

// class tells the windows apart that one source is made of.
type class int

const (
	transactions class = iota
	steps
	requests
	drops             // arrivals that never started
	retries           // completed at once or not
	outcomes          // verified or not
	arrivals          // asked for
	comparisons       // of the answers of both arms
	statuses          // of those
	undecideds        // of those, the ones that may mismatch
	undecidedStatuses // or in their status
	calls             // seen by a dependency
	others            // checks, k6 metrics and queries
)

// cellKey says what a cell adds up. The transaction and step are set only
// where outcomes have to be matched with their attempts.
type cellKey struct {
	each, test        string
	class             class
	transaction, step string
}

// counts is what cells and seconds have in common.
type counts struct {
	count, failed, dropped uint64
	unplaced               uint64 // dropped, perhaps of others, and so not in count
	valued                 uint64 // values in the sketch
	sum                    float64
}

// cell adds up windows.
type cell struct {
	counts
	unfinished uint64
	max        float64
	seen       bool // a value was seen: max means something
	sketch     *measure.Sketch
	waiting    *measure.Sketch // values of the windows in which some are unfinished
	seconds    map[int64]*tick
	episodes   map[int64]*measure.Sketch // values of each ten seconds
	looks      []span                    // what the windows are about
}

// tick is one second of a cell.
type tick struct {
	counts
	over uint64 // over the limit of a latency, or perhaps: unfinished or without a value
}

func (c *counts) add(o counts) {
	c.count += o.count
	c.failed += o.failed
	c.dropped += o.dropped
	c.unplaced += o.unplaced
	c.valued += o.valued
	c.sum += o.sum
}

// wants says what a cell has to keep beside its counts.
type wants struct {
	sketch, seconds bool
	episodes        bool // values of each ten seconds, to compare arms by
	looks           bool
	limit           float64 // for tick.over; NaN when there is none
}

func (c *cell) add(w *measure.Window, want wants) {
	n := counts{count: w.Count, failed: w.Failed, dropped: w.Dropped, valued: valuesIn(w), sum: w.Sum}
	c.counts.add(n)
	c.unfinished += w.Unfinished
	if n.valued > 0 && (!c.seen || w.Max > c.max) {
		c.max, c.seen = w.Max, true
	}
	if want.sketch {
		c.sketch = joined(c.sketch, w.Sketch)
		if w.Unfinished > 0 {
			c.waiting = joined(c.waiting, w.Sketch)
		}
	}
	if want.episodes {
		c.episode(episodeOf(w.Start), w.Sketch)
	}
	if want.looks {
		c.looks = append(c.looks, span{w.Start, w.Start + w.Width})
	}
	if want.seconds {
		t := tick{counts: n}
		if !math.IsNaN(want.limit) {
			t.over = min(w.Count, above(w.Sketch, w.Max, want.limit)+w.Unfinished+(w.Count-min(w.Count, n.valued)))
		}
		c.second(floorSecond(w.Start)).merge(t)
	}
}

// merge adds another cell. Both keep the same things.
func (c *cell) merge(o *cell) {
	if o == nil {
		return
	}
	c.counts.add(o.counts)
	c.unfinished += o.unfinished
	if o.seen && (!c.seen || o.max > c.max) {
		c.max, c.seen = o.max, true
	}
	if o.sketch != nil {
		c.sketch = joined(c.sketch, o.sketch)
	}
	if o.waiting != nil {
		c.waiting = joined(c.waiting, o.waiting)
	}
	c.looks = append(c.looks, o.looks...)
	for at, t := range o.seconds {
		c.second(at).merge(*t)
	}
	for at, s := range o.episodes {
		c.episode(at, s)
	}
}

// episode adds the values of ten seconds.
func (c *cell) episode(at int64, s *measure.Sketch) {
	if c.episodes == nil {
		c.episodes = map[int64]*measure.Sketch{}
	}
	c.episodes[at] = joined(c.episodes[at], s)
}

func joined(s, more *measure.Sketch) *measure.Sketch {
	if s == nil {
		s = measure.NewSketch()
	}
	s.Merge(more)
	return s
}

// sketchError is the relative error of a sketch's values. The greatest value
// is known exactly.
const sketchError = 0.01

// above counts the values over a limit, but none that only the sketch's
// rounding lifted over the greatest value.
func above(s *measure.Sketch, most, limit float64) uint64 {
	if most <= limit {
		limit += math.Abs(limit) * sketchError
	}
	return s.CountAbove(limit)
}

func (c *cell) second(at int64) *tick {
	if c.seconds == nil {
		c.seconds = map[int64]*tick{}
	}
	t := c.seconds[at]
	if t == nil {
		t = &tick{}
		c.seconds[at] = t
	}
	return t
}

func (t *tick) merge(o tick) {
	t.counts.add(o.counts)
	t.over += o.over
}

// valuesIn tells how many values a window has.
func valuesIn(w *measure.Window) uint64 {
	if w.Sketch != nil {
		return w.Sketch.Count()
	}
	return 0
}
