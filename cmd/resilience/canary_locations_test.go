package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/canary"
	"resilience/fixtures/servers"
)

const locationsPlan = `
name: trial
secrets: {hook: {env: HOOK}, peers: {env: PEERS}}
targets: {web: {url: %q}}
tenants: {file: tenants.csv}
canary:
  target: web
  script: canary.js
  tenants: all
  vus: 5
  transactions: {order: {every: 1s, timeout: 900ms}}
  location: {name: %s, token: "${secrets.peers}", peers: {%s: {url: %q}}}
  receivers: {hook: {webhook: {url: "${secrets.hook}"}}}
  alerts:
    orders: {open: [3 in a row], close: 3 in a row, quiet: 1500ms, owner: team, runbook: "https://runbooks.example/orders", to: hook}
`

// TestCanaryLocations has two canaries look at one system from two places. What
// only one of them sees wakes nobody; what both see is told once.
func TestCanaryLocations(t *testing.T) {
	if testing.Short() {
		t.Skip("this sends real traffic")
	}
	at := map[string]string{"eu": freeAddress(t), "us": freeAddress(t)}
	one := newCanaryWorldAs(t, "eu", "us", at, nil)
	other := newCanaryWorldAs(t, "us", "eu", at, one)
	heard := func() map[string]int {
		one.mu.Lock() // whose receiver is that of both
		defer one.mu.Unlock()
		return maps.Clone(one.told["trial/orders"])
	}
	one.down.Store(true)
	one.await("one sees it", func(all []canary.Incident) bool { return len(all) == 1 && all[0].Open() })
	<-time.After(12 * time.Second) // longer than it takes to ask one another
	require.Empty(t, heard(), "only one location sees it")
	other.down.Store(true)
	require.Eventually(t, func() bool { return heard()[canary.Opened] == 1 }, 2*time.Minute, 50*time.Millisecond)
	<-time.After(12 * time.Second)
	require.Equal(t, 1, heard()[canary.Opened], "both see it, and one tells")
	one.down.Store(false)
	other.down.Store(false)
	require.Eventually(t, func() bool { return heard()[canary.Closed] == 1 }, 2*time.Minute, 50*time.Millisecond)
	for _, w := range []*canaryWorld{one, other} {
		w.await("it is over", func(all []canary.Incident) bool { return len(all) == 1 && !all[0].Open() })
		w.stop()
	}
	require.Equal(t, map[string]int{canary.Opened: 1, canary.Closed: 1}, heard())
}

func freeAddress(t *testing.T) string {
	address, err := servers.FreeAddress()
	require.NoError(t, err)
	return address
}

// newCanaryWorldAs is a location with a target of its own. Both have the receiver
// of the first.
func newCanaryWorldAs(t *testing.T, name, peer string, at map[string]string, first *canaryWorld) *canaryWorld {
	w := &canaryWorld{T: t, dir: t.TempDir(), told: map[string]map[string]int{}, patient: true, flags: []string{"--listen", at[name]}}
	w.target = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.target.Close)
	if first == nil {
		hook := httptest.NewServer(http.HandlerFunc(w.hear))
		t.Cleanup(hook.Close)
		w.env = append(os.Environ(), "HOOK="+hook.URL+"/secret", "PEERS=between-us", "GORACE=atexit_sleep_ms=0")
	} else {
		w.env = first.env
	}
	w.write("plan.yaml", fmt.Sprintf(locationsPlan, w.target.URL, name, peer, "http://"+at[peer]))
	w.write("canary.js", canaryTrialScript)
	w.write("tenants.csv", "name\nt1\nt2\nt3\n")
	w.begin()
	return w
}
