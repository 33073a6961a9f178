package disrupt

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"resilience/internal/plan"
)

// life is one instance of something that can be killed, paused and restarted:
// a service, a process or a container. Each method returns once what it does
// is done, and was seen to be.
type life interface {
	name() string
	key() any // the same for all that mean the same instance; comparable
	look(ctx context.Context) (vitals, error)
	kill(ctx context.Context, signal string) error
	stop(ctx context.Context) error  // asks, then kills
	start(ctx context.Context) error // unless it runs
	freeze(ctx context.Context) error
	thaw(ctx context.Context) error

	// trace is what undoing a fault from another process needs to know of the
	// instance now; nil when that fault ends with this process.
	trace(ctx context.Context, fault string) (any, error)
}

// vitals is how an instance is.
type vitals struct {
	id      string // another after it was started again; "" when it does not run
	running bool
	paused  bool // so that it could not end
	still   bool // all of it stands still
}

// grip is what the faults of this process do to one instance. Faults that
// overlap add up: it runs again when the last that killed it is lifted, and
// goes on when the last that paused it is.
type grip struct {
	users int // guarded by grips

	mu     sync.Mutex
	down   int  // faults that want it dead
	frozen int  // faults that want it to stand still
	killed bool // whether a fault ended it, and it was not started again
	froze  bool // whether a fault stopped it, and it does not go on yet
}

// grips are the instances that are harmed now.
var grips = struct {
	sync.Mutex
	of map[any]*grip
}{of: map[any]*grip{}}

func gripOn(l life) *grip {
	grips.Lock()
	defer grips.Unlock()
	g := grips.of[l.key()]
	if g == nil {
		g = &grip{}
		grips.of[l.key()] = g
	}
	g.users++
	return g
}

// harmed reports whether a fault of this process has to do with an instance.
func harmed(l life) bool {
	grips.Lock()
	defer grips.Unlock()
	return grips.of[l.key()] != nil
}

func (g *grip) letGo(l life) {
	grips.Lock()
	defer grips.Unlock()
	if g.users--; g.users == 0 {
		delete(grips.of, l.key())
	}
}

// end ends the instance and keeps it down. When it is down already it only has
// to stay so. What it gives is to be given to settle, also after an error;
// nil when the instance was not harmed.
func (g *grip) end(ctx context.Context, l life, by func(context.Context) error) (*int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down > 0 {
		g.down++
		return &g.down, nil
	}
	now, err := l.look(ctx)
	switch {
	case err != nil:
		return nil, err
	case !now.running:
		return nil, fmt.Errorf("%s does not run", l.name())
	case now.paused: // or it could not end
		if err := l.thaw(ctx); err != nil {
			return nil, err
		}
	}
	g.down++
	g.killed = true
	return &g.down, by(ctx)
}

// pause stops the instance where it is. One that is down is paused when it runs
// again. What it gives is as of end.
func (g *grip) pause(ctx context.Context, l life) (*int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down > 0 {
		g.frozen++
		return &g.frozen, nil
	}
	switch now, err := l.look(ctx); {
	case err != nil:
		return nil, err
	case !now.running:
		return nil, fmt.Errorf("%s does not run", l.name())
	}
	g.frozen++
	g.froze = true
	return &g.frozen, l.freeze(ctx)
}

// stands reports whether the instance stands still, where that is what the
// faults want of it.
func (g *grip) stands(ctx context.Context, l life) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down > 0 || !g.froze {
		return true, nil
	}
	now, err := l.look(ctx)
	return now.running && now.still, err
}

// settle takes one fault off, if there is one to release, and brings the
// instance to where the other faults want it. When that failed it may be called
// again, with nothing to release.
func (g *grip) settle(ctx context.Context, l life, release *int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if release != nil {
		*release--
	}
	if g.down > 0 {
		return nil
	}
	if g.killed {
		if err := l.start(ctx); err != nil {
			return fmt.Errorf("start %s again: %w", l.name(), err)
		}
		g.killed, g.froze = false, false
	}
	switch {
	case g.frozen > 0 && !g.froze:
		g.froze = true
		return l.freeze(ctx)
	case g.frozen == 0 && g.froze:
		if err := l.thaw(ctx); err != nil {
			return fmt.Errorf("let %s go on: %w", l.name(), err)
		}
		g.froze = false
	}
	return nil
}

// leftover is what undoing needs: the fault, and the instances.
type leftover[T any] struct {
	Fault     string `json:"fault"`
	Instances []T    `json:"instances"`
}

// traces gives the keepable state of instances, nil when nothing of them
// outlives this process.
func traces(ctx context.Context, fault string, lives []life) (json.RawMessage, error) {
	var all []any
	for _, l := range lives {
		trace, err := l.trace(ctx, fault)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name(), err)
		}
		if trace != nil {
			all = append(all, trace)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return json.Marshal(leftover[any]{fault, all})
}

// undoEach reads what was kept and undoes it for each instance, all at once.
func undoEach[T any](d plan.Disruption, undo json.RawMessage, each func(fault string, of T) error) error {
	var left leftover[T]
	if err := json.Unmarshal(undo, &left); err != nil {
		return fmt.Errorf("disruption %q: what was kept to undo it can not be read: %w", d.Name, err)
	}
	return together(left.Instances, func(of T) error {
		if err := each(left.Fault, of); err != nil {
			return fmt.Errorf("disruption %q: %w", d.Name, err)
		}
		return nil
	})
}

// lifeLimit bounds how long one instance may take to start again.
const lifeLimit = time.Minute
