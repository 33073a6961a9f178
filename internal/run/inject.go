package run

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"resilience/internal/measure"
)

// injecting is how long an injection may take at least.
const injecting = 2 * time.Minute

// errStuck says that an injection did not end when it should have.
var errStuck = errors.New("injecting it did not come to its end")

// patience bounds an injection: two minutes, or as long as the fault is to be
// in effect if that is longer. A rolling restart or a drain may take that.
func (k *keeper) patience() time.Duration {
	return max(injecting, time.Duration(k.d.For))
}

// inject injects a fault within its time. Should that not end although its time
// is over, or the run ends, nobody waits for it any longer; what it injects
// after all is lifted at once.
func inject(ctx context.Context, b *bound, fault Disruption, keeper *keeper) (lift func(context.Context) (measure.Touch, error), err error) {
	type result struct {
		lift func(context.Context) (measure.Touch, error)
		err  error
	}
	limit := keeper.patience()
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it was not in effect within %s", limit))
	defer cancel()
	done, gone := make(chan result), make(chan struct{})
	go func() {
		var r result
		defer func() {
			select {
			case done <- r:
			case <-gone:
				if r.err == nil {
					_, err := r.lift(context.Background())
					_ = keeper.lifted(err) // the watchdog goes by what it reads
				}
			}
		}()
		defer recovered(&r.err, "inject")
		r.lift, r.err = fault.Inject(limited, keeper.keep)
	}()
	stuck := make(chan struct{})
	over := sync.OnceFunc(func() { close(stuck) })
	defer context.AfterFunc(b.run, func() { time.AfterFunc(liftTimeout, over) })()
	defer context.AfterFunc(limited, func() { time.AfterFunc(liftPatience, over) })() // it may clean up
	select {
	case r := <-done:
		if r.err != nil && ctx.Err() == nil && limited.Err() != nil {
			r.err = errors.Join(context.Cause(limited), r.err)
		}
		return r.lift, r.err
	case <-stuck:
		close(gone)
		return nil, errStuck
	}
}

// notInjected undoes what an injection that failed may have done before: it is
// skipped when nothing of it is left, for sure.
func (c *Conductor) notInjected(ctx context.Context, b *bound, d scheduled, health *health, keeper *keeper, err error) outcome {
	if errors.Is(err, errStuck) { // what goes on can not be undone
		return c.left(b, d, health, err)
	}
	defect := (*panicError)(nil)
	if errors.As(err, &defect) {
		b.stop(err)
	}
	kept, problem := keeper.takeBack(ctx)
	if problem != nil || defect != nil && !kept { // nobody knows what a panic left in this process
		return c.left(b, d, health, errors.Join(err, problem))
	}
	return c.skip(b, d, "could not be injected: "+err.Error())
}

// takeBack undoes what was journalled, as another process would. False when
// nothing was.
func (k *keeper) takeBack(ctx context.Context) (kept bool, err error) {
	k.mu.Lock()
	undo, kept := k.undo, k.kept != nil
	k.mu.Unlock()
	if !kept {
		return false, nil
	}
	alone, cancel := k.b.alone(ctx)
	defer cancel()
	site := k.c.site(k.b)
	site.Services = nil
	err = within(alone, liftPatience, func(ctx context.Context) error { return k.c.Adapters.Undo(ctx, k.d, undo, site) })
	if err != nil {
		err = fmt.Errorf("undo what was injected: %w", err)
	}
	return true, errors.Join(err, k.lifted(err))
}
