package disrupt

import (
	"context"
	"encoding/json"
	"fmt"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Disruption is one fault that can be put into effect and lifted.
type Disruption interface {
	// Prepare finds out whether the fault could be injected and on what, and
	// changes nothing. An error says what is missing (nothing selected, no
	// rights, too much selected) and what to do.
	Prepare(ctx context.Context) (measure.Reach, error)

	// Inject returns once the fault is in effect. Before it changes what would
	// outlive this process it hands to keep what [Undo] needs to change it
	// back, and does not go on if keep fails; what is handed later replaces
	// what was handed before. A fault that ends with this process by itself
	// does not call keep. When Inject fails, nothing is in effect.
	//
	// Lift returns once the fault is gone and that was verified; an error means
	// that it may still be there. It does not depend on the context given to
	// Inject, and may be called more than once, also at the same time: after an
	// error it tries again, and once it worked it gives the same answer each
	// time.
	Inject(ctx context.Context, keep func(undo json.RawMessage) error) (lift func(context.Context) (measure.Touch, error), err error)
}

// Dependency is a proxy in front of something that the system calls, in this
// process or elsewhere.
type Dependency interface {
	URL() string  // what callers use instead of the dependency
	Port() int    // where it listens
	Close() error // ends open connections and reports what was not yet emitted
	Disruption(d plan.Disruption, seed int64) (Disruption, error)
}

// Service controls one service of the plan. Its methods may be called at the
// same time.
type Service interface {
	Pid() int                        // of the leader of its process group; 0 when it does not run
	Expect(death bool)               // while true, that it ends is part of a disruption and not its own failure
	Stop(ctx context.Context) error  // as at the end of a phase: asks, then kills
	Start(ctx context.Context) error // again, at the same port, if it does not run; returns when it is ready
}

// Site is what a disruption may need to know of the run around it.
type Site struct {
	Run          string // the id of the run; names what is made elsewhere
	Phase        string
	Dir          string   // of the plan: relative paths and commands start there
	Env          []string // for commands: KEY=value
	Seed         int64
	Dependencies map[string]Dependency
	Services     map[string]Service // running; none when undoing

	// Spares is an error where a disruption would hurt users, for what is known
	// only now; nil where nobody minds.
	Spares func(plan.Disruption) error

	// Note records what else happened to the target, of the kinds
	// [measure.EventChange] and [measure.EventWarning].
	Note func(kind, name string, attrs map[string]string)
}

// driver makes the disruptions of one kind of thing that they act on.
type driver struct {
	disruption func(d plan.Disruption, s Site) (Disruption, error)
	// undo lifts what another process injected, from what that one kept. It
	// may be called for a fault that is gone already, and returns nil once
	// that was verified. Nil where faults end with their process.
	undo func(ctx context.Context, d plan.Disruption, undo json.RawMessage, s Site) error
}

// drivers is everything that a disruption can act on.
var drivers = map[string]driver{
	plan.OnDependency: {disruption: onDependency, undo: undoDependency},
	plan.OnServices:   {disruption: onServices, undo: undoServices},
	plan.OnProcess:    {disruption: onProcess, undo: undoProcess},
	plan.OnContainer:  {disruption: onContainer, undo: undoContainer},
	plan.OnKubernetes: {disruption: onKubernetes, undo: undoKubernetes},
	plan.OnMachine:    {disruption: onMachine},
	plan.OnAnything:   {disruption: onAnything, undo: undoAnything},
}

// New makes a disruption of a plan ready to be injected. Its placeholders must
// have been bound.
func New(d plan.Disruption, s Site) (Disruption, error) {
	kind, _ := d.On()
	driver, ok := drivers[kind]
	if !ok {
		return nil, fmt.Errorf("disruption %q: nothing here can act on %s", d.Name, kind)
	}
	return driver.disruption(d, s)
}

// Undo lifts a fault that another process injected, from what that one handed
// to keep. It may be called for a fault that is gone already, and returns nil
// once that was verified.
func Undo(ctx context.Context, d plan.Disruption, undo json.RawMessage, s Site) error {
	kind, _ := d.On()
	driver, ok := drivers[kind]
	if !ok || driver.undo == nil {
		return fmt.Errorf("disruption %q: a fault on %s can not be undone from outside its process", d.Name, kind)
	}
	return driver.undo(ctx, d, undo, s)
}

func onDependency(d plan.Disruption, s Site) (Disruption, error) {
	on, ok := s.Dependencies[d.Dependency]
	if !ok {
		return nil, fmt.Errorf("disruption %q: dependency %q has no proxy", d.Name, d.Dependency)
	}
	return on.Disruption(d, s.Seed)
}
