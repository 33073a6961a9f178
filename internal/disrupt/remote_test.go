package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// gathered collects everything that a dependency elsewhere emits.
type gathered struct {
	mu      sync.Mutex
	windows []measure.Window
	events  []measure.Event
}

func (g *gathered) emit(b measure.Batch) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.windows = append(g.windows, b.Windows...)
	g.events = append(g.events, b.Events...)
	return nil
}

// counted adds up the windows, and wants no two to be the same.
func (g *gathered) counted(t *testing.T) (count uint64) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	type key struct {
		source string
		series measure.Series
		start  int64
		part   uint32
	}
	seen := map[key]bool{}
	for _, w := range g.windows {
		k := key{w.Source, w.Series, w.Start, w.Part}
		require.False(t, seen[k], "twice: %v", k)
		seen[k] = true
		count += w.Count
	}
	return count
}

func (g *gathered) warned() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, e := range g.events {
		all = append(all, e.Kind+" "+e.Name+": "+e.Attrs["detail"])
	}
	return strings.Join(all, "\n")
}

// connect makes the dependency "payments" of a proxy elsewhere named dep.
func connect(t *testing.T, url string) (*remote, *gathered) {
	t.Helper()
	g := &gathered{}
	d, err := newRemote(t.Context(), "payments", plan.Dependency{Proxy: &plan.Remote{URL: url, Name: "dep", Token: testToken}}, "beta", t.TempDir(), g.emit)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	d.(*remote).since = time.Time{} // as if it had been a while
	return d.(*remote), g
}

func TestDependencyElsewhere(t *testing.T) {
	t.Parallel()
	p, _, url := controlled(t, testToken, 0)
	client := newClient(t, http1)
	for range 3 {
		requireWell(t, get(t, client, p.URL())) // not ours: before we came
	}
	requireHandedOut(t, p, url, 3)
	d, g := connect(t, url)
	require.Equal(t, p.URL(), d.URL())
	require.Equal(t, p.Port(), d.Port())

	fault := plan.Disruption{Name: "down", Dependency: "payments", For: plan.Duration(time.Minute), Share: 0.5, Error: &plan.Error{Status: 502, Body: "${x}"}}
	disruption, err := d.Disruption(fault, 7)
	require.NoError(t, err)
	_, err = disruption.Prepare(t.Context())
	require.NoError(t, err)
	var kept json.RawMessage
	lift, err := disruption.Inject(t.Context(), func(undo json.RawMessage) error { kept = undo; return nil })
	require.NoError(t, err)
	require.NotContains(t, string(kept), testToken)
	failed := uint64(0)
	for range 40 {
		if r := get(t, client, d.URL()); r.StatusCode == 502 {
			require.Equal(t, "${x}", r.body)
			failed++
		}
	}
	touch, err := lift(t.Context())
	require.NoError(t, err)
	require.Equal(t, measure.Touch{Matched: 40, Touched: failed}, touch)
	require.NotZero(t, failed)
	requireWell(t, get(t, client, d.URL()))
	require.NoError(t, d.Close())
	require.EqualValues(t, 41, g.counted(t), "nothing is lost, doubled, or from before")
	for _, w := range g.windows {
		require.Equal(t, measure.Series{Metric: measure.MetricDependency, Phase: "beta", Step: "payments", Status: w.Series.Status}, w.Series)
		require.Contains(t, w.Source, "proxy dep@")
	}
	require.Empty(t, g.warned())
	require.NoError(t, d.Close())
}

// requireHandedOut waits until a proxy has handed out so many requests.
func requireHandedOut(t *testing.T, p *Proxy, url string, n uint64) {
	t.Helper()
	require.Eventually(t, func() bool {
		m, err := remoteTo(t, url, testToken).windows(t.Context(), p.name, "", 0, 0)
		require.NoError(t, err)
		var count uint64
		for _, w := range m.Windows {
			count += w.Count
		}
		return count == n
	}, patience, time.Millisecond)
}

