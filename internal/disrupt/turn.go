package disrupt

import (
	"context"
	"time"
)

// turn is what an effect is told about one request.
type turn struct {
	draw   float64         // uniform in [0, 1), follows from the seed
	lifted <-chan struct{} // closed when the fault is lifted, or the turn of a flapping one is over
	tally  *tally          // to count what is spared; may be nil
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

// spare notes that there was nothing to harm.
func (t turn) spare() {
	if t.tally != nil {
		t.tally.spare()
	}
}
