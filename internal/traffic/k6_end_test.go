package traffic

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

const failing = `
import http from 'k6/http';
const base = __ENV.TARGET_URL;
export default function () {
  http.get(__ENV.REFUSED);
  http.get(base + '/hang', { timeout: '2s' });
  http.get(base + '/stall', { timeout: '2s' });
  http.get('http://other.invalid/x?token=hidden');
  try { http.get(__ENV.REFUSED, { throw: true }); } catch (e) { /* as asked */ }
  http.get(base + '/expected', { responseCallback: http.expectedStatuses(200) });
}`

func TestK6Failures(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/stall":
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			fallthrough
		case "/hang":
			<-r.Context().Done()
		}
	})
	const refusing = "127.0.0.1:1" // a port that is never given out
	s := scriptTo(t, server.URL, failing, plan.Profile{VUs: 2, Duration: seconds(2), Grace: seconds(20)})
	s.Hosts = append(s.Hosts, refusing)
	s.Env = map[string]string{"REFUSED": "http://" + refusing + "/"}
	out := runScript(t, s)

	n := out.sum(measure.MetricIteration, nil)
	began := n.Count - n.Dropped
	require.Positive(t, began)
	failed := out.sum(measure.MetricRequest, withStatus("0"))
	require.Equal(t, 5*began, failed.Count)
	require.Equal(t, failed.Count, failed.Failed)
	ok := out.sum(measure.MetricRequest, onStep("GET /expected"))
	require.Equal(t, began, ok.Count)
	require.Zero(t, ok.Failed)
	hung := out.sum(measure.MetricRequest, onStep("GET /hang"))
	// The timeouts are 2 s from the start of the request; what k6 calls its
	// duration begins when the connection stands.
	require.GreaterOrEqual(t, hung.Min, 300.0, "a timeout has the time it took")
	require.GreaterOrEqual(t, out.sum(measure.MetricRequest, onStep("GET /stall")).Min, 300.0)
	for _, kind := range []string{"timeout", "connection refused"} {
		require.NotEmpty(t, out.examples(kind), kind)
	}
	blamed := out.events(measure.EventGenerator)
	require.Len(t, blamed, 1)
	require.Equal(t, "host", blamed[0].Name)
	require.Contains(t, blamed[0].Attrs["detail"], "other.invalid:80")
	require.Equal(t, "true", out.end(t)["complete"])
}

func TestK6ScriptsThatDoNotRun(t *testing.T) {
	profile := plan.Profile{VUs: 1, Duration: seconds(1), Grace: seconds(1)}
	for name, c := range map[string]struct{ script, want, plan string }{
		"syntax":    {script: "export default function () { let let }", want: "script.js"},
		"module":    {script: "import x from 'k6/x/nothing'; export default function () {}", want: "k6/x/nothing"},
		"init":      {script: "throw new Error('broken at the top'); export default function () {}", want: "broken at the top"},
		"setup":     {script: "export function setup() { throw new Error('no seed'); } export default function () {}", want: "no seed"},
		"abort":     {script: "import exec from 'k6/execution'; export default function () { exec.test.abort('enough'); }", want: "enough"},
		"options":   {script: "export const options = {batch: 'many'}; export default function () {}", want: `parsing "many"`},
		"scenarios": {script: "export const options = {scenarios: {s: {executor: 'constant-vus', vus: 1, duration: '1s'}}}; export default function () {}", plan: "both say how much traffic there is"},
		"default":   {script: "export function other() {}", plan: `no function "default"`},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := tryScript(t, scriptTo(t, "http://127.0.0.1:1", c.script, profile))
			var wrong *PlanError
			if c.plan != "" {
				require.ErrorAs(t, err, &wrong)
				require.Contains(t, wrong.Message, c.plan)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "false", out.end(t)["complete"])
			require.Contains(t, out.end(t)["reason"], c.want)
			blamed := out.events(measure.EventGenerator)
			require.NotEmpty(t, blamed)
			require.Equal(t, "ended", blamed[0].Name)
		})
	}
	_, err := NewK6(streamTo(t, "http://127.0.0.1:1", profile), []string{"k6"}, "missing.js")
	require.ErrorContains(t, err, "missing.js")
}

