package run

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// traffic sends the traffic of a phase and injects its disruptions meanwhile.
func (c *Conductor) traffic(ctx context.Context, b *bound) error {
	streams, err := c.streams(b)
	if err != nil {
		return err
	}
	engines := make([]Traffic, len(streams))
	for i, s := range streams {
		if engines[i], err = c.Adapters.Traffic(s); err != nil {
			return err
		}
	}
	disruptions, err := c.disruptions(ctx, b)
	if err != nil {
		return err
	}
	defer c.release(ctx, b, disruptions)
	if err := c.prepare(ctx, b, disruptions); err != nil {
		return err
	}
	watched, err := conditions(b.phase.AbortIf)
	if err != nil {
		return err
	}
	if err := c.preflight(ctx, b); err != nil {
		return err
	}
	telemetry, err := c.observe(b)
	if err != nil {
		return err
	}
	clock, health := newClock(streams), newHealth(b.phase)
	if health.watch, err = newWatch(b.phase); err != nil {
		return err
	}
	c.health.Store(health)
	defer c.health.Store(nil)
	emit := func(batch measure.Batch) error {
		clock.heard(batch)
		return c.emit(batch)
	}
	// Whatever ends the traffic lifts the disruptions at once.
	together, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b.tests, b.stop = together, stop
	asked := c.asking(ctx, b, telemetry)
	injecting, calm := context.WithCancel(together)
	defer calm()
	var faults, watching sync.WaitGroup
	faults.Go(func() {
		defer c.calm(b)
		defer guarded(stop, "schedule")
		c.schedule(injecting, b, disruptions, clock, health)
	})
	watching.Go(func() {
		defer guarded(stop, "abort_if")
		c.watchPhase(together, stop, b, health, watched)
	})
	watching.Go(func() {
		defer guarded(stop, "watch")
		c.watchGates(together, stop, b, health)
	})
	err = c.send(together, stop, streams, engines, clock, emit)
	calm()
	faults.Wait()
	if ended(err) && together.Err() == nil {
		err = errors.Join(err, c.extend(together, stop, b, streams, clock, emit))
	}
	stop(nil)
	watching.Wait()
	return errors.Join(err, asked(), broke(together), ctx.Err())
}

// broke gives the defect of this program that ended the traffic, if one did.
func broke(ctx context.Context) error {
	cause := context.Cause(ctx)
	var abort *aborted
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) || errors.As(cause, &abort) {
		return nil
	}
	return cause
}

// ended reports whether all traffic came to its end, also where something is wrong
// with what it left behind: an error of an engine whose test has ended says so by a
// method Ended.
func ended(err error) bool {
	if err == nil {
		return true
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(joined.Unwrap(), func(one error) bool { return !ended(one) })
	}
	var end interface{ Ended() bool }
	return errors.As(err, &end) && end.Ended()
}

// send runs all streams side by side until each has ended. The first error of one
// that has not come to its end stops the others.
func (c *Conductor) send(ctx context.Context, stop context.CancelCauseFunc, streams []plan.Stream, engines []Traffic, clock *clock, emit func(measure.Batch) error) error {
	errs := make([]error, len(streams))
	var all sync.WaitGroup
	for i, s := range streams {
		all.Go(func() {
			defer clock.over(s)
			if wait(ctx, time.Duration(s.Test.Start)) != nil {
				return
			}
			defer guarded(stop, "test "+s.Test.Name)
			err := c.bounded(ctx, s, engines[i], emit)
			if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return // an engine that was stopped is not what went wrong
			}
			if errs[i] = err; !ended(err) {
				stop(nil)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// overrun is how much longer than planned a stream may take to start and end.
const overrun = time.Minute

// bounded runs one stream, and stops it should its engine not come to an end.
func (c *Conductor) bounded(ctx context.Context, s plan.Stream, engine Traffic, emit func(measure.Batch) error) error {
	_, profile := s.Test.Kind()
	planned := profile.Length() + time.Duration(profile.Grace)
	if !profile.Shaped() { // only its script knows
		return engine.Run(ctx, emit)
	}
	if d, ok := engine.(Delayed); ok {
		planned += d.Delay()
	}
	limited, cancel := context.WithTimeout(ctx, planned+overrun)
	defer cancel()
	err := engine.Run(limited, emit)
	if limited.Err() == nil || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, c.event(measure.Event{
		Kind: measure.EventGenerator, Phase: s.Phase, Test: s.Test.Name, Arm: s.Arm, Name: "overrun",
		Attrs: map[string]string{"detail": fmt.Sprintf("the test was still running %s after its planned end and was stopped", overrun)},
	}))
}

// preflight notes when a target can not be reached at all, so that a reader of
// the verdict knows why everything failed.
func (c *Conductor) preflight(ctx context.Context, b *bound) error {
	for _, name := range []string{b.phase.Candidate, b.phase.Baseline.Target} {
		if name == "" {
			continue
		}
		host, err := plan.Host(b.targets[name].URL)
		if err != nil {
			return fmt.Errorf("target %s: %w", name, err)
		}
		dialer := net.Dialer{Timeout: 3 * time.Second}
		conn, err := dialer.DialContext(ctx, "tcp", host)
		if err == nil {
			conn.Close()
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.event(measure.Event{Kind: measure.EventWarning, Phase: b.phase.Name, Name: "preflight", Attrs: map[string]string{
			"detail": fmt.Sprintf("target %s could not be reached before the tests began: %v", name, err),
		}}); err != nil {
			return err
		}
	}
	return nil
}

// clock knows when the phase is warm: when every test that starts first has
// begun and its warm-up is over. The offsets of disruptions count from there.
type clock struct {
	mu      sync.Mutex
	waiting map[stream]bool // have not begun
	warm    time.Time
	ready   chan struct{}
}

// stream names a test on one arm.
type stream struct{ test, arm string }

func newClock(streams []plan.Stream) *clock {
	k := &clock{waiting: map[stream]bool{}, ready: make(chan struct{})}
	var earliest plan.Duration
	for i, s := range streams {
		if i == 0 || s.Test.Start < earliest {
			earliest = s.Test.Start
		}
	}
	for _, s := range streams {
		if s.Test.Start == earliest {
			k.waiting[stream{s.Test.Name, s.Arm}] = true
		}
	}
	k.check()
	return k
}

func (k *clock) heard(batch measure.Batch) {
	for _, e := range batch.Events {
		if e.Kind != measure.EventTest {
			continue
		}
		warmup, _ := time.ParseDuration(e.Attrs["warmup"])
		k.begun(stream{e.Test, e.Arm}, time.Unix(0, e.At).Add(warmup))
	}
}

// over notes that a stream has ended, or never began.
func (k *clock) over(s plan.Stream) { k.begun(stream{s.Test.Name, s.Arm}, time.Time{}) }

func (k *clock) begun(key stream, warm time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.waiting[key] {
		return
	}
	delete(k.waiting, key)
	if warm.After(k.warm) {
		k.warm = warm
	}
	k.check()
}

func (k *clock) check() {
	if len(k.waiting) > 0 {
		return
	}
	if k.warm.IsZero() {
		k.warm = time.Now()
	}
	close(k.ready)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