func TestNothingIsLostWhenTheConnectionIs(t *testing.T) {
	t.Parallel()
	p, c, _ := controlled(t, testToken, 0)
	n := 0
	var mu sync.Mutex
	flaky := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if n++; strings.HasSuffix(r.URL.Path, "/windows") && n%4 != 0 {
			got := httptest.NewRecorder()
			c.ServeHTTP(got, r) // it is taken out, but does not arrive
			panic(http.ErrAbortHandler)
		}
		c.ServeHTTP(w, r)
	}))
	defer flaky.Close()
	d, g := connect(t, flaky.URL)
	client := newClient(t, http1)
	for range 200 {
		requireWell(t, get(t, client, p.URL()))
	}
	require.Eventually(t, func() bool { return g.counted(t) == 200 }, patience, 10*time.Millisecond)
	require.NoError(t, d.Close())
	require.EqualValues(t, 200, g.counted(t))
	require.Contains(t, g.warned(), "can not be fetched; that is tried again")
}

func TestDependencyElsewhereThatIsNotThere(t *testing.T) {
	_, _, url := controlled(t, testToken, 0)
	for want, d := range map[string]plan.Remote{
		`dependency "payments": proxy at ` + url + `: there is no proxy "payments": there is dep; set name: to the one that is meant`: {URL: url, Token: testToken},
		`the token is wrong or missing`:    {URL: url, Token: "wrong-token", Name: "dep"},
		`the control can not be reached`:   {URL: "http://127.0.0.1:1", Token: testToken, Name: "dep"},
		`tls: ca: `:                        {URL: url, Token: testToken, TLS: &plan.TLS{CA: "missing.pem"}},
		`a control has a URL such as http`: {URL: "payments", Token: testToken},
	} {
		_, err := newRemote(t.Context(), "payments", plan.Dependency{Proxy: &d}, "beta", t.TempDir(), nil)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), d.Token)
	}
}

// What only the proxy knows that it can not do is said before there is any load.
func TestWhatAProxyElsewhereCanNotDo(t *testing.T) {
	_, _, url := controlled(t, testToken, 0)
	d, _ := connect(t, url)
	can, err := d.Disruption(plan.Disruption{Name: "slow", Dependency: "payments", For: plan.Duration(time.Minute), Latency: &plan.Latency{Delay: plan.Duration(time.Second)}}, 1)
	require.NoError(t, err)
	_, err = can.Prepare(t.Context())
	require.NoError(t, err)
	canNot, err := d.Disruption(plan.Disruption{Name: "old", Dependency: "payments", For: plan.Duration(time.Minute), Certificate: &plan.Certificate{Kind: "expired"}}, 1)
	require.NoError(t, err)
	_, err = canNot.Prepare(t.Context())
	require.ErrorContains(t, err, `disruption "old": proxy at `+url)
	require.ErrorContains(t, err, "shows no certificate: add serve: {} to it")
}

func TestAddressOfAProxyElsewhere(t *testing.T) {
	for _, c := range []struct {
		listen, control string
		state           ProxyState
		url             string
		port            int
	}{
		{"", "https://10.1.2.3:9900", ProxyState{URL: "http://127.0.0.1:9001", Port: 9001}, "http://127.0.0.1:9001", 9001},
		{"", "https://10.1.2.3:9900", ProxyState{URL: "http://127.0.0.1:9001", Port: 9001, Listen: "0.0.0.0:9001"}, "http://10.1.2.3:9001", 9001},
		{"", "https://[fd00::1]:9900", ProxyState{URL: "https://127.0.0.1:9001", Port: 9001, Listen: ":9001"}, "https://[fd00::1]:9001", 9001},
		{"", "https://10.1.2.3:9900", ProxyState{URL: "http://10.9.9.9:9001", Port: 9001, Listen: "10.9.9.9:9001"}, "http://10.9.9.9:9001", 9001},
		{"payments.local:80", "https://10.1.2.3:9900", ProxyState{URL: "http://127.0.0.1:9001", Port: 9001}, "http://payments.local:80", 80},
	} {
		url, port, err := address(plan.Dependency{Listen: c.listen, Proxy: &plan.Remote{URL: c.control}}, c.state)
		require.NoError(t, err)
		require.Equal(t, c.url, url)
		require.Equal(t, c.port, port)
	}
	_, _, err := address(plan.Dependency{Proxy: &plan.Remote{URL: "http://x"}}, ProxyState{URL: "x", Port: 1})
	require.Error(t, err)
}

