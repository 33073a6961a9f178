package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// pretend is a dependency that remembers which faults are in effect.
type pretend struct {
	mu     sync.Mutex
	active map[string]int // by the name of the disruption
	fail   error          // of lifting
	hold   chan struct{}  // what Inject waits for
}

func newPretend() *pretend { return &pretend{active: map[string]int{}} }

func (p *pretend) URL() string  { return "http://127.0.0.1:1" }
func (p *pretend) Port() int    { return 1 }
func (p *pretend) Close() error { return nil }

func (p *pretend) Disruption(d plan.Disruption, _ int64) (Disruption, error) {
	if d.Dependency != "dep" {
		return nil, fmt.Errorf("is for %q", d.Dependency)
	}
	return &pretended{on: p, name: d.Name}, nil
}

func (p *pretend) in(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.active[name]
}

func (p *pretend) failing(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fail = err
}

type pretended struct {
	on   *pretend
	name string
}

func (d *pretended) Prepare(context.Context) (measure.Reach, error) { return measure.Reach{}, nil }

func (d *pretended) SoFar() measure.Touch { return measure.Touch{Matched: 2, Touched: 1} }

func (d *pretended) Inject(_ context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	if err := keep(json.RawMessage(`{}`)); err != nil {
		return nil, err
	}
	if d.on.hold != nil {
		<-d.on.hold
	}
	d.on.mu.Lock()
	defer d.on.mu.Unlock()
	if d.name == "bad" {
		return nil, errors.New("can not be injected")
	}
	d.on.active[d.name]++
	return func(context.Context) (measure.Touch, error) {
		d.on.mu.Lock()
		defer d.on.mu.Unlock()
		if d.on.fail != nil {
			return measure.Touch{}, d.on.fail
		}
		d.on.active[d.name]--
		return measure.Touch{Matched: 4, Touched: 3}, nil
	}, nil
}

func order(id, name string, ttl time.Duration) Order {
	return Order{ID: id, Proxy: "dep", TTL: ttl, Disruption: plan.Disruption{
		Name: name, For: plan.Duration(time.Hour), Latency: &plan.Latency{Delay: plan.Duration(time.Second)},
	}}
}

// leased runs a test on leases of at most ten seconds, in virtual time.
func leased(t *testing.T, test func(t *testing.T, l *Leases, p *pretend)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPretend()
		l := NewLeases(map[string]Dependency{"dep": p}, 10*time.Second)
		l.Keep = func(Order, json.RawMessage) error { return nil }
		test(t, l, p)
		require.NoError(t, l.Close(t.Context()))
		require.Zero(t, p.in("slow"))
	})
}

func TestLeaseExpires(t *testing.T) {
	leased(t, func(t *testing.T, l *Leases, p *pretend) {
		lease, err := l.Inject(t.Context(), order("a", "slow", time.Minute))
		require.NoError(t, err)
		require.Equal(t, Lease{
			ID: "a", Proxy: "dep", Name: "slow", Fault: "latency", State: StateActive,
			TTL: plan.Duration(10 * time.Second), Left: plan.Duration(10 * time.Second), Matched: 2, Touched: 1,
		}, lease, "the limit comes before what was asked for")
		wait(10*time.Second - 1)
		require.Equal(t, 1, p.in("slow"))
		wait(1)
		require.Zero(t, p.in("slow"))
		lease, err = l.Renew("a")
		require.ErrorIs(t, err, ErrGone)
		require.Equal(t, StateExpired, lease.State)
		lease, err = l.Lift(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, StateExpired, lease.State)
		require.Equal(t, measure.Touch{Matched: 4, Touched: 3}, lease.Touch())
		_, err = l.Inject(t.Context(), order("a", "slow", 0))
		require.ErrorIs(t, err, ErrGone, "what is over can not come again")
		require.Zero(t, p.in("slow"))
	})
}

// wait lets virtual time pass, and all that happens in it.
func wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestLeaseLivesWhileRenewed(t *testing.T) {
	leased(t, func(t *testing.T, l *Leases, p *pretend) {
		_, err := l.Inject(t.Context(), order("a", "slow", 3*time.Second))
		require.NoError(t, err)
		for range 20 {
			wait(2900 * time.Millisecond)
			lease, err := l.Renew("a")
			require.NoError(t, err)
			require.Equal(t, plan.Duration(3*time.Second), lease.Left)
			require.Equal(t, 1, p.in("slow"))
		}
		wait(3 * time.Second)
		require.Zero(t, p.in("slow"))
	})
}

func TestLeaseIsLifted(t *testing.T) {
	leased(t, func(t *testing.T, l *Leases, p *pretend) {
		for range 2 {
			_, err := l.Inject(t.Context(), order("a", "slow", 0))
			require.NoError(t, err)
			require.Equal(t, 1, p.in("slow"), "ordering twice is harmless")
		}
		for range 2 {
			lease, err := l.Lift(t.Context(), "a")
			require.NoError(t, err)
			require.Equal(t, StateLifted, lease.State)
			require.Equal(t, measure.Touch{Matched: 4, Touched: 3}, lease.Touch())
			require.Zero(t, p.in("slow"))
		}
		wait(time.Minute) // nothing is left that would fire
		require.Zero(t, p.in("slow"))
	})
}

func TestLiftingOvertakesTheOrder(t *testing.T) {
	leased(t, func(t *testing.T, l *Leases, p *pretend) {
		lease, err := l.Lift(t.Context(), "a")
		require.NoError(t, err)
		require.True(t, lease.Over())
		_, err = l.Inject(t.Context(), order("a", "slow", 0))
		require.ErrorIs(t, err, ErrGone)
		require.Zero(t, p.in("slow"))
	})
}

