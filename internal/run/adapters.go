package run

import (
	"context"
	"encoding/json"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Traffic is a generator of traffic for one test and arm. Run sends until the
// test is over or the context ends, hands what it measured to emit, and
// returns once nothing of it is left: no process, no connection. Emit may be
// called from several goroutines. A generator that could not do its work says
// so in events; an error means that it broke, unless it has a method Ended that says
// that the test came to its end, and only what it leaves behind is wrong.
type Traffic interface {
	Run(ctx context.Context, emit func(measure.Batch) error) error
}

// Delayed is a [Traffic] that has to be prepared before it can send: Delay is the
// most that this may take, so that a test is not stopped for it.
type Delayed interface {
	Traffic
	Delay() time.Duration
}

// Disruption is one fault that can be put into effect and lifted.
type Disruption interface {
	// Prepare finds out whether the fault could be injected and on what, and
	// changes nothing. It is called before any traffic: an error says what is
	// missing (nothing selected, no rights, too much selected) and what to do.
	Prepare(ctx context.Context) (measure.Reach, error)

	// Inject returns once the fault is in effect. Before it changes what would
	// outlive this process it hands to keep what [Adapters.Undo] needs to
	// change it back, and does not go on if keep fails; what is handed later
	// replaces what was handed before. A fault that ends with this process by
	// itself does not call keep. When Inject fails, nothing is in effect.
	//
	// Lift returns once the fault is gone and that was verified; an error means
	// that it may still be there. It does not depend on the context given to
	// Inject, may be called more than once, also at the same time, and gives
	// the same answer each time.
	Inject(ctx context.Context, keep func(undo json.RawMessage) error) (lift func(context.Context) (measure.Touch, error), err error)
}

// Dependency is a proxy in front of something the system under test calls.
type Dependency interface {
	URL() string  // what services are told to call
	Port() int    // where it listens
	Close() error // ends open connections and reports what was not yet emitted
}

// Telemetry asks the monitoring of the system under test. Run asks until over
// is closed, then for the last seconds before that, and returns; when the
// context ends it returns at once. It hands what it learned to emit, which may
// be called from several goroutines. That the monitoring does not answer is
// told in events; an error means that nothing more can be kept.
type Telemetry interface {
	Run(ctx context.Context, over <-chan struct{}, emit func(measure.Batch) error) error
}

// Recorder keeps what happens, durably, before it returns.
type Recorder interface {
	Append(batch measure.Batch) error
}

// Listener is told what happens as it happens; the live view is one. It must
// not block.
type Listener interface {
	Heard(batch measure.Batch)
	Judged(verdict gates.Verdict)
}

// Adapters are the outside world of a run: how traffic, proxies, disruptions
// and questions to the monitoring are made.
type Adapters struct {
	Traffic    func(plan.Stream) (Traffic, error)
	Dependency func(ctx context.Context, name string, d plan.Dependency, phase string, emit func(measure.Batch) error) (Dependency, error)
	Disruption func(d plan.Disruption, site Site) (Disruption, error)

	// Telemetry makes what asks the monitoring during one phase.
	Telemetry func(plan.Observation) (Telemetry, error)

	// Undo lifts a fault that another process injected, from what that one
	// handed to keep. It may be called for a fault that is gone already, and
	// returns nil once that was verified.
	Undo func(ctx context.Context, d plan.Disruption, undo json.RawMessage, site Site) error

	// Image gives the digest of the image that the containers or pods of a
	// version run, all of them the same.
	Image func(ctx context.Context, v plan.Version, dir string) (string, error)

	// Control takes orders for proxies of this process from k6's scripts, on
	// loopback and with a token of its own, until it is stopped: that lifts
	// what they injected. Nil: scripts can not reach proxies.
	Control func(proxies map[string]Dependency) (where plan.Control, stop func() error, err error)
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

	// Spares is an error where a disruption would hurt users, for what a driver
	// knows only now. Nil when undoing.
	Spares func(plan.Disruption) error

	// Note records what else happened to the target, of the kinds
	// [measure.EventChange] and [measure.EventWarning]. It must not be nil.
	Note func(kind, name string, attrs map[string]string)
}

// Service controls one service of the plan. Its methods may be called at the
// same time.
type Service interface {
	Pid() int                        // of the leader of its process group; 0 when it does not run
	Expect(death bool)               // while true, that it ends is part of a disruption and not its own failure
	Stop(ctx context.Context) error  // as at the end of a phase: asks, then kills
	Start(ctx context.Context) error // again, at the same port, if it does not run; returns when it is ready
}
