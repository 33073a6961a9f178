package disrupt

import (
	"context"
	"sync"
	"time"
)

// turn is what was decided for something that is touched.
type turn struct {
	draw   float64         // uniform in [0, 1), follows from the seed
	lifted <-chan struct{} // closed when the fault is lifted, or the turn of a flapping one is over
}

// wait waits until a time has passed; it is false when the fault was lifted or
// the context ended before. Without a time it waits for one of the two.
func (t turn) wait(ctx context.Context, d time.Duration) bool {
	var passed <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		passed = timer.C
	}
	select {
	case <-passed:
		return true
	case <-t.lifted:
	case <-ctx.Done():
	}
	return false
}

// isLifted tells whether the fault is gone.
func (t turn) isLifted() bool {
	select {
	case <-t.lifted:
		return true
	default:
		return false
	}
}

// chance is what an effect is told about one request that matches. Whether the
// request is touched is decided, and counted, once there is something to harm:
// for faults on answers that is when the answer is there.
type chance struct {
	turn  // once it bites
	tally *tally
	once  sync.Once
	yes   bool
}

// bites tells whether the request is touched. It is the same each time.
func (c *chance) bites() bool {
	c.once.Do(func() { c.turn, c.yes = c.tally.take() })
	return c.yes
}