func TestK6BrokenScript(t *testing.T) {
	script := "export default function () { undefined.x; }"
	out := runScript(t, scriptTo(t, "http://127.0.0.1:1", script, plan.Profile{Rate: 20, Duration: seconds(1), MaxVUs: 20, Grace: seconds(10)}))
	requests := out.sum(measure.MetricRequest, nil)
	require.Positive(t, requests.Count)
	require.Equal(t, requests.Count, requests.Failed, "an exception fails the attempt")
	blamed := out.events(measure.EventGenerator)
	require.Len(t, blamed, 1)
	require.Contains(t, blamed[0].Attrs["detail"], "every iteration ended in an exception: TypeError")
}

// underway starts a script that goes on for ten minutes and waits until it sends.
func underway(t *testing.T) (k *K6, sending chan struct{}) {
	t.Helper()
	sending = make(chan struct{}, 1)
	server := serve(t, func(http.ResponseWriter, *http.Request) {
		select {
		case sending <- struct{}{}:
		default:
		}
	})
	return newK6(t, scriptTo(t, server.URL, napping, plan.Profile{VUs: 2, Duration: seconds(600), Grace: seconds(30)})), sending
}

func TestK6Stopped(t *testing.T) {
	k, sending := underway(t)
	c, err := k.start(runner{1, 1})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	out, done := &sink{}, make(chan error, 1)
	talk := &conversation{conn: c.conn, settings: plan.Settings{Source: "k6", Stream: k.stream}, emit: out.emit}
	go func() { done <- c.finish(ctx, talk, k.stream) }()
	<-sending
	cancel()
	require.NoError(t, <-done)
	require.Equal(t, map[string]string{"complete": "false", "reason": "interrupted"}, out.end(t))
	require.Positive(t, out.sum(measure.MetricIteration, nil).Count, "what was measured is kept")
	require.Empty(t, out.events(measure.EventGenerator))
	require.ErrorIs(t, syscall.Kill(-c.cmd.Process.Pid, 0), syscall.ESRCH, "nobody is left in its group")
}

func TestK6Killed(t *testing.T) {
	k, sending := underway(t)
	c, err := k.start(runner{1, 1})
	require.NoError(t, err)
	out, done := &sink{}, make(chan error, 1)
	talk := &conversation{conn: c.conn, settings: plan.Settings{Source: "k6", Stream: k.stream}, emit: out.emit}
	go func() { done <- c.finish(t.Context(), talk, k.stream) }()
	<-sending
	require.NoError(t, c.cmd.Process.Kill())
	require.NoError(t, <-done)
	require.Equal(t, "false", out.end(t)["complete"])
	require.Contains(t, out.end(t)["reason"], "signal: killed")
	require.Len(t, out.events(measure.EventGenerator), 1)
}

func TestK6WithoutHarness(t *testing.T) {
	k, sending := underway(t)
	c, err := k.start(runner{1, 1})
	require.NoError(t, err)
	talk := &conversation{conn: c.conn, settings: plan.Settings{Source: "k6", Stream: k.stream}}
	require.NoError(t, talk.greet())
	<-sending
	require.NoError(t, c.conn.Close())
	exited := make(chan error, 1)
	go func() { exited <- c.cmd.Wait() }()
	select {
	case err := <-exited:
		require.Error(t, err)
	case <-time.After(patience):
		c.kill()
		t.Fatal("k6 goes on without its harness")
	}
}

func TestK6RecordFails(t *testing.T) {
	k, _ := underway(t)
	full := errors.New("disk full")
	err := k.Run(t.Context(), func(measure.Batch) error { return full })
	require.ErrorIs(t, err, full)
}

func TestK6LogKeepsErrorsOnly(t *testing.T) {
	log := &k6Log{}
	for _, part := range []string{
		`{"level":"warning","msg":"careful"}` + "\n" + `{"level":"err`, `or","msg":"first","error":"Get \"http://me:pw@h/p?key=hidden\": why"}` + "\nnot json\n", strings.Repeat("x", 2*maxLogLine),
		"\npanic: the end\n",
	} {
		_, err := log.Write([]byte(part))
		require.NoError(t, err)
	}
	require.Equal(t, []string{`first: Get "http://h/p?key=": why`, "panic: the end"}, log.errors)
	require.Equal(t, "panic: the end", log.lastError())
}