func TestClocksThatDiffer(t *testing.T) {
	now := time.Now()
	for off, shift := range map[time.Duration]time.Duration{
		400 * time.Millisecond: 0, -400 * time.Millisecond: 0, time.Hour: -time.Hour, -2300 * time.Millisecond: 2 * time.Second,
	} {
		g := &gathered{}
		r := &remote{name: "payments", phase: "beta", emit: g.emit}
		r.compareClocks(now, now.Add(10*time.Millisecond), now.Add(off+5*time.Millisecond).UnixNano())
		require.Equal(t, shift, r.shift)
		require.Equal(t, shift != 0, g.warned() != "")
		_, cursor := r.take(measured{Cursor: 3, Missed: 2, Windows: []measure.Window{
			{Start: int64(10 * time.Second), Series: measure.Series{Metric: measure.MetricDependency, Step: "x", Arm: "candidate"}},
			{Series: measure.Series{Metric: measure.MetricRequest}},
		}, Events: []measure.Event{{Kind: measure.EventWarning, Name: "theirs"}, {Kind: measure.EventLifted, Name: "not theirs to say"}}}, "")
		require.EqualValues(t, 3, cursor)
		require.Len(t, g.windows, 1, "it measures a dependency and nothing else")
		require.Equal(t, int64(10*time.Second+shift), g.windows[0].Start)
		require.Empty(t, g.windows[0].Series.Arm)
		require.Contains(t, g.warned(), "warning theirs")
		require.NotContains(t, g.warned(), "not theirs")
		require.Contains(t, g.warned(), "2 windows of what it measured were dropped")
	}
}

// An answer that comes late says nothing against the clock that it tells.
func TestClocksOfSlowAnswers(t *testing.T) {
	now := time.Now()
	for told, shift := range map[time.Duration]time.Duration{0: 0, 4 * time.Second: 0, 2 * time.Second: 0, time.Hour: 2*time.Second - time.Hour} {
		g := &gathered{}
		r := &remote{name: "payments", phase: "beta", emit: g.emit}
		r.compareClocks(now, now.Add(4*time.Second), now.Add(told).UnixNano())
		require.Equal(t, shift, r.shift, "it told %s after the question", told)
		require.Equal(t, shift != 0, g.warned() != "")
	}
}

func TestUndoOfAFaultElsewhere(t *testing.T) {
	t.Parallel()
	p, c, url := controlled(t, testToken, time.Minute)
	d, _ := connect(t, url)
	fault := delayed(time.Minute)
	fault.Dependency = "payments"
	disruption, err := d.Disruption(fault, 1)
	require.NoError(t, err)
	var kept json.RawMessage
	_, err = disruption.Inject(t.Context(), func(undo json.RawMessage) error { kept = undo; return nil })
	require.NoError(t, err)
	require.Len(t, *p.injected.Load(), 1)

	again, _ := connect(t, url) // as another process would
	site := Site{Dependencies: map[string]Dependency{"payments": again}}
	for range 2 {
		require.NoError(t, undoRemote(t.Context(), fault, kept, site))
		require.Empty(t, *p.injected.Load())
	}
	require.Equal(t, StateLifted, c.Leases().Status()[0].State)

	err = undoRemote(t.Context(), fault, kept, Site{})
	require.ErrorContains(t, err, "make the secret that dependencies.payments.proxy.token names available, or wait: the proxy lifts it by itself within 15s")
	require.Error(t, undoRemote(t.Context(), fault, json.RawMessage(`[`), site))

	_, err = disruption.Inject(t.Context(), func(json.RawMessage) error { return errFull })
	require.ErrorIs(t, err, errFull)
	require.Empty(t, *p.injected.Load())
}

