package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Limits of what is remembered and allowed at a time.
const (
	maxActive = 256  // faults in effect
	maxOver   = 1024 // faults that are over: to answer whoever lifts them late
)

// DefaultTTL is how long a fault on a proxy elsewhere outlives the last sign
// of life of whoever ordered it, unless somebody says otherwise.
const DefaultTTL = 15 * time.Second

// liftPatience is how long an unasked lifting may take before it is tried
// again, and liftPause how long after that.
const (
	liftPatience = 5 * time.Second
	liftPause    = time.Second
)

// ErrGone says that a fault is not in effect any more, or never was.
var ErrGone = errors.New("the fault is gone")

// Leases put faults on a set of proxies for a limited time. A fault that is not
// renewed within its time to live is lifted unasked, whatever became of those
// who ordered it: that is what a remote control is built on. They know nothing
// of how orders come in: [NewControl] serves them over HTTP; an agent may read
// them as JSON lines ([Order]) and write a [Lease] for each.
//
// The time to live is measured by the monotonic clock, so that setting the
// clock of the machine makes no difference. All methods may be called at the
// same time.
type Leases struct {
	// Keep is handed what a fault needs to be undone should this process die,
	// before it is injected; see [Disruption]. Where it is nil, faults that
	// would outlive the process are refused.
	Keep func(o Order, undo json.RawMessage) error

	proxies map[string]Dependency
	limit   time.Duration

	mu     sync.Mutex
	all    map[string]*lease
	over   []string // ids of those that are over, the oldest first
	closed bool
	timers sync.WaitGroup
}

// lease is one fault. Its fields are guarded by the mutex of Leases; turn
// makes one operation wait for the other.
type lease struct {
	Lease
	turn     sync.Mutex
	fault    Disruption
	lift     func(context.Context) (measure.Touch, error)
	deadline time.Time
	timer    *time.Timer
}

// NewLeases makes leases on proxies by their names. No fault lives longer than
// limit without being renewed; zero stands for [DefaultTTL].
func NewLeases(proxies map[string]Dependency, limit time.Duration) *Leases {
	if limit <= 0 {
		limit = DefaultTTL
	}
	return &Leases{proxies: proxies, limit: limit, all: map[string]*lease{}}
}

// Inject puts a fault into effect, and gives the time to live that it was
// granted: what was asked for or the limit, whichever is less. Ordering the
// same again is harmless. What is over can not be ordered again: [ErrGone].
func (l *Leases) Inject(ctx context.Context, o Order) (Lease, error) {
	if err := o.check(); err != nil {
		return Lease{}, err
	}
	fault, err := l.fault(o)
	if err != nil {
		return Lease{}, err
	}
	one, err := l.enter(o, fault)
	if err != nil {
		return Lease{}, err
	}
	one.turn.Lock()
	defer one.turn.Unlock()
	if now := l.look(one); now.State != StatePending {
		return l.again(now)
	}
	return l.inject(ctx, one, o)
}

// Check finds out whether a fault could be put into effect, and changes nothing.
func (l *Leases) Check(ctx context.Context, o Order) error {
	fault, err := l.fault(o)
	if err == nil {
		_, err = fault.Prepare(ctx)
	}
	return err
}

// fault makes what an order asks for, without putting it into effect.
func (l *Leases) fault(o Order) (Disruption, error) {
	on, ok := l.proxies[o.Proxy]
	if !ok {
		return nil, fmt.Errorf("there is no proxy %q here: there is %s", o.Proxy, strings.Join(slices.Sorted(maps.Keys(l.proxies)), ", "))
	}
	o.Disruption.Dependency = o.Proxy
	return on.Disruption(o.Disruption, o.Seed)
}

// enter makes a lease, or finds the one that there is.
func (l *Leases) enter(o Order, fault Disruption) (*lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.all[o.ID]; one != nil {
		return one, nil
	}
	if l.closed {
		return nil, errors.New("not injected: the proxies are being closed")
	}
	if len(l.all)-len(l.over) >= maxActive {
		return nil, fmt.Errorf("not injected: %d faults are in effect already", maxActive)
	}
	kind, _ := o.Disruption.Fault()
	ttl := l.limit
	if o.TTL > 0 {
		ttl = min(o.TTL, l.limit)
	}
	one := &lease{fault: fault, Lease: Lease{
		ID: o.ID, Proxy: o.Proxy, Name: o.Disruption.Name, Fault: kind, State: StatePending, TTL: plan.Duration(ttl),
	}}
	l.all[o.ID] = one
	return one, nil
}

// again answers an order that came before.
func (l *Leases) again(now Lease) (Lease, error) {
	switch now.State {
	case StateFailed:
		return now, errors.New(now.Error)
	case StateActive:
		return now, nil
	}
	return now, fmt.Errorf("%w: it was %s", ErrGone, now.State)
}