func TestLiftingWaitsForTheInjection(t *testing.T) {
	leased(t, func(t *testing.T, l *Leases, p *pretend) {
		p.hold = make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = l.Inject(t.Context(), order("a", "slow", 0)) })
		synctest.Wait()
		wg.Go(func() {
			lease, err := l.Lift(t.Context(), "a")
			if err != nil || lease.State != StateLifted {
				t.Errorf("got %v and %v", lease, err)
			}
		})
		_, err := l.Renew("a")
		require.ErrorIs(t, err, ErrGone, "not in effect yet")
		close(p.hold)
		wg.Wait()
		require.Zero(t, p.in("slow"))
	})
}

func TestLeaseIsLiftedAgainUntilThatWorks(t *testing.T) {
	leased(t, func(t *testing.T, l *Leases, p *pretend) {
		_, err := l.Inject(t.Context(), order("a", "slow", 0))
		require.NoError(t, err)
		p.failing(errors.New("no way"))
		lease, err := l.Lift(t.Context(), "a")
		require.ErrorContains(t, err, `"slow" may still be in effect: no way`)
		require.False(t, lease.Over())
		require.Equal(t, "no way", lease.Error)
		require.ErrorContains(t, l.Close(t.Context()), "no way")
		wait(20 * time.Second)
		require.Equal(t, 1, p.in("slow"))
		p.failing(nil)
		wait(liftPause)
		require.Zero(t, p.in("slow"))
		lease, err = l.Lift(t.Context(), "a")
		require.NoError(t, err)
		require.Empty(t, lease.Error)
		require.Equal(t, StateExpired, lease.State)
	})
}

func TestOrdersThatAreWrong(t *testing.T) {
	leased(t, func(t *testing.T, l *Leases, p *pretend) {
		elsewhere, negative, bad := order("a", "slow", 0), order("b", "slow", -1), order("c", "bad", 0)
		elsewhere.Proxy = "stock"
		for want, o := range map[string]Order{
			"the id of a fault is 1 to 64":            order("a b", "slow", 0),
			"ttl can not be negative":                 negative,
			`no proxy "stock" here: there is dep`:     elsewhere,
			"can not be injected":                     bad,
			`the id of a fault is 1 to 64 letters, d`: order("", "slow", 0),
		} {
			_, err := l.Inject(t.Context(), o)
			require.ErrorContains(t, err, want)
		}
		_, err := l.Inject(t.Context(), bad)
		require.ErrorContains(t, err, "can not be injected", "it is told again")
		lease, err := l.Lift(t.Context(), "c")
		require.NoError(t, err)
		require.Equal(t, StateFailed, lease.State)

		l.Keep = func(Order, json.RawMessage) error { return errFull }
		_, err = l.Inject(t.Context(), order("d", "slow", 0))
		require.ErrorIs(t, err, errFull)
		require.Zero(t, p.in("slow"))

		l.Keep = nil // and nobody else could undo it
		_, err = l.Inject(t.Context(), order("e", "slow", 0))
		require.ErrorContains(t, err, "would outlive the run")
		require.Zero(t, p.in("slow"))
	})
}

func TestLeasesAreBounded(t *testing.T) {
	leased(t, func(t *testing.T, l *Leases, p *pretend) {
		for i := range maxActive {
			_, err := l.Inject(t.Context(), order(fmt.Sprint(i), "slow", 0))
			require.NoError(t, err)
		}
		_, err := l.Inject(t.Context(), order("more", "slow", 0))
		require.ErrorContains(t, err, "256 faults are in effect already")
		require.Equal(t, maxActive, p.in("slow"))
		wait(10 * time.Second)
		require.Zero(t, p.in("slow"))
		for i := range maxOver + 10 {
			_, err := l.Lift(t.Context(), fmt.Sprint("other", i))
			require.NoError(t, err)
		}
		require.Len(t, l.Status(), maxOver)
	})
}

func TestClosedLeasesTakeNoOrders(t *testing.T) {
	leased(t, func(t *testing.T, l *Leases, p *pretend) {
		_, err := l.Inject(t.Context(), order("a", "slow", 0))
		require.NoError(t, err)
		require.NoError(t, l.Close(t.Context()))
		require.Zero(t, p.in("slow"))
		_, err = l.Inject(t.Context(), order("b", "slow", 0))
		require.ErrorContains(t, err, "are being closed")
	})
}

func TestOrderAsJSON(t *testing.T) {
	o := order("a", "slow", 15*time.Second)
	o.Disruption.Dependency, o.Seed = "dep", -7
	settle := plan.Duration(10 * time.Second)
	o.Disruption.Settle, o.Disruption.Share = &settle, 0.5
	text, err := json.Marshal(o)
	require.NoError(t, err)
	require.JSONEq(t, `{"id": "a", "proxy": "dep", "seed": -7, "ttl": "15s", "disruption":
		{"name": "slow", "dependency": "dep", "for": "1h", "settle": "10s", "share": "50%", "latency": {"delay": "1s"}}}`, string(text))
	var back Order
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, o, back)
	for text, want := range map[string]string{
		`{"proxy": "dep", "disruption": {"name": "slow"}, "tll": "1s"}`: `unknown field "tll"`,
		`{"proxy": "dep", "ttl": 15}`:                                   "ttl",
		`{"proxy": "dep"}`:                                              "wants a disruption",
		`{"proxy": "dep", "disruption": {"name": "slow"}}`:              "a disruption wants for:",
	} {
		require.ErrorContains(t, json.Unmarshal([]byte(text), &back), want)
	}
}