func TestClosingLiftsWhatIsLeft(t *testing.T) {
	t.Parallel()
	p, _, url := controlled(t, testToken, time.Minute)
	d, _ := connect(t, url)
	fault := delayed(time.Minute)
	fault.Dependency = "payments"
	disruption, err := d.Disruption(fault, 1)
	require.NoError(t, err)
	_, err = disruption.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.Empty(t, *p.injected.Load())
	_, err = d.Disruption(plan.Disruption{Name: "slow", Dependency: "dep"}, 1)
	require.ErrorContains(t, err, `is for dependency "dep", not for "payments"`)
}

// killedVariable makes this test's program the controller that is killed: it
// injects a fault at the URL that the variable holds, and hangs.
const killedVariable = "RESILIENCE_TEST_CONTROLLER"

func TestFaultEndsWithItsController(t *testing.T) {
	t.Parallel()
	if url := os.Getenv(killedVariable); url != "" {
		c, err := NewController(url, testToken, nil)
		require.NoError(t, err)
		_, err = c.Inject(context.Background(), "dep", delayed(time.Minute), 1)
		require.NoError(t, err)
		fmt.Println("injected")
		select {}
	}
	const ttl = 6 * time.Second // the machine may stand still for a third of that
	p, c, url := controlled(t, testToken, ttl)
	self, err := os.Executable()
	require.NoError(t, err)
	controller := exec.Command(self, "-test.run=^TestFaultEndsWithItsController$", "-test.v")
	controller.Env = append(os.Environ(), killedVariable+"="+url)
	out, err := controller.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, controller.Start())
	var said strings.Builder
	for line := make([]byte, 1024); !strings.Contains(said.String(), "injected"); {
		n, err := out.Read(line)
		require.NoError(t, err, said.String())
		said.Write(line[:n])
	}
	injected := time.Now()
	require.Eventually(t, func() bool { return time.Since(injected) > ttl+ttl/3 }, patience, 10*time.Millisecond)
	require.Len(t, *p.injected.Load(), 1, "it is renewed")

	require.NoError(t, controller.Process.Kill())
	killed := time.Now()
	require.Error(t, controller.Wait())
	require.Eventually(t, func() bool { return len(*p.injected.Load()) == 0 }, patience, 5*time.Millisecond)
	require.WithinRange(t, time.Now(), killed, killed.Add(ttl+patience/2))
	require.Equal(t, StateExpired, c.Leases().Status()[0].State)
	requireWell(t, get(t, newClient(t, http1), p.URL()))
}

func TestTokenIsInNoError(t *testing.T) {
	c, err := NewController("http://127.0.0.1:1", testToken, nil)
	require.NoError(t, err)
	_, err = c.Status(t.Context())
	var never unsent
	require.True(t, errors.As(err, &never))
	require.NotContains(t, fmt.Sprintf("%+v", err), testToken)
}

// A fault on a proxy elsewhere ends there by itself, so a control without a
// journal may pass it on.
func TestControlPassesOrdersOn(t *testing.T) {
	t.Parallel()
	p, _, url := controlled(t, testToken, 0)
	d, _ := connect(t, url)
	here := NewLeases(map[string]Dependency{"payments": d}, 0)
	_, err := here.Inject(t.Context(), Order{ID: "a", Proxy: "payments", Disruption: plan.Disruption{
		Name: "down", For: plan.Duration(time.Minute), Error: &plan.Error{Status: 502},
	}})
	require.NoError(t, err)
	require.Equal(t, 502, get(t, newClient(t, http1), p.URL()).StatusCode)
	require.NoError(t, here.Close(t.Context()))
	require.Equal(t, 200, get(t, newClient(t, http1), p.URL()).StatusCode)
}
