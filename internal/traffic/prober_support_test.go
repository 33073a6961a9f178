package traffic

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// patience is how long anything may take that is not about time. It only bounds
// tests that have failed already.
const patience = time.Minute

// canaried is a prober at work.
type canaried struct {
	t    testing.TB
	out  *sink
	due  chan measure.Probe
	done chan measure.Probed
	stop context.CancelFunc
	end  chan error // of Run

	seq uint64
}

// canary starts a prober on a script; it is stopped with the test, and must have
// found no data race in k6.
func canary(t testing.TB, s plan.Stream, vus int, execs ...string) *canaried {
	t.Helper()
	return tuned(t, s, vus, func(*Prober) {}, execs...)
}

// tuned is canary, of a prober that is not as others are.
func tuned(t testing.TB, s plan.Stream, vus int, tune func(*Prober), execs ...string) *canaried {
	t.Helper()
	races := filepath.Join(t.TempDir(), "race")
	if s.Env == nil {
		s.Env = map[string]string{}
	}
	s.Env["GORACE"] = "log_path=" + races
	c := &canaried{t: t, out: &sink{}, due: make(chan measure.Probe), done: make(chan measure.Probed, 100_000), end: make(chan error, 1)}
	p, err := NewProber(s, execs, vus, []string{os.Args[0]}, s.Test.Load.Script, c.out.emit)
	require.NoError(t, err)
	tune(p)
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.end <- p.Run(ctx, c.due, func(probed measure.Probed) { c.done <- probed })
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		found, err := filepath.Glob(races + "*")
		require.NoError(t, err)
		for _, file := range found {
			report, _ := os.ReadFile(file)
			t.Errorf("data race in k6:\n%s", report)
		}
	})
	return c
}

// ask hands over a probe, and gives its number.
func (c *canaried) ask(probe measure.Probe) uint64 {
	c.t.Helper()
	c.seq++
	probe.Seq, probe.Due = c.seq, time.Now().UnixNano()
	if probe.Exec == "" {
		probe.Exec = probe.Transaction
	}
	probe.Tries = max(1, probe.Tries)
	if probe.Timeout == 0 {
		probe.Timeout = patience / 2
	}
	select {
	case c.due <- probe:
	case err := <-c.end:
		c.t.Fatalf("the prober ended: %v; %v", err, c.out.events(measure.EventGenerator))
	case <-time.After(patience):
		c.t.Fatalf("nobody takes probe %d, %s: %v", c.seq, probe.Transaction, c.out.events(measure.EventGenerator))
	}
	return c.seq
}

// answer waits for what became of one probe.
func (c *canaried) answer() measure.Probed {
	c.t.Helper()
	select {
	case probed := <-c.done:
		return probed
	case <-time.After(patience):
		c.t.Fatal("a probe was not answered")
		return measure.Probed{}
	}
}

// try asks for a probe and waits for what became of it.
func (c *canaried) try(probe measure.Probe) measure.Attempt {
	c.t.Helper()
	probed := c.probe(probe)
	require.Empty(c.t, probed.Lost)
	return probed.Attempt
}

// probe is try for one that may be lost.
func (c *canaried) probe(probe measure.Probe) measure.Probed {
	c.t.Helper()
	seq := c.ask(probe)
	probed := c.answer()
	require.Equal(c.t, seq, probed.Seq)
	return probed
}

// ended stops the prober, and waits until it has come to its end.
func (c *canaried) ended() {
	c.t.Helper()
	c.stop()
	require.NoError(c.t, <-c.end)
}

// canaryTo makes a stream for a canary of a script.
func canaryTo(t testing.TB, target, script string) plan.Stream {
	s := scriptTo(t, target, script, plan.Profile{Grace: seconds(20)})
	s.Test.Name = "canary"
	for _, name := range []string{"acme", "globex"} {
		s.Tenants = append(s.Tenants, plan.Identity{
			Name: name, Class: "gold", Cell: "cell-of-" + name, Region: "eu", Token: "token-of-" + name,
			Marks:   map[string]string{"X-Synthetic-Tenant": name},
			Headers: map[string]string{"Authorization": "Bearer token-of-" + name},
		})
	}
	return s
}
