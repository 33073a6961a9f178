package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/disrupt"
	"resilience/internal/measure"
	"resilience/internal/plan"
	conduct "resilience/internal/run"
)

// faultsScript injects two faults for longer than anybody waits: with a promise
// that is awaited, and one that nobody looks at.
const faultsScript = `
import http from 'k6/http';
import { ProxyDisruptor } from 'k6/x/resilience';
export const options = { scenarios: {
  load: { executor: 'constant-arrival-rate', rate: 20, duration: '60s', preAllocatedVUs: 20, exec: 'load' },
  faults: { executor: 'shared-iterations', vus: 1, iterations: 1, exec: 'faults' },
} };
export function load() { http.get(__ENV.TARGET_URL + '/through'); }
export async function faults() {
  const upstream = new ProxyDisruptor('upstream');
  upstream.inject({ error: { status: 418 }, match: { path: '/never' } }, '1h', { name: 'other' });
  await upstream.injectHTTPFaults({ averageDelay: '10ms' }, '1h', { name: 'slow' });
}
`

const faultsPlan = `
name: scripted
services:
  upstream: {command: exec testserver, ready: /ready}
  web: {command: exec testserver, ready: /ready}
targets:
  web: {url: "${services.web.url}"}
dependencies:
  upstream: {upstream: "${services.upstream.url}"}
phases:
  - name: beta
    candidate: web
    tests: [{name: browse, load: {script: %q, injects: [slow, other]}}]
    gates: [availability >= 99%% during slow]
`

// A run that is interrupted while faults of its script are in effect lifts them
// first of all, and says so in the record.
func TestAnInterruptLiftsFaultsOfScripts(t *testing.T) {
	script := filepath.Join(t.TempDir(), "faults.js")
	require.NoError(t, os.WriteFile(script, []byte(faultsScript), 0o600))
	p := startLongRun(t, fmt.Sprintf(faultsPlan, script))
	p.until(t, "slow in effect: latency on upstream")
	p.until(t, "other in effect")
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.Equal(t, gates.ExitInterrupted, p.code(t), p.said.String())
	events := p.events(t)
	for _, name := range []string{"slow", "other"} {
		lifted := find(events, measure.EventLifted, name)
		require.NotNil(t, lifted, p.said.String())
		require.Empty(t, lifted.Attrs["error"])
		require.Less(t, lifted.At, last(events, "web").At, "before anything is stopped")
		require.Equal(t, "browse", lifted.Test)
	}
	require.NotContains(t, p.said.String(), "may still be active")
}

// proxied is a proxy in front of an upstream that answers.
func proxied(t *testing.T) *disrupt.Proxy {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(upstream.Close)
	proxy, err := disrupt.NewProxy(t.Context(), "payments", plan.Dependency{Upstream: upstream.URL}, "beta", t.TempDir(), func(measure.Batch) error { return nil })
	require.NoError(t, err)
	t.Cleanup(func() { _ = proxy.Close() })
	return proxy
}

func status(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

// The control for scripts takes orders with its token only, and lifts what is
// left when it is stopped: a k6 that was killed can not do that.
func TestControlForScripts(t *testing.T) {
	proxy := proxied(t)
	where, stop, err := controlForScripts(map[string]conduct.Dependency{"payments": proxy})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(where.URL, "http://127.0.0.1:"))
	d := plan.Disruption{Name: "broken", Dependency: "payments", Error: &plan.Error{Status: 503}}

	stranger, err := disrupt.NewController(where.URL, "guessed", nil)
	require.NoError(t, err)
	_, err = stranger.Inject(t.Context(), "payments", d, 1)
	require.ErrorContains(t, err, "token")
	require.Equal(t, http.StatusOK, status(t, proxy.URL()))

	by, err := disrupt.NewController(where.URL, where.Token, nil)
	require.NoError(t, err)
	lift, err := by.Inject(t.Context(), "payments", d, 1)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status(t, proxy.URL()))
	require.NoError(t, stop())
	require.Equal(t, http.StatusOK, status(t, proxy.URL()), "nobody lifted it but the end")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = lift(ended) // ends its renewing
}
