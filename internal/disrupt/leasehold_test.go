package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// wire leads from a controller to a control, without a network, so that time
// can be virtual.
type wire struct {
	mu       sync.Mutex
	to       http.Handler
	cut      bool // nothing arrives
	deaf     bool // what arrives is not answered
	renewals int
	warnings []string
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	to, cut, deaf := w.to, w.cut, w.deaf
	if strings.HasSuffix(r.URL.Path, "/renew") {
		w.renewals++
	}
	w.mu.Unlock()
	if cut {
		return nil, errors.New("no route to host")
	}
	httptrace.ContextClientTrace(r.Context()).GotConn(httptrace.GotConnInfo{})
	got := httptest.NewRecorder()
	to.ServeHTTP(got, r)
	if deaf {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	return got.Result(), nil
}

func (w *wire) set(change func(*wire)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

func (w *wire) warned() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.warnings, "\n")
}

// wired runs a test on a controller of a pretended proxy, in virtual time.
func wired(t *testing.T, test func(t *testing.T, c *Controller, w *wire, p *pretend)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPretend()
		control := NewControl(map[string]Dependency{"dep": p}, testToken, 9*time.Second)
		control.Leases().Keep = func(Order, json.RawMessage) error { return nil }
		w := &wire{to: control}
		c, err := NewController("http://control.example", testToken, nil)
		require.NoError(t, err)
		c.client.Transport = w
		c.Warn = func(disruption, detail string) {
			w.set(func(w *wire) { w.warnings = append(w.warnings, disruption+": "+detail) })
		}
		test(t, c, w, p)
		require.NoError(t, control.Close(t.Context()))
	})
}

func TestFaultElsewhereLivesUntilLifted(t *testing.T) {
	wired(t, func(t *testing.T, c *Controller, w *wire, p *pretend) {
		lift, err := c.Inject(t.Context(), "dep", delayed(time.Second), 1)
		require.NoError(t, err)
		wait(time.Hour + time.Second)
		require.Equal(t, 1, p.in("slow"))
		require.Equal(t, 1200, w.renewals, "three times within its time to live")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				touch, err := lift(t.Context())
				if err != nil || touch.Matched != 4 || touch.Touched != 3 {
					t.Errorf("got %v and %v", touch, err)
				}
			})
		}
		wg.Wait()
		require.Zero(t, p.in("slow"))
		touch, err := lift(cancelled(t))
		require.NoError(t, err, "it is known already")
		require.Equal(t, measure.Touch{Matched: 4, Touched: 3}, touch)
		require.Empty(t, w.warned())
	})
}

func TestLiftingNeedsNoContextThatLasts(t *testing.T) {
	wired(t, func(t *testing.T, c *Controller, _ *wire, p *pretend) {
		lift, err := c.Inject(t.Context(), "dep", delayed(time.Second), 1)
		require.NoError(t, err)
		_, err = lift(cancelled(t))
		require.NoError(t, err)
		require.Zero(t, p.in("slow"))
	})
}

func TestFaultEndsWithTheConnection(t *testing.T) {
	wired(t, func(t *testing.T, c *Controller, w *wire, p *pretend) {
		lift, err := c.Inject(t.Context(), "dep", delayed(time.Second), 1)
		require.NoError(t, err)
		wait(4 * time.Second) // it was renewed once
		w.set(func(w *wire) { w.cut = true })
		wait(2500 * time.Millisecond)
		require.Contains(t, w.warned(), "slow: the fault could not be renewed, and is lifted by the proxy in at most 9s")
		wait(6 * time.Second)
		require.Zero(t, p.in("slow"), "the proxy lifts it")
		require.Equal(t, 1, strings.Count(w.warned(), "\n")+1, "once is enough")

		w.set(func(w *wire) { w.cut = false })
		wait(2 * time.Second)
		require.Contains(t, w.warned(), "was lifted by the proxy before its time")
		touch, err := lift(t.Context())
		require.NoError(t, err)
		require.NotZero(t, touch.Gone, "it was gone before")
		touch.Gone = 0
		require.Equal(t, measure.Touch{Matched: 4, Touched: 3}, touch)
	})
}

func TestShortInterruptionsDoNoHarm(t *testing.T) {
	wired(t, func(t *testing.T, c *Controller, w *wire, p *pretend) {
		lift, err := c.Inject(t.Context(), "dep", delayed(time.Second), 1)
		require.NoError(t, err)
		for range 5 {
			w.set(func(w *wire) { w.cut = true })
			wait(5 * time.Second)
			w.set(func(w *wire) { w.cut = false })
			wait(10 * time.Second)
			require.Equal(t, 1, p.in("slow"))
		}
		_, err = lift(t.Context())
		require.NoError(t, err)
		require.Equal(t, 5, strings.Count(w.warned(), "could not be renewed"))
	})
}

func TestLiftingWaitsForTheControl(t *testing.T) {
	wired(t, func(t *testing.T, c *Controller, w *wire, p *pretend) {
		lift, err := c.Inject(t.Context(), "dep", delayed(time.Second), 1)
		require.NoError(t, err)
		w.set(func(w *wire) { w.cut = true })
		time.AfterFunc(3*time.Second, func() { w.set(func(w *wire) { w.cut = false }) })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = lift(ctx)
		require.NoError(t, err)
		require.Zero(t, p.in("slow"))
		require.Empty(t, w.warned())
	})
}

