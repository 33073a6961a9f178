package run

import (
	"context"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Traffic is a generator of traffic for one test and arm. Run sends until the
// test is over or the context ends, hands what it measured to emit, and
// returns once nothing of it is left: no process, no connection. Emit may be
// called from several goroutines. A generator that could not do its work says
// so in events; an error means that it broke.
type Traffic interface {
	Run(ctx context.Context, emit func(measure.Batch) error) error
}

// Disruption is one fault that can be put into effect and lifted. Inject
// returns once the fault is in effect. Lift may be called more than once and
// gives the same answer each time.
type Disruption interface {
	Inject(ctx context.Context) (lift func(context.Context) (measure.Touch, error), err error)
}

// Dependency is a proxy in front of something the system under test calls.
type Dependency interface {
	URL() string  // what services are told to call
	Port() int    // where it listens
	Close() error // ends open connections and reports what was not yet emitted
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

// Adapters are the outside world of a run: how traffic, proxies and
// disruptions are made.
type Adapters struct {
	Traffic    func(plan.Stream) (Traffic, error)
	Dependency func(ctx context.Context, name string, d plan.Dependency, phase string, emit func(measure.Batch) error) (Dependency, error)
	Disruption func(d plan.Disruption, on Dependency, seed int64) (Disruption, error)
}
