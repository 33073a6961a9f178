package disrupt

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// scriptCase is one of the scripts that the documentation of the extension
// shows, what k6 must see by itself, and what the record must say.
type scriptCase struct {
	probes bool // of the pods; packets of probes are lost like others
	sees   func(t *testing.T, c calls)
	names  []string // of the disruptions
	gates  string
}

func failed(c call) bool { return c.failed }

func takes(ms float64) func(call) bool {
	return func(c call) bool { return !c.failed && c.took >= ms }
}

// In all of them the load begins at once and the faults 5 s later, and they
// last 10 s unless the script says otherwise.
var scriptCases = map[string]scriptCase{
	"http-service.js": {probes: true, names: []string{"front-http-1", "front-http-1.error"}, sees: func(t *testing.T, c calls) {
		during, after := c.hit(t, failed, 10*time.Second)
		during.failing(t, 0.05, 0.15).atLeast(t, 50)
		after.well(t)
	}, gates: `
      - availability <= 97% during front-http-1
      - availability >= 80% during front-http-1
      - latency p50 >= 50ms during front-http-1
      - availability >= 99% after front-http-1
      - latency max <= 1s after front-http-1`},
	"http-pods.js": {probes: true, names: []string{"pods-http-1", "pods-http-1.error"}, sees: func(t *testing.T, c calls) {
		during, after := c.hit(t, failed, 10*time.Second)
		during.of("/").failing(t, 0.05, 0.15).atLeast(t, 40)
		during.of("/health").well(t)
		after.well(t)
	}, gates: `
      - availability <= 98% during pods-http-1
      - availability >= 88% during pods-http-1
      - availability >= 99% after pods-http-1
      - latency max <= 1s after pods-http-1`},
	"grpc-service.js": {probes: true, names: []string{"shop-grpc-1", "shop-grpc-1.error"}, sees: func(t *testing.T, c calls) {
		during, after := c.hit(t, takes(300), 10*time.Second) // k6 tells of no status of a call
		during.atLeast(t, 300)
		after.well(t)
	}, gates: `
      - availability <= 98% during shop-grpc-1
      - availability >= 75% during shop-grpc-1
      - latency p50 >= 300ms during shop-grpc-1
      - availability >= 99% after shop-grpc-1
      - latency max <= 1s after shop-grpc-1`},
	"terminate-pods.js": {probes: true, names: []string{"shop-terminate-1"}, sees: func(t *testing.T, c calls) {
		c.between(22*time.Second, 30*time.Second).well(t)
	}, gates: `
      - availability >= 95% after shop-terminate-1`},
	"network-pods.js": {names: []string{"pods-network-1"}, sees: func(t *testing.T, c calls) {
		during, after := c.hit(t, failed, 10*time.Second)
		during.failing(t, 0.8, 1) // what is sent once more is not lost in the last second
		after.well(t)
	}, gates: `
      - availability <= 20% during pods-network-1
      - availability >= 99% after pods-network-1
      - latency max <= 1s after pods-network-1`},
	"both-at-once.js": {probes: true, names: []string{"failing", "slow"}, sees: func(t *testing.T, c calls) {
		during, _ := c.hit(t, failed, 5*time.Second)
		during.failing(t, 0.1, 0.3).atLeast(t, 100)
		during, after := c.hit(t, takes(100), 15*time.Second)
		during.atLeast(t, 100)
		after.well(t)
	}, gates: `
      - latency p50 >= 100ms during slow
      - availability <= 90% during failing
      - availability >= 65% during failing
      - availability >= 99% after slow
      - latency max <= 1s after slow`},
}

// TestClusterScripts runs each script as a user would, alone and in a plan,
// against pods of its own.
func TestClusterScripts(t *testing.T) {
	program, image, dir := os.Getenv("RESILIENCE_CLUSTER_PROGRAM"), os.Getenv("RESILIENCE_CLUSTER_AGENT"), os.Getenv("RESILIENCE_CLUSTER_SCRIPTS")
	if program == "" || image == "" || dir == "" {
		t.Skip("needs RESILIENCE_CLUSTER_PROGRAM, RESILIENCE_CLUSTER_AGENT and RESILIENCE_CLUSTER_SCRIPTS: make cluster-test")
	}
	scripts, err := filepath.Glob(filepath.Join(dir, "*.js"))
	require.NoError(t, err)
	require.Len(t, scripts, len(scriptCases), "every script has a case")
	for _, script := range scripts {
		name := filepath.Base(script)
		t.Run(strings.TrimSuffix(name, ".js"), func(t *testing.T) {
			t.Parallel()
			tt, ok := scriptCases[name]
			require.True(t, ok)
			r := newScriptRun(t, program, script, image, tt.probes)
			r.alone(tt)
			r.clean()
			r.planned(tt)
			r.clean()
		})
	}
}

