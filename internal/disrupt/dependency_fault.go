package disrupt

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// local is a fault on a proxy of this process that does not look into
// requests. It may be injected again after it was lifted, and then makes the
// same decisions again.
type local struct {
	name   string
	bounds bounds
	unit   string // of what is touched

	// start puts the fault into effect on what t takes. Stop takes it out of
	// effect and releases what it holds back; it is called until it worked.
	start func(t *tally) (stop func() error, err error)

	mu      sync.Mutex
	current *tally // nil when not in effect
}

// newLocal makes a fault for a proxy with a name. It refuses what is wrong
// with how far the fault should reach.
func newLocal(on string, d plan.Disruption, seed int64, unit string, start func(*tally) (func() error, error)) (Disruption, error) {
	if d.Dependency != on {
		return nil, fmt.Errorf("disruption %q: is for dependency %q, not for %q", d.Name, d.Dependency, on)
	}
	if d.Match != nil {
		return nil, fmt.Errorf("disruption %q: there are no requests to match here: leave out match", d.Name)
	}
	bounds, err := readBounds(d, seed)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	return &local{name: d.Name, bounds: bounds, unit: unit, start: start}, nil
}

// Prepare has nothing to find out but what is counted: the proxy is here.
func (l *local) Prepare(context.Context) (measure.Reach, error) {
	return measure.Reach{Unit: l.unit}, nil
}

// Inject implements [Disruption]. It keeps nothing: the fault ends with this
// process.
func (l *local) Inject(ctx context.Context, _ func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("disruption %q: not injected: %w", l.name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != nil {
		return nil, fmt.Errorf("disruption %q: already in effect: lift it first", l.name)
	}
	t := l.bounds.begin()
	stop, err := l.start(t)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: not injected: %w", l.name, err)
	}
	l.current = t
	return once(func(context.Context) (measure.Touch, error) { return l.lift(t, stop) }), nil
}

func (l *local) lift(t *tally, stop func() error) (measure.Touch, error) {
	touch := t.end()
	touch.Unit = l.unit
	if err := stop(); err != nil {
		return touch, fmt.Errorf("disruption %q: %w", l.name, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = nil
	return touch, nil
}

// SoFar tells what the fault has touched while it is in effect.
func (l *local) SoFar() measure.Touch {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil {
		return measure.Touch{}
	}
	touch := l.current.soFar()
	touch.Unit = l.unit
	return touch
}

// waitTurn waits until a fault that flaps comes or goes; it is false when done was
// closed before.
func (t *tally) waitTurn(done <-chan struct{}) bool {
	_, until := t.acts(time.Now())
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-done:
		return false
	case <-timer.C:
		return true
	}
}

// acts tells whether a fault that flaps is on at a moment, and when that
// changes.
func (t *tally) acts(now time.Time) (on bool, until time.Time) {
	cycle := t.on + t.off
	into := now.Sub(t.start) % cycle
	if into < t.on {
		return true, now.Add(t.on - into)
	}
	return false, now.Add(cycle - into)
}
