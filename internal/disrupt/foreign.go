package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Limits of what commands and calls may take. Lifting is bounded by its context
// too.
const (
	injectLimit = time.Minute
	liftLimit   = time.Minute
	failedLimit = 2 * time.Second // to lift what could not be injected
	verifyLimit = 2 * time.Second // until an effect shows
	retryFirst  = 50 * time.Millisecond
	retryMost   = time.Second

	// lateLimit is for how long it is expected, after a fault was lifted, that
	// an injection takes effect of which nobody knows what became.
	lateLimit = time.Second
	latePause = 100 * time.Millisecond
)

// onAnything makes disruptions of what only the plan knows: of commands or of
// calls.
func onAnything(d plan.Disruption, s Site) (Disruption, error) {
	how, err := foreignOf(d, s)
	if err != nil {
		return nil, err
	}
	return &foreignDisruption{d: d, how: how, note: s.Note}, nil
}

func foreignOf(d plan.Disruption, s Site) (foreign, error) {
	switch {
	case d.Exec != nil:
		return &commands{exec: *d.Exec, site: s}, nil
	case d.HTTP != nil:
		return newCalls(*d.HTTP)
	}
	fault, _ := d.Fault()
	return nil, fmt.Errorf("disruption %q: %s is neither commands nor calls", d.Name, fault)
}

// foreign is a fault that something else puts into effect.
type foreign interface {
	// inject hands to keep what lift and verify need beside the plan. Its error
	// is [unsettled] where the fault may take effect after it returned.
	inject(ctx context.Context, keep func(any) error) error
	lift(ctx context.Context) error // may be called when nothing was injected
	// verify tells whether the fault is in effect; known is false when the
	// plan does not say how to find out. An error is that it could not be
	// found out.
	verify(ctx context.Context) (inEffect, known bool, err error)
	// remember takes over what another process kept, and tells whether the
	// fault may take effect yet.
	remember(kept json.RawMessage) (open bool, err error)
}

// unsettled is an error of an injection that left somebody else with something
// to do: the fault may be in effect, or be so later.
type unsettled struct{ error }

func (u unsettled) Unwrap() error { return u.error }

// foreignDisruption is a fault of commands or calls with the guarantees of all
// others: it is lifted also when injecting it broke off, lifting is tried
// again, and what can be verified is.
type foreignDisruption struct {
	d    plan.Disruption
	how  foreign
	note func(kind, name string, attrs map[string]string)
}

// Prepare has nothing to find out: what could be asked is only known to the
// plan.
func (f *foreignDisruption) Prepare(context.Context) (measure.Reach, error) {
	return measure.Reach{}, nil
}

// Inject implements Disruption.
func (f *foreignDisruption) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	err := ctx.Err()
	save := func(what any) error {
		text, err := json.Marshal(what)
		return errors.Join(err, keep(text))
	}
	if err == nil {
		err = save(struct{}{})
	}
	if err != nil {
		return nil, fmt.Errorf("disruption %q: not injected: %w", f.d.Name, err)
	}
	limited, cancel := context.WithTimeout(ctx, injectLimit)
	err = f.how.inject(limited, save)
	cancel()
	touch := measure.Touch{Matched: 1, Unit: "injections"}
	if err != nil {
		return f.takeBack(ctx, touch, err)
	}
	if f.bites(ctx) {
		touch.Touched = 1
	}
	return f.lifter(touch, f.lift), nil
}

// takeBack lifts what an injection that failed may have done. Where that can
// not be confirmed whoever injected it has to go on lifting.
func (f *foreignDisruption) takeBack(ctx context.Context, touch measure.Touch, err error) (func(context.Context) (measure.Touch, error), error) {
	limit, lift := failedLimit, f.lift
	if errors.As(err, new(unsettled)) {
		limit, lift = failedLimit+lateLimit, f.settle
	}
	err = fmt.Errorf("disruption %q: inject: %w", f.d.Name, err)
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	undone := lift(undo)
	if undone == nil {
		return nil, err
	}
	f.warn("%v", errors.Join(err, undone))
	return f.lifter(touch, lift), nil
}

// lifter lifts once; what could not be lifted is tried again. Before it looks
// whether there still is something to lift.
func (f *foreignDisruption) lifter(touch measure.Touch, lift func(context.Context) error) func(context.Context) (measure.Touch, error) {
	var one sync.Mutex
	looked, lifted := touch.Touched == 0, false
	return func(ctx context.Context) (measure.Touch, error) {
		one.Lock()
		defer one.Unlock()
		if lifted {
			return touch, nil
		}
		if !looked {
			looked, touch.Doubt = true, doubt(ctx, f.missing)
		}
		err := lift(ctx)
		lifted = err == nil
		return touch, err
	}
}