// scriptRun is a script and the pods that it disrupts.
type scriptRun struct {
	c               *testCluster
	program, script string
	env             map[string]string
	rules           []string // of the pods, before
}

func newScriptRun(t *testing.T, program, script, image string, probes bool) *scriptRun {
	c := newNamespace(t)
	if probes {
		c.system("shop", 3)
	} else {
		c.start("shop", 3, nil)
	}
	front := c.service("front", "shop", corev1.ServicePort{Name: "http", Port: 80, TargetPort: intstr.FromString("web")})
	r := &scriptRun{c: c, program: program, script: script, env: map[string]string{
		"TARGET_URL": "http://" + front, "GRPC_ADDRESS": c.address("shop") + ":81", "NAMESPACE": c.namespace, "APP": "shop", "SERVICE": "shop",
		"PORT": "8080", "GRPC_PORT": "81", "RESILIENCE_AGENT_IMAGE": image,
	}}
	if filepath.Base(script) == "http-service.js" { // names no port: the service has one
		r.env["SERVICE"] = "front"
	}
	c.reachable(r.env["TARGET_URL"])
	r.rules = c.rules("shop")
	return r
}

// reachable waits until a new service answers each of many new connections.
func (c *testCluster) reachable(url string) {
	c.t.Helper()
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answered := 0
	require.Eventually(c.t, func() bool {
		if code, _, err := fetch(c.t.Context(), client, url); err != nil || code != http.StatusOK {
			answered = 0
		}
		answered++
		return answered > 60
	}, time.Minute, 50*time.Millisecond, "%s answers for 3 s", url)
}

// alone runs the script as k6 does, and looks at what k6 measured.
func (r *scriptRun) alone(tt scriptCase) {
	t := r.c.t
	t.Helper()
	uids := r.uids()
	out := filepath.Join(t.TempDir(), "points.json")
	cmd := exec.CommandContext(t.Context(), r.program, "k6", "run", "--quiet", "--no-usage-report", "--out", "json="+out, r.script)
	cmd.Dir, cmd.Env = t.TempDir(), os.Environ()
	for name, value := range r.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	require.NotContains(t, string(said), "level=error", "%s", said)
	tt.sees(t, readPoints(t, out))
	r.c.settled("shop", 3)
	if slices.Contains(tt.names, "shop-terminate-1") {
		require.Len(t, slices.DeleteFunc(r.uids(), func(uid string) bool { return slices.Contains(uids, uid) }), 1, "another pod came for the one that was terminated")
	} else {
		require.Equal(t, uids, r.uids())
	}
}

// clean verifies that no agent is at work and that the rules of the pods are
// as they were before.
func (r *scriptRun) clean() {
	r.c.t.Helper()
	r.c.clean("shop")
	require.Equal(r.c.t, r.rules, r.c.rules("shop"))
}

func (r *scriptRun) uids() (uids []string) {
	for _, p := range r.c.settled("shop", 3) {
		uids = append(uids, string(p.UID))
	}
	slices.Sort(uids)
	return uids
}

// planned runs the script in a plan, whose gates judge it.
func (r *scriptRun) planned(tt scriptCase) {
	t := r.c.t
	t.Helper()
	dir := t.TempDir()
	env, err := json.Marshal(r.env)
	require.NoError(t, err)
	names, err := json.Marshal(tt.names)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "plan.yaml"), []byte(`
name: shop
targets:
  beta: {url: "`+r.env["TARGET_URL"]+`"}
  calls: {url: "http://`+r.env["GRPC_ADDRESS"]+`"}
phases:
  - name: beta
    candidate: beta
    tests:
      - {name: script, load: {script: `+r.script+`, env: `+string(env)+`, injects: `+string(names)+`}}
    gates:`+tt.gates+"\n"), 0o600))
	cmd := exec.CommandContext(t.Context(), r.program, "run", "plan.yaml", "--phase", "beta", "--quiet", "--out", "out")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "RESILIENCE_AGENT_IMAGE="+r.env["RESILIENCE_AGENT_IMAGE"])
	said, err := cmd.CombinedOutput()
	t.Logf("%s", said)
	require.NoError(t, err)
	for name, d := range disruptionsOf(t, r.program, dir) {
		require.Contains(t, tt.names, name)
		require.True(t, d.Bit, name)
		require.True(t, d.Lifted.After(d.Injected), name)
		if name == "failing" { // while the other is still in effect
			slow := disruptionsOf(t, r.program, dir)["slow"]
			require.True(t, d.Injected.After(slow.Injected) && d.Lifted.Before(slow.Lifted), "%v in %v", d, slow)
		}
	}
}