func TestLiftingThatCanNotBeConfirmedIsAnError(t *testing.T) {
	wired(t, func(t *testing.T, c *Controller, w *wire, p *pretend) {
		lift, err := c.Inject(t.Context(), "dep", delayed(time.Second), 1)
		require.NoError(t, err)
		w.set(func(w *wire) { w.cut = true })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = lift(ctx)
		require.ErrorContains(t, err, `disruption "slow" could not be lifted`)
		require.ErrorContains(t, err, "the proxy lifts it by itself within 9s")
		require.NotContains(t, err.Error(), testToken)
		require.Equal(t, 1, p.in("slow"), "so it is")

		longer, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = lift(longer)
		require.NoError(t, err, "its time to live has surely passed")
		require.Zero(t, p.in("slow"))
		require.Contains(t, w.warned(), "the time for which it lives without being renewed (9s) has passed")
	})
}

// Renewals that never left this machine do not count: after a long interruption
// the fault is surely gone.
func TestLiftingAfterALongInterruption(t *testing.T) {
	wired(t, func(t *testing.T, c *Controller, w *wire, p *pretend) {
		lift, err := c.Inject(t.Context(), "dep", delayed(time.Second), 1)
		require.NoError(t, err)
		w.set(func(w *wire) { w.cut = true })
		wait(20 * time.Second)
		require.Zero(t, p.in("slow"))
		touch, err := lift(cancelled(t))
		require.NoError(t, err)
		require.NotZero(t, touch.Gone, "it was gone before")
		touch.Gone = 0
		require.Equal(t, measure.Touch{Matched: 2, Touched: 1}, touch, "what was known last")
	})
}

// A renewal that was not answered may have arrived: the fault lives from then.
func TestUnansweredRenewalsCount(t *testing.T) {
	wired(t, func(t *testing.T, c *Controller, w *wire, p *pretend) {
		lift, err := c.Inject(t.Context(), "dep", delayed(time.Second), 1)
		require.NoError(t, err)
		w.set(func(w *wire) { w.deaf = true })
		wait(20 * time.Second)
		require.Equal(t, 1, p.in("slow"))
		w.set(func(w *wire) { w.cut = true })
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err = lift(ctx)
		require.Error(t, err)
		require.Equal(t, 1, p.in("slow"))
		w.set(func(w *wire) { w.cut, w.deaf = false, false })
		_, err = lift(t.Context())
		require.NoError(t, err)
		require.Zero(t, p.in("slow"))
	})
}

func TestProxyThatIsRestarted(t *testing.T) {
	for name, before := range map[string]time.Duration{"noticed by renewing": 10 * time.Second, "noticed by lifting": time.Second} {
		t.Run(name, func(t *testing.T) {
			wired(t, func(t *testing.T, c *Controller, w *wire, _ *pretend) {
				wait(time.Minute)
				lift, err := c.Inject(t.Context(), "dep", delayed(time.Second), 1)
				require.NoError(t, err)
				successor := NewControl(map[string]Dependency{"dep": newPretend()}, testToken, 9*time.Second)
				w.set(func(w *wire) { w.to = successor })
				wait(before)
				began := time.Now().Add(-before)
				touch, err := lift(t.Context())
				require.NoError(t, err)
				require.WithinDuration(t, began, time.Unix(0, touch.Gone), time.Millisecond, "during ends when it was last known to be there")
				touch.Gone = 0
				require.Equal(t, measure.Touch{Matched: 2, Touched: 1}, touch, "what was known last")
				require.Contains(t, w.warned(), "restarted")
				require.Equal(t, 1, strings.Count(w.warned(), "\n")+1)
			})
		})
	}
}

// Where a URL leads to several processes by turns, the one that answers does
// not speak for the one with the fault.
func TestAnotherProcessDoesNotCount(t *testing.T) {
	wired(t, func(t *testing.T, c *Controller, w *wire, p *pretend) {
		other := NewControl(map[string]Dependency{"dep": newPretend()}, testToken, 9*time.Second)
		wait(time.Minute)
		lift, err := c.Inject(t.Context(), "dep", delayed(time.Second), 1)
		require.NoError(t, err)
		var right http.Handler
		w.set(func(w *wire) { right, w.to = w.to, other })
		wait(4 * time.Second)
		require.Contains(t, w.warned(), "another process answers at the URL of the control")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = lift(ctx)
		require.ErrorContains(t, err, "another process answers")
		require.Equal(t, 1, p.in("slow"))
		w.set(func(w *wire) { w.to = right })
		_, err = lift(t.Context())
		require.NoError(t, err)
		require.Zero(t, p.in("slow"))
	})
}

func TestOrderWhoseAnswerIsLost(t *testing.T) {
	wired(t, func(t *testing.T, c *Controller, w *wire, p *pretend) {
		w.set(func(w *wire) { w.deaf = true })
		time.AfterFunc(6*time.Second, func() { w.set(func(w *wire) { w.deaf = false }) })
		_, err := c.Inject(t.Context(), "dep", delayed(time.Second), 1)
		require.ErrorContains(t, err, "not injected")
		require.Zero(t, p.in("slow"), "it is taken back")

		w.set(func(w *wire) { w.deaf = true })
		_, err = c.Inject(t.Context(), "dep", delayed(time.Second), 1)
		require.Error(t, err)
		require.Zero(t, p.in("slow"), "also when that is not answered")

		w.set(func(w *wire) { w.deaf = false })
		for want, d := range map[string]plan.Disruption{"can not be injected": {Name: "bad"}, "a name holds letters": {}} {
			d.For, d.Latency = plan.Duration(time.Second), &plan.Latency{Delay: 1}
			_, err = c.Inject(t.Context(), "dep", d, 1)
			require.ErrorContains(t, err, "not injected: ")
			require.ErrorContains(t, err, want)
		}
	})
}
