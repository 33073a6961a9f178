package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
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
	// inject hands to keep what lift and verify need beside the plan.
	inject(ctx context.Context, keep func(any) error) error
	lift(ctx context.Context) error // may be called when nothing was injected
	// verify tells whether the fault is in effect; known is false when the
	// plan does not say how to find out. An error is that it could not be
	// found out.
	verify(ctx context.Context) (inEffect, known bool, err error)
	remember(kept json.RawMessage) error // what another process kept
}

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
	switch {
	case err == nil:
		if f.bites(ctx) {
			touch.Touched = 1
		}
	default: // it may be half done
		err = fmt.Errorf("disruption %q: inject: %w", f.d.Name, err)
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), failedLimit)
		defer cancel()
		undone := f.lift(undo)
		if undone == nil {
			return nil, err
		}
		// Something may be in effect: whoever injected it has to go on lifting.
		f.note(measure.EventWarning, f.d.Name, map[string]string{"detail": errors.Join(err, undone).Error()})
	}
	var one sync.Mutex
	lifted := false
	return func(ctx context.Context) (measure.Touch, error) {
		one.Lock()
		defer one.Unlock()
		if lifted {
			return touch, nil
		}
		err := f.lift(ctx)
		lifted = err == nil
		return touch, err
	}, nil
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
	if err != nil && !errors.Is(err, errNotYet) {
		f.note(measure.EventWarning, f.d.Name, map[string]string{"detail": "whether it is in effect is not known: " + err.Error()})
	}
	return err == nil
}

// lift lifts the fault, again and again until it worked, and verifies that.
func (f *foreignDisruption) lift(ctx context.Context) error {
	err := retry(ctx, liftLimit, f.how.lift)
	if err == nil {
		err = retry(ctx, liftLimit, func(ctx context.Context) error {
			inEffect, known, err := f.how.verify(ctx)
			if err == nil && known && inEffect {
				err = errors.New("verify still finds the fault in effect")
			}
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("disruption %q: lift: %w", f.d.Name, err)
	}
	return nil
}

func undoAnything(ctx context.Context, d plan.Disruption, undo json.RawMessage, s Site) error {
	how, err := foreignOf(d, s)
	if err == nil {
		err = how.remember(undo)
	}
	if err != nil {
		return err
	}
	return (&foreignDisruption{d: d, how: how}).lift(ctx)
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

// commands is a fault of commands for the shell.
type commands struct {
	exec plan.Exec
	site Site
	kept keptCommand
}

// keptCommand is the command that injects, while it runs: when the harness is
// killed it must not go on after the fault was lifted.
type keptCommand struct {
	Injecting *mark `json:"injecting,omitempty"`
}

func (c *commands) inject(ctx context.Context, keep func(any) error) error {
	cmd, err := c.site.shell(c.exec.Inject, c.exec.Env)
	if err != nil {
		return err
	}
	if err := cmd.begin(childAttributes()); err != nil {
		return err
	}
	if is, found, err := process(cmd.cmd.Process.Pid); err == nil && found {
		at := is.mark()
		if err := keep(keptCommand{&at}); err != nil {
			ended, cancel := context.WithCancel(ctx)
			cancel()
			return errors.Join(err, cmd.wait(ended))
		}
	}
	return cmd.wait(ctx)
}

func (c *commands) lift(ctx context.Context) error {
	if err := c.stopInjecting(); err != nil {
		return err
	}
	return c.site.run(ctx, c.exec.Lift, c.exec.Env, liftLimit)
}

// stopInjecting ends what a killed harness left of its command.
func (c *commands) stopInjecting() error {
	if c.kept.Injecting == nil {
		return nil
	}
	left, err := still([]mark{*c.kept.Injecting})
	if err != nil || len(left) == 0 || left[0].group != left[0].pid {
		return err
	}
	return signalTo(-left[0].pid, syscall.SIGKILL)
}

// notInEffect is the status with which a command that verifies says no. Others
// but 0 are of commands that are missing, broken or killed.
const notInEffect = 1

func (c *commands) verify(ctx context.Context) (inEffect, known bool, err error) {
	if c.exec.Verify == "" {
		return false, false, nil
	}
	err = c.site.run(ctx, c.exec.Verify, c.exec.Env, verifyLimit)
	var failed *exec.ExitError
	if err == nil || errors.As(err, &failed) && failed.ExitCode() == notInEffect {
		return err == nil, true, nil
	}
	return false, true, fmt.Errorf("verify: %w", err)
}

func (c *commands) remember(kept json.RawMessage) error { return json.Unmarshal(kept, &c.kept) }
