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
	drops    // arrivals that never started
	outcomes // verified or not
	arrivals // asked for
	calls    // seen by a dependency
	others   // checks and k6 metrics
)

// cellKey says what a cell adds up. The transaction and step are set only
// where outcomes have to be matched with their attempts.
type cellKey struct {
	each, test        string
	class             class
	transaction, step string
}

// cell adds up windows.
type cell struct {
	count, failed, unfinished, dropped uint64
	valued                             uint64 // values in the sketch
	sum, max                           float64
	seen                               bool // a value was seen: max means something
	sketch                             *measure.Sketch
	seconds                            map[int64]*tick
}

// tick is one second of a cell.
type tick struct {
	count, failed, dropped uint64
	over                   uint64 // over the limit of a latency, or perhaps: unfinished or without a value
	valued                 uint64
	sum                    float64
}

// wants says what a cell has to keep beside its counts.
type wants struct {
	sketch, seconds bool
	limit           float64 // for tick.over; NaN when there is none
}

func (c *cell) add(w *measure.Window, want wants) {
	valued := valuesIn(w)
	c.count += w.Count
	c.failed += w.Failed
	c.unfinished += w.Unfinished
	c.dropped += w.Dropped
	c.valued += valued
	if valued > 0 {
		c.sum += w.Sum
		if !c.seen || w.Max > c.max {
			c.max, c.seen = w.Max, true
		}
	}
	if want.sketch {
		if c.sketch == nil {
			c.sketch = measure.NewSketch()
		}
		c.sketch.Merge(w.Sketch)
	}
	if want.seconds {
		c.tick(w, valued, want.limit)
	}
}

func (c *cell) tick(w *measure.Window, valued uint64, limit float64) {
	t := c.second(floorSecond(w.Start))
	t.count += w.Count
	t.failed += w.Failed
	t.dropped += w.Dropped
	t.valued += valued
	t.sum += w.Sum
	if !math.IsNaN(limit) {
		t.over += min(w.Count, w.Sketch.CountAbove(limit)+w.Unfinished+(w.Count-min(w.Count, valued)))
	}
}

// merge adds another cell. Both keep the same things.
func (c *cell) merge(o *cell) {
	if o == nil {
		return
	}
	c.count += o.count
	c.failed += o.failed
	c.unfinished += o.unfinished
	c.dropped += o.dropped
	c.valued += o.valued
	c.sum += o.sum
	if o.seen && (!c.seen || o.max > c.max) {
		c.max, c.seen = o.max, true
	}
	if o.sketch != nil {
		if c.sketch == nil {
			c.sketch = measure.NewSketch()
		}
		c.sketch.Merge(o.sketch)
	}
	for at, t := range o.seconds {
		c.second(at).merge(*t)
	}
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
	t.count += o.count
	t.failed += o.failed
	t.dropped += o.dropped
	t.over += o.over
	t.valued += o.valued
	t.sum += o.sum
}

// valuesIn tells how many values a window has.
func valuesIn(w *measure.Window) uint64 {
	if w.Sketch != nil {
		return w.Sketch.Count()
	}
	return 0
}

// maxCount is more than any window of one second can hold.
const maxCount = 1 << 50

// broken says why a window can not be true, "" if it can. Failures may be more
// than the count: corrections come in windows of their own.
func broken(w *measure.Window) string {
	switch {
	case w.Width <= 0 || w.Width > 3600*second:
		return "a width that is none"
	case w.Start < 0 || w.Start > math.MaxInt64-w.Width:
		return "a time that can not be"
	case w.Count > maxCount || w.Failed > maxCount || w.Unfinished > w.Count || w.Dropped > w.Count:
		return "counts that can not be"
	case bad(w.Sum) || bad(w.Min) || bad(w.Max):
		return "values that are not numbers"
	case valuesIn(w) > w.Count:
		return "more values than attempts"
	}
	return ""
}

func bad(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }
