package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	server "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// toxiproxyPort makes the test binary a Toxiproxy server: its Listen ends the
// process when it fails, so it needs one of its own.
const toxiproxyPort = "RESILIENCE_TEST_TOXIPROXY_PORT"

func TestToxiproxyServer(t *testing.T) {
	port := os.Getenv(toxiproxyPort)
	if port == "" {
		t.Skip("only where another test runs it")
	}
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }() // whoever started it is gone
	server.NewServer(server.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()).Listen("127.0.0.1", port)
}

// startToxiproxy runs a real server and gives the URL of its API.
func startToxiproxy(t *testing.T) (url string, stop func()) {
	t.Helper()
	address := quietAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0], "-test.run=^TestToxiproxyServer$")
	cmd.Env = append(os.Environ(), toxiproxyPort+"="+port)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = stdin.Close()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(stop)
	url = "http://" + address
	api, err := newToxiproxyAPI(url)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return api.call(t.Context(), "GET", "/version", nil, nil) == nil }, patience, 5*time.Millisecond)
	return url, stop
}

func toxiproxyFront(t *testing.T, url string) *toxiproxied {
	t.Helper()
	d, err := NewDependency(t.Context(), "db", plan.Dependency{Upstream: echoOnce(t), Protocol: "tcp", Toxiproxy: &plan.Toxiproxy{URL: url}}, "beta", "", nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d.(*toxiproxied)
}

// echoOnce is a server that answers the ping and ends. Toxiproxy ends both
// directions when one has ended, so it must not be the client who is first.
func echoOnce(t *testing.T) string {
	t.Helper()
	return tcpServer(t, func(c net.Conn) {
		got := make([]byte, len(tcpPing))
		if _, err := io.ReadFull(c, got); err == nil {
			_, _ = c.Write(got)
		}
	})
}

func exchangeOnce(address string) tcpReply { return exchanged(address, false) }

func (t *toxiproxied) at() string { return net.JoinHostPort(t.host, strconv.Itoa(t.port)) }

func TestToxiproxyFaultsBiteAndLift(t *testing.T) {
	url, _ := startToxiproxy(t)
	require.Len(t, toxiproxyFaults, 7, "and refuse")
	for name, c := range tcpContracts {
		if toxiproxyFaults[name] == nil && name != "refuse" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			p := toxiproxyFront(t, url)
			requireEcho(t, exchangeOnce(p.at()))
			d := c.mild
			if d.Bandwidth != nil {
				d.Bandwidth = &plan.Bandwidth{PerSecond: 50_000}
			}
			lift := injectOn(t, p, "d", d, 1)
			r := exchangeOnce(p.at())
			if name == "timeout" || name == "reset" { // it ends connections as it likes
				require.Empty(t, r.data)
			} else {
				require.True(t, c.bitten(r), "%+v", r)
			}
			want := measure.Touch{Matched: 1, Touched: 1, Unit: "proxies", Names: []string{"db"}}
			require.Equal(t, want, lift())
			requireEcho(t, exchangeOnce(p.at()))
			require.Equal(t, want, lift(), "lifting twice")
			state, err := p.api.proxy(t.Context(), "db")
			require.NoError(t, err)
			require.Empty(t, state.ActiveToxics)
			require.NoError(t, p.Close())
			_, err = p.api.proxy(t.Context(), "db")
			require.True(t, absent(err), "what was made is removed: %v", err)
		})
	}
}

// The process that injected dies; another undoes, from what was kept alone.
func TestToxiproxyFaultIsUndone(t *testing.T) {
	url, stop := startToxiproxy(t)
	p := toxiproxyFront(t, url)
	for _, d := range []plan.Disruption{{Refuse: &plan.Refuse{}}, {Timeout: &plan.Timeout{}}} {
		d.Name, d.Dependency = "d", "db"
		fault, err := p.Disruption(d, 1)
		require.NoError(t, err)
		refused := errors.New("disk full")
		_, err = fault.Inject(t.Context(), func(json.RawMessage) error { return refused })
		require.ErrorIs(t, err, refused)
		requireEcho(t, exchangeOnce(p.at()))

		var kept json.RawMessage
		_, err = fault.Inject(t.Context(), func(undo json.RawMessage) error {
			requireEcho(t, exchangeOnce(p.at())) // not in effect before it is kept
			kept = undo
			return nil
		})
		require.NoError(t, err)
		_, err = fault.Prepare(t.Context())
		require.ErrorContains(t, err, "already")
		require.NoError(t, Undo(t.Context(), d, kept, Site{}))
		if p.made { // undoing removes it, too
			_, err := p.api.proxy(t.Context(), "db")
			require.True(t, absent(err))
		}
		require.NoError(t, Undo(t.Context(), d, kept, Site{}), "undoing what is gone")
		p = toxiproxyFront(t, url)
	}
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	undo := json.RawMessage(`{"kind":"toxiproxy","url":"` + url + `","proxy":"db","toxics":["x"]}`)
	err := Undo(ctx, plan.Disruption{Name: "d", Dependency: "db", Refuse: &plan.Refuse{}}, undo, Site{})
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorContains(t, err, "could not be lifted")
}