func (l *Leases) inject(ctx context.Context, one *lease, o Order) (Lease, error) {
	lift, err := one.fault.Inject(ctx, func(undo json.RawMessage) error { return l.keep(one, o, undo) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		one.Error = err.Error()
		l.finish(one, StateFailed)
		return one.Lease, err
	}
	one.State, one.lift = StateActive, lift
	one.deadline = time.Now().Add(time.Duration(one.TTL))
	l.timers.Add(1)
	one.timer = time.AfterFunc(time.Duration(one.TTL), func() { l.expire(one) })
	return l.view(one), nil
}

// forgotten is a disruption that may call keep although it ends by itself once
// nobody renews it: its journal only makes that faster.
type forgotten interface{ endsUnrenewed() }

// errOutlives refuses a fault that nobody could undo if this process died.
var errOutlives = errors.New("it would outlive the run, should that be killed: inject it from the plan instead")

// keep hands on what undoing a fault needs, or refuses the fault.
func (l *Leases) keep(one *lease, o Order, undo json.RawMessage) error {
	if l.Keep != nil {
		return l.Keep(o, undo)
	}
	if _, ok := one.fault.(forgotten); ok {
		return nil
	}
	return errOutlives
}

// Renew lets a fault live for its whole time to live from now, and tells how it
// is. It gives [ErrGone] for one that is not in effect, or that is being lifted
// because its time is over, with what is known of it.
func (l *Leases) Renew(id string) (Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.all[id]
	switch {
	case one == nil:
		return Lease{ID: id}, fmt.Errorf("%w: there is none with the id %.80q", ErrGone, id)
	case one.State != StateActive:
		return l.view(one), fmt.Errorf("%w: it was %s", ErrGone, one.State)
	case !time.Now().Before(one.deadline): // its timer is about to lift it
		return l.view(one), fmt.Errorf("%w, or about to be: it was not renewed in time", ErrGone)
	}
	one.deadline = time.Now().Add(time.Duration(one.TTL))
	return l.view(one), nil
}

// Lift ends a fault and returns once it is gone. It may be called again, and
// for a fault that is over, and then tells how that ended. One that was never
// ordered can not be ordered after it was lifted: orders may overtake each
// other on their way. An error means that the fault may still be in effect;
// it is then lifted at the end of its time, and that is tried until it works.
func (l *Leases) Lift(ctx context.Context, id string) (Lease, error) {
	if !orderID.MatchString(id) {
		return Lease{}, Order{ID: id}.check()
	}
	l.mu.Lock()
	one := l.all[id]
	if one == nil {
		one = &lease{Lease: Lease{ID: id}}
		l.all[id] = one
		l.finish(one, StateLifted)
	}
	l.mu.Unlock()
	return l.end(ctx, one, StateLifted)
}

// end lifts a fault unless it is over.
func (l *Leases) end(ctx context.Context, one *lease, state string) (Lease, error) {
	one.turn.Lock()
	defer one.turn.Unlock()
	if now := l.look(one); now.State != StateActive {
		if now.State == StatePending { // was entered, and not injected yet
			l.mu.Lock()
			defer l.mu.Unlock()
			l.finish(one, state)
			return one.Lease, nil
		}
		return now, nil
	}
	touch, err := one.lift(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	one.Matched, one.Touched, one.Unit, one.Names = touch.Matched, touch.Touched, touch.Unit, touch.Names
	if err != nil {
		one.Error = err.Error()
		return l.view(one), fmt.Errorf("disruption %q may still be in effect: %w", one.Name, err)
	}
	one.Error = ""
	if one.timer.Stop() {
		l.timers.Done()
	}
	l.finish(one, state)
	return one.Lease, nil
}

// expire lifts a fault whose time is over, and comes back if it is not, or if
// lifting did not work.
func (l *Leases) expire(one *lease) {
	defer l.timers.Done()
	l.mu.Lock()
	if left := time.Until(one.deadline); left > 0 && one.State == StateActive {
		l.rewind(one, left)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), liftPatience)
	defer cancel()
	if _, err := l.end(ctx, one, StateExpired); err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.rewind(one, liftPause)
	}
}

// rewind sets the timer of a lease anew; l.mu is held.
func (l *Leases) rewind(one *lease, in time.Duration) {
	l.timers.Add(1)
	one.timer.Reset(in)
}

// finish remembers how a fault ended, and forgets the oldest; l.mu is held.
func (l *Leases) finish(one *lease, state string) {
	one.State, one.fault, one.lift = state, nil, nil
	l.over = append(l.over, one.ID)
	if len(l.over) > maxOver {
		delete(l.all, l.over[0])
		l.over = l.over[1:]
	}
}

// Status tells of all faults that are in effect, and of the latest that are
// over, sorted by their ids.
func (l *Leases) Status() []Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Lease, 0, len(l.all))
	for _, id := range slices.Sorted(maps.Keys(l.all)) {
		out = append(out, l.view(l.all[id]))
	}
	return out
}

// Close lifts everything and refuses what comes later. It returns once all
// faults are gone; an error names those that may not be.
func (l *Leases) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	all := slices.Collect(maps.Values(l.all))
	l.mu.Unlock()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() { _, errs[i] = l.end(ctx, one, StateLifted) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err // their timers go on trying
	}
	l.timers.Wait()
	return nil
}

func (l *Leases) look(one *lease) Lease {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.view(one)
}

// counting is a disruption that can tell what it touched before it is lifted.
type counting interface{ SoFar() measure.Touch }

// view is a lease as it is now; l.mu is held.
func (l *Leases) view(one *lease) Lease {
	out := one.Lease
	if one.State != StateActive {
		return out
	}
	out.Left = plan.Duration(max(0, time.Until(one.deadline)))
	if c, ok := one.fault.(counting); ok {
		t := c.SoFar()
		out.Matched, out.Touched, out.Unit, out.Names = t.Matched, t.Touched, t.Unit, t.Names
	}
	return out
}
