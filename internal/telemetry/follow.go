package telemetry

import (
	"context"
	"errors"
	"time"

	"resilience/internal/plan"
)

// follower asks one question for one stretch of time after the other, none
// twice and none left out.
type follower struct {
	step, delay, stale int64 // nanoseconds
	lead               int64 // how long before the beginning is asked for, too
	tail               int64 // and after the end
	after              bool  // a step begins at its point's moment

	ask  func(ctx context.Context, s stretch) error // takes the answer
	warn func(detail string)
	done func(until int64, why error) // nil, or told at the end until when all was answered, and why not longer

	next     int64 // from here on nothing was answered
	answered bool  // ever
}

func newFollower(q plan.Query, after bool) *follower {
	f := &follower{step: int64(q.Every), delay: int64(q.Delay), stale: int64(q.Stale), after: after}
	if q.Type == plan.Counter {
		f.lead = f.step // to know what it has grown from
	}
	if q.Type != plan.Gauge {
		f.tail = f.step // what happens in the last step is known after it
	}
	return f
}

const (
	maxPause      = 30 * time.Second // between two attempts while a source does not answer
	finalPatience = 10 * time.Second // for a source that does not answer at the end
)

// run asks until over is closed and what came before is answered, or the
// context ends.
func (f *follower) run(ctx context.Context, over <-chan struct{}) {
	f.next = floor(time.Now().UnixNano(), f.step) - f.lead
	var why error
	defer func() {
		if f.done != nil {
			f.done(f.next, why)
		}
	}()
	for failures := 0; ; {
		timer := time.NewTimer(f.pause(failures))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-over:
			timer.Stop()
			why = f.finish(ctx)
			return
		case <-timer.C:
		}
		if f.catchUp(ctx, f.until(time.Now().UnixNano()-f.delay)) == nil {
			failures = 0
		} else {
			failures++
		}
	}
}

// pause is how long to wait before the next attempt: until the next step has
// arrived or, while the source does not answer, longer and longer.
func (f *follower) pause(failures int) time.Duration {
	if failures > 0 {
		return min(maxPause, time.Second<<min(failures-1, 10))
	}
	due := f.next + f.delay
	if f.after {
		due += f.step
	}
	return max(time.Until(time.Unix(0, due)), 0) + time.Millisecond
}

// until is the end of the steps whose points were there at a moment.
func (f *follower) until(at int64) int64 {
	to := floor(at, f.step)
	if !f.after {
		to += f.step
	}
	return to
}

// catchUp asks for all that was not answered yet, up to a moment.
func (f *follower) catchUp(ctx context.Context, to int64) error {
	for f.next < to {
		s := stretch{f.next, min(to, f.next+maxSteps*f.step), f.step}
		if err := f.ask(ctx, s); err != nil {
			if !errors.Is(err, context.Canceled) {
				f.warn(err.Error())
			}
			return err
		}
		f.next, f.answered = s.to, true
	}
	return nil
}

// finish asks for the last steps once they have arrived. A question that never
// got an answer is not waited for.
func (f *follower) finish(ctx context.Context) error {
	now := time.Now()
	wait := time.Duration(f.delay + f.tail)
	to, patience := f.until(now.UnixNano()+f.tail), now.Add(wait+finalPatience)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		err := f.catchUp(ctx, to)
		if err == nil {
			return nil
		}
		if wait = time.Second; !f.answered || time.Now().Add(wait).After(patience) {
			return err
		}
	}
}

// floor gives the last multiple of a step up to a moment.
func floor(at, step int64) int64 { return at - at%step }