// recorded is what a report tells of a disruption.
type recorded struct {
	Name             string
	Bit              bool
	Injected, Lifted time.Time
}

func disruptionsOf(t *testing.T, program, dir string) map[string]recorded {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "report", "last", "--format", "json")
	cmd.Dir = dir
	text, err := cmd.Output()
	require.NoError(t, err)
	var document struct {
		Phases []struct{ Disruptions []recorded }
	}
	require.NoError(t, json.Unmarshal(text, &document))
	out := map[string]recorded{}
	for _, p := range document.Phases {
		for _, d := range p.Disruptions {
			out[d.Name] = d
		}
	}
	require.NotEmpty(t, out, "%s", text)
	return out
}

// call is a request or a gRPC call that k6 made.
type call struct {
	at     time.Duration // it began, after the first of all
	took   float64       // ms
	path   string
	failed bool
}

type calls []call

func (c calls) of(path string) calls {
	return slices.DeleteFunc(slices.Clone(c), func(p call) bool { return p.path != path })
}

func (c calls) between(from, to time.Duration) calls {
	return slices.DeleteFunc(slices.Clone(c), func(p call) bool { return p.at < from || p.at >= to })
}

// hit finds when a fault was in effect by what it marks, which must be about as
// long as it was meant to be, and gives the calls of that time and those that
// came a second later. A hundredth of the marks may be something else.
func (c calls) hit(t *testing.T, mark func(call) bool, length time.Duration) (during, after calls) {
	t.Helper()
	var at []time.Duration
	for _, p := range c {
		if mark(p) {
			at = append(at, p.at)
		}
	}
	require.Greater(t, len(at), 20, "of %d calls", len(c))
	slices.Sort(at)
	few := (len(at) + 99) / 100
	from, to := at[few-1], at[len(at)-few]
	require.InDelta(t, length.Seconds(), (to - from).Seconds(), 3, "from %s to %s", from, to)
	return c.between(from, to), c.between(to+time.Second, time.Hour)
}

// failing wants that share of the calls to have failed.
func (c calls) failing(t *testing.T, least, most float64) calls {
	t.Helper()
	require.Greater(t, len(c), 40)
	failed := 0
	for _, p := range c {
		if p.failed {
			failed++
		}
	}
	share := float64(failed) / float64(len(c))
	require.True(t, share >= least && share <= most, "%d of %d failed", failed, len(c))
	return c
}

// atLeast wants half of the calls to take as long.
func (c calls) atLeast(t *testing.T, ms float64) {
	t.Helper()
	var took []float64
	for _, p := range c {
		if !p.failed {
			took = append(took, p.took)
		}
	}
	slices.Sort(took)
	require.NotEmpty(t, took)
	require.GreaterOrEqual(t, took[len(took)/2], ms)
}

// well wants no call to fail or to take more than a second.
func (c calls) well(t *testing.T) {
	t.Helper()
	require.Greater(t, len(c), 40)
	for _, p := range c {
		require.False(t, p.failed, "%+v", p)
		require.Less(t, p.took, 1000.0, "%+v", p)
	}
}

// readPoints reads what k6 wrote with --out json.
func readPoints(t *testing.T, file string) calls {
	t.Helper()
	in, err := os.Open(file)
	require.NoError(t, err)
	defer in.Close()
	var out calls
	var first time.Time
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var p struct {
			Metric, Type string
			Data         struct {
				Time  time.Time
				Value float64
				Tags  map[string]string
			}
		}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &p))
		if p.Type != "Point" || p.Metric != "http_req_duration" && p.Metric != "grpc_req_duration" {
			continue
		}
		began := p.Data.Time.Add(-time.Duration(p.Data.Value * 1e6)) // samples are of the end
		if first.IsZero() || began.Before(first) {
			first = began
		}
		status, _ := strconv.Atoi(p.Data.Tags["status"]) // 0 for none
		out = append(out, call{
			at: time.Duration(began.UnixNano()), took: p.Data.Value, path: pathOf(p.Data.Tags["url"]),
			failed: p.Metric == "http_req_duration" && (status < 200 || status > 399),
		})
	}
	require.NotEmpty(t, out)
	for i := range out {
		out[i].at -= time.Duration(first.UnixNano())
	}
	return out
}

func pathOf(url string) string {
	parts := strings.SplitN(url, "/", 4) // scheme, nothing, host, path
	return fmt.Sprint("/", parts[len(parts)-1])
}
