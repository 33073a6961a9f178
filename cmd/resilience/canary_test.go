package main

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/canary"
	"resilience/fixtures/servers"
)

// secretPlan has a secret wherever a plan can have one.
const secretPlan = `
name: trial
secrets: {hook: {env: HOOK}, serve: {env: SERVE}, target: {env: TARGET}}
targets: {web: {url: "%URL%", auth: {header: {value: "Bearer ${secrets.target}"}}}}
tenants: {file: tenants.csv}
objectives: {orders: {share: 99%, of: order, over: 28d}}
canary:
  target: web
  script: canary.js
  tenants: all
  vus: 5
  env: {PASSWORD: "${secrets.target}"}
  transactions: {order: {every: 1s, timeout: 900ms}}
  health: {path: "/healthz", every: 1s}
  heartbeats: {backup: {every: 1h}}
  receivers:
    hook: {webhook: {url: "${secrets.hook}", headers: {X-Key: "${secrets.serve}"}}}
    chat: {slack: {url: "${secrets.hook}"}}
  serve: {token: "${secrets.serve}"}
  alerts:
    orders: {open: [3 in a row, burn orders], close: 3 in a row, quiet: 1500ms, owner: team, runbook: "https://runbooks.example/orders", to: [hook, chat]}
`

// TestCanaryKeepsSecrets looks for every secret in whatever the canary writes and
// serves, while all goes wrong, and wants its token where it should be wanted.
func TestCanaryKeepsSecrets(t *testing.T) {
	if testing.Short() {
		t.Skip("this sends real traffic")
	}
	w := newCanaryWorld(t, rand.New(rand.NewPCG(1, 1)))
	w.kill(w.daemon.Process.Pid)
	_ = w.daemon.Wait()
	require.NoError(t, os.RemoveAll(filepath.Join(w.dir, canaryDir)))
	address := freeAddress(t)
	w.flags = []string{"--listen", address}
	var influx *servers.InfluxProcess
	if servers.HasInfluxd() {
		influx = servers.StartInfluxDB(t)
		w.flags = append(w.flags, "--influx", influx.URL)
	} else {
		t.Log("not searched: InfluxDB, as there is no influxd; see make servers")
	}
	w.write("plan.yaml", strings.ReplaceAll(secretPlan, "%URL%", w.target.URL))
	w.write("tenants.csv", "name,token_env\nt1,T1\n")
	secrets := map[string]string{"SERVE": "serve-9d2c", "TARGET": "target-77af", "T1": "tenant-51bb"}
	for name, value := range secrets {
		w.env = append(w.env, name+"="+value)
	}
	if influx != nil {
		w.env = append(w.env, "INFLUX_TOKEN="+influx.Token, "INFLUX_ORG="+influx.Org, "INFLUX_BUCKET="+influx.Bucket)
	}
	w.down.Store(true)
	w.start()
	w.await("an incident", func(all []canary.Incident) bool { return len(all) == 1 })

	ask := func(method, path, token string) (int, []byte) {
		request, err := http.NewRequest(method, "http://"+address+path, http.NoBody)
		require.NoError(t, err)
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, body
	}
	var seen []byte
	for _, path := range []string{"/", "/metrics", "/api/v1/status", "/api/v1/incidents", "/api/v1/history?width=minute", "/api/v1/figures"} {
		status, refused := ask(http.MethodGet, path, "")
		require.Equal(t, http.StatusUnauthorized, status, path)
		status, body := ask(http.MethodGet, path, secrets["SERVE"])
		require.Equal(t, http.StatusOK, status, "%s: %s", path, body)
		seen = append(append(seen, refused...), body...)
	}
	status, _ := ask(http.MethodPost, "/heartbeat/backup", "")
	require.Equal(t, http.StatusUnauthorized, status)
	status, body := ask(http.MethodPost, "/heartbeat/backup", secrets["SERVE"])
	require.Less(t, status, 300, "%s", body)

	w.down.Store(false)
	w.await("its end", func(all []canary.Incident) bool { return !all[0].Open() })
	w.stop()
	require.NoError(t, filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		seen = append(seen, text...)
		return err
	}))
	if influx != nil {
		rows, err := influx.Query(t.Context(), "SELECT * FROM /.*/")
		require.NoError(t, err)
		require.Greater(t, len(rows), 20, "what InfluxDB holds was searched")
		seen = fmt.Append(seen, rows)
	}
	require.Greater(t, len(seen), 10_000)
	for name, value := range secrets {
		require.False(t, bytes.Contains(seen, []byte(value)), name)
	}
	require.False(t, bytes.Contains(seen, []byte("/secret")), "the path of the webhook")
}

// TestCanaryCommand acknowledges an incident, starts a second daemon, and says
// what is wrong with command lines.
func TestCanaryCommand(t *testing.T) {
	if testing.Short() {
		t.Skip("this sends real traffic")
	}
	w := newCanaryWorld(t, rand.New(rand.NewPCG(1, 1)))
	resilience := func(code int, want string, args ...string) {
		t.Helper()
		cmd := exec.Command("resilience", args...)
		cmd.Dir, cmd.Env = w.dir, w.env
		out, _ := cmd.CombinedOutput()
		require.Equal(t, code, cmd.ProcessState.ExitCode(), "%s", out)
		require.Contains(t, string(out), want)
	}
	w.write("none.yaml", "name: none\ntargets: {web: {url: http://127.0.0.1:1}}\nphases: [{name: beta, candidate: web, tests: [{name: a, load: {requests: [{path: /}], rate: 1/s, duration: 1s}}], gates: [availability >= 1%]}]\n")
	resilience(2, "has no canary: section", "canary", "none.yaml")
	resilience(2, "--listen", "canary", "plan.yaml", "--state", "other.db", "--listen", "nowhere:x")

	w.outages = append(w.outages, time.Now())
	w.down.Store(true)
	w.await("an incident", func(all []canary.Incident) bool { return len(all) == 1 })
	resilience(1, "another", "canary", "plan.yaml")
	resilience(2, "nothing was acknowledged", "ack", "refunds")
	resilience(0, "acknowledged trial", "ack", "orders", "--by", "ana")
	resilience(1, "ana has acknowledged", "ack", w.incidents()[0].ID)
	w.await("who knows of it", func(all []canary.Incident) bool { return all[0].AckedBy == "ana" })
	w.down.Store(false)
	w.settle()
	require.NotZero(t, w.told["trial/"+w.incidents()[0].ID][canary.Acknowledged])
	require.NoError(t, w.daemon.Process.Signal(syscall.SIGINT))
	require.NoError(t, w.daemon.Wait())
	resilience(2, "nothing was acknowledged", "ack", "orders")
}
