package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Conductor runs phases of one plan. All fields but Hurry, Listener, Guard, Extension
// and Socket must be set.
type Conductor struct {
	Plan     plan.Plan
	Adapters Adapters
	Recorder Recorder
	Listener Listener        // nil: nobody watches
	Hurry    <-chan struct{} // closed when somebody can not wait for graceful ends
	ID       string          // of the run
	Seed     int64
	Socket   string                                    // path, where acknowledgements are heard while a phase runs; "" for nowhere
	Logs     string                                    // folder for the output of services and hooks
	Getenv   func(name string) (value string, ok bool) // where secrets are looked up
	Guard    *Guard                                    // nil: no fault is injected that would outlive this process

	// Extension decides, from the record of a phase whose tests are over, for how
	// much longer they should send, up to the most that the plan allows, and why;
	// 0 when they should not. Nil: no phase is extended.
	Extension func(phase string, most time.Duration) (more time.Duration, why string, err error)

	events atomic.Uint64
	fault  atomic.Bool
	health atomic.Pointer[health] // while there is traffic

	warned   sync.Once
	hide     sync.Once
	replacer *strings.Replacer // of secrets
}

// source names the conductor in what it records.
const source = "harness"

// ErrFaultLeft says that lifting a disruption could not be confirmed: a fault
// may still be active.
var ErrFaultLeft = errors.New("a fault may still be active")

// Run runs one phase. When the context ends it lifts what is injected, stops
// what it started, and returns the context's error, joined with whatever else
// went wrong.
func (c *Conductor) Run(ctx context.Context, name string) error {
	if err := os.MkdirAll(c.Logs, 0o755); err != nil {
		return fmt.Errorf("folder for logs: %w", err)
	}
	phase, ok := c.phase(name)
	if !ok {
		return fmt.Errorf("the plan has no phase %q", name)
	}
	return c.runPhase(ctx, phase)
}

func (c *Conductor) phase(name string) (plan.Phase, bool) {
	for _, p := range c.Plan.Phases {
		if p.Name == name {
			return p, true
		}
	}
	return plan.Phase{}, false
}

// runPhase runs one phase and undoes all it did, whatever happens.
func (c *Conductor) runPhase(ctx context.Context, phase plan.Phase) (err error) {
	began := map[string]string{
		"candidate": phase.Candidate, "baseline": phase.Baseline.Target, "traffic": plan.Traffic(phase, c.Plan.Dir), "first": phase.Baseline.First,
	}
	if c.extends(phase) {
		began["looks"] = "2"
	}
	if err := c.event(measure.Event{Kind: measure.EventPhase, Phase: phase.Name, Name: phase.Name, Attrs: began}); err != nil {
		return err
	}
	undo := &undoing{}
	lifting := &lifting{}
	defer context.AfterFunc(ctx, lifting.begin)()
	defer func() {
		err = errors.Join(err, undo.all())
		if c.fault.Load() {
			err = errors.Join(err, fmt.Errorf("%w: undo it with: resilience lift %s", ErrFaultLeft, c.ID))
		}
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) { // also when it came during the undoing
			err = errors.Join(err, ctx.Err())
		}
		err = errors.Join(err, c.ended(ctx, phase, lifting, err))
	}()
	b, err := c.bind(phase)
	if err != nil {
		return err
	}
	undo.add(func() error { b.disclaim(); return nil })
	b.lifting, b.run = lifting, ctx
	return b.explained(c.conduct(ctx, b, undo))
}

// conduct does all that a phase consists of, in order.
func (c *Conductor) conduct(ctx context.Context, b *bound, undo *undoing) (err error) {
	defer recovered(&err, "phase "+b.phase.Name)
	if err := c.hear(b, undo); err != nil {
		return err
	}
	if err := c.startProxies(ctx, b, undo); err != nil {
		return err
	}
	if err := c.serveScripts(b, undo); err != nil {
		return err
	}
	if b.phase.After != "" { // while the services are still there
		undo.first = func() error { return c.after(ctx, b) }
	}
	if err := c.startServices(ctx, b, undo); err != nil {
		return err
	}
	if before := b.phase.Before; before != "" {
		if err := c.hook(ctx, b, "before", before); err != nil {
			return err
		}
	}
	if right, err := c.identify(ctx, b, "before"); err != nil || !right {
		return err // the verdict says that it would be about another version
	}
	left := c.traffic(ctx, b)
	if !ended(left) {
		return left
	}
	_, err = c.identify(ctx, b, "after")
	return errors.Join(left, err)
}

// ended records how a phase ended, and why where that was early.
func (c *Conductor) ended(ctx context.Context, phase plan.Phase, lifting *lifting, cause error) error {
	attrs := map[string]string{}
	if ctx.Err() != nil {
		if err := c.event(lifting.event(phase.Name)); err != nil {
			return err
		}
		attrs["reason"] = "interrupted"
	} else if !ended(cause) {
		attrs["reason"] = cause.Error()
	}
	return c.event(measure.Event{Kind: measure.EventPhaseEnd, Phase: phase.Name, Name: phase.Name, Attrs: attrs})
}

// event records something that happened now.
func (c *Conductor) event(e measure.Event) error {
	e.Source, e.Seq = source, c.events.Add(1)
	if e.At == 0 {
		e.At = time.Now().UnixNano()
	}
	return c.emit(measure.Batch{Events: []measure.Event{e}})
}

// emit keeps a batch, without secrets, and then tells the listener.
func (c *Conductor) emit(batch measure.Batch) error {
	batch = c.redacted(batch)
	if health := c.health.Load(); health != nil {
		health.heard(batch)
	}
	if err := c.Recorder.Append(batch); err != nil {
		return fmt.Errorf("keep what was measured: %w", err)
	}
	if c.Listener != nil {
		c.Listener.Heard(batch)
	}
	return nil
}

// undoing remembers what has to be undone, and undoes it in reverse.
type undoing struct {
	steps []func() error
	first func() error // before all others; nil: nothing
}

func (u *undoing) add(step func() error) { u.steps = append(u.steps, step) }

func (u *undoing) all() (err error) {
	if u.first != nil {
		err = u.first()
	}
	for _, step := range slices.Backward(u.steps) {
		err = errors.Join(err, step())
	}
	return err
}