// missing says that the fault is not in effect, if that is so.
func (f *foreignDisruption) missing(ctx context.Context) (string, error) {
	is, known, err := f.how.verify(ctx)
	if err != nil || is || !known {
		return "", err
	}
	return "verify did not find it any more", nil
}

func (f *foreignDisruption) warn(format string, args ...any) {
	if f.note != nil {
		f.note(measure.EventWarning, f.d.Name, map[string]string{"detail": fmt.Sprintf(format, args...)})
	}
}

// errNotYet says that a fault was looked for and not found.
var errNotYet = errors.New("not yet")

// bites looks whether the fault is in effect, and tells if that can not be
// known. Without a way to find out, that injecting it went well has to do.
func (f *foreignDisruption) bites(ctx context.Context) bool {
	err := retry(ctx, verifyLimit, func(ctx context.Context) error {
		is, known, err := f.how.verify(ctx)
		if err == nil && known && !is {
			err = errNotYet
		}
		return err
	})
	if err != nil && !errors.Is(err, errNotYet) && ctx.Err() == nil {
		f.warn("whether it is in effect is not known: %v", err)
	}
	return err == nil
}

// lift lifts the fault, again and again until it worked, and verifies that.
func (f *foreignDisruption) lift(ctx context.Context) error {
	err := retry(ctx, liftLimit, f.how.lift)
	if err == nil {
		err = retry(ctx, liftLimit, f.verifyGone)
	}
	return f.notLifted(err)
}

func (f *foreignDisruption) verifyGone(ctx context.Context) error {
	inEffect, known, err := f.how.verify(ctx)
	if err == nil && known && inEffect {
		err = errors.New("verify still finds the fault in effect")
	}
	return err
}

func (f *foreignDisruption) notLifted(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("disruption %q: lift: %w", f.d.Name, err)
}

// settle lifts a fault that may take effect only after it was lifted, because
// what was to inject it was under way when it was given up. Where the plan can
// verify, it looks for some time, and lifts again what shows; else it lifts a
// second time later. What comes after that is not seen, and said.
func (f *foreignDisruption) settle(ctx context.Context) error {
	err := retry(ctx, liftLimit, f.liftLate)
	seen, known := false, false
	end := time.Now().Add(lateLimit)
	for last := false; err == nil && !last; { // however slow this machine is, the last look is after the end
		select {
		case <-ctx.Done():
			return f.notLifted(fmt.Errorf("it may have taken effect since: %w", ctx.Err()))
		case <-time.After(latePause):
		}
		last = !time.Now().Before(end)
		is, can, unsure := f.how.verify(ctx)
		known = can && unsure == nil
		if known && !is || !known && !last {
			continue
		}
		seen = seen || known
		err = retry(ctx, liftLimit, f.liftLate)
	}
	if err == nil {
		f.warn("whether what was to inject it took effect is not known, for it was given up while it was under way: %s", settled(seen, known))
	}
	return f.notLifted(err)
}

// liftLate lifts what may have taken effect since it was lifted.
func (f *foreignDisruption) liftLate(ctx context.Context) error {
	if err := f.how.lift(ctx); err != nil {
		return err
	}
	return f.verifyGone(ctx)
}

// settled says what was done about it.
func settled(seen, known bool) string {
	switch {
	case seen:
		return "it took effect after it was lifted, and was lifted again"
	case known:
		return fmt.Sprintf("it was lifted, and verify did not find it for %s after; what takes effect later than that is not seen", lateLimit)
	}
	return fmt.Sprintf("it was lifted twice, %s apart; what takes effect later than that is not seen", lateLimit)
}

func undoAnything(ctx context.Context, d plan.Disruption, undo json.RawMessage, s Site) error {
	how, err := foreignOf(d, s)
	if err != nil {
		return err
	}
	open, err := how.remember(undo)
	if err != nil {
		return fmt.Errorf("disruption %q: what was kept to undo it can not be read: %w", d.Name, err)
	}
	f := &foreignDisruption{d: d, how: how, note: s.Note}
	if open {
		return f.settle(ctx)
	}
	return f.lift(ctx)
}

// retry tries until it worked, with growing pauses, for as long as a limit and
// the context last. It gives the last error.
func retry(ctx context.Context, limit time.Duration, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var last error
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // or the end of time would hide what went wrong
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(pause):
		}
	}
}