// A proxy that the team has is used as it is, and stays.
func TestToxiproxyUsesWhatIsThere(t *testing.T) {
	url, stop := startToxiproxy(t)
	api, err := newToxiproxyAPI(url)
	require.NoError(t, err)
	upstream := echoOnce(t)
	theirs, err := api.create(t.Context(), "team-db", "127.0.0.1:0", upstream)
	require.NoError(t, err)
	open := func(d plan.Dependency) (*toxiproxied, error) {
		d.Protocol = "tcp"
		d.Toxiproxy = &plan.Toxiproxy{URL: url, Name: "team-db"}
		return openToxiproxy(t.Context(), "db", d)
	}
	p, err := open(plan.Dependency{})
	require.NoError(t, err)
	require.Equal(t, "tcp://"+theirs.Listen, p.URL())
	requireEcho(t, exchangeOnce(p.at()))
	require.NoError(t, p.Close())
	_, err = api.proxy(t.Context(), "team-db")
	require.NoError(t, err, "it stays")

	_, err = open(plan.Dependency{Upstream: "127.0.0.1:1"})
	require.ErrorContains(t, err, "its upstream is "+upstream+" and not 127.0.0.1:1")
	require.NoError(t, api.enable(t.Context(), "team-db", false))
	_, err = open(plan.Dependency{})
	require.ErrorContains(t, err, "it is disabled")
	_, err = openToxiproxy(t.Context(), "other", plan.Dependency{Protocol: "tcp", Toxiproxy: &plan.Toxiproxy{URL: url}})
	require.ErrorContains(t, err, "there is none, and to make it takes an upstream")
	stop()
	_, err = open(plan.Dependency{})
	require.ErrorContains(t, err, "the Toxiproxy server does not answer")
}

func TestToxiproxyRefusesWhatItCanNotDo(t *testing.T) {
	p := &toxiproxied{name: "db"}
	for _, c := range []struct {
		d    plan.Disruption
		want string
	}{
		{plan.Disruption{Corrupt: &plan.Corrupt{}}, "a Toxiproxy server can not do corrupt"},
		{plan.Disruption{Error: &plan.Error{}}, "a Toxiproxy server can not do error"},
		{plan.Disruption{Reset: &plan.Reset{}, First: 1}, "can not do match, first or flap"},
		{plan.Disruption{Reset: &plan.Reset{}, Flap: &plan.Flap{}}, "can not do match, first or flap"},
		{plan.Disruption{Reset: &plan.Reset{}, Match: &plan.Match{}}, "can not do match, first or flap"},
		{plan.Disruption{Refuse: &plan.Refuse{}, Share: 0.5}, "leave out share"},
		{plan.Disruption{Latency: &plan.Latency{Delay: 1, Distribution: "normal"}}, "it can not do normal"},
		{plan.Disruption{Bandwidth: &plan.Bandwidth{PerSecond: 999}}, "counts in whole KB"},
		{plan.Disruption{Reset: &plan.Reset{}, Share: 2}, "share 2 is not"},
	} {
		c.d.Name, c.d.Dependency = "d", "db"
		_, err := p.Disruption(c.d, 1)
		require.ErrorContains(t, err, c.want)
	}
	toxics, _, err := readToxics(plan.Disruption{Name: "d", Reset: &plan.Reset{}, Share: 0.25})
	require.NoError(t, err)
	require.Len(t, toxics, 1, "with a share in one direction only")
	require.InDelta(t, 0.25, toxics[0].Toxicity, 1e-6)
}

// A control has no journal: what it put on a Toxiproxy server would stay there
// if its process was killed.
func TestToxiproxyTakesNoOrdersWithoutAJournal(t *testing.T) {
	url, _ := startToxiproxy(t)
	p := toxiproxyFront(t, url)
	control := NewControl(map[string]Dependency{"db": p}, "", 0)
	_, err := control.Leases().Inject(t.Context(), Order{ID: "a", Proxy: "db", Disruption: plan.Disruption{
		Name: "slow", For: plan.Duration(time.Minute), Latency: &plan.Latency{Delay: plan.Duration(time.Second)},
	}})
	require.ErrorContains(t, err, `disruption "slow": not injected: it would outlive the run`)
	require.ErrorContains(t, err, "inject it from the plan")
	there, err := p.api.proxy(t.Context(), p.proxy)
	require.NoError(t, err)
	require.Empty(t, there.ActiveToxics)
	require.NoError(t, control.Close(t.Context()))
}
