package traffic

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

const telling = `
import http from 'k6/http';
export function pid() { http.get(__ENV.TARGET_URL + '/ok'); }
export function hold() { http.get(__ENV.TARGET_URL + '/hold'); }
`

// held is a target that lets requests to /hold wait until they are released, and
// tells when one has come.
func held(t *testing.T) (url string, came chan struct{}, release func()) {
	came, open := make(chan struct{}, 100), make(chan struct{})
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hold" {
			return
		}
		came <- struct{}{}
		select {
		case <-open:
		case <-r.Context().Done():
		}
	})
	return server.URL, came, func() { close(open) }
}

// processes gives the processes that one has started and that still run.
func processes(t testing.TB, parent int) (pids []int) {
	t.Helper()
	ps := exec.Command("ps", "-axo", "pid=,ppid=,state=")
	out, err := ps.Output()
	require.NoError(t, err)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 3 || f[1] != strconv.Itoa(parent) || f[0] == strconv.Itoa(ps.Process.Pid) || strings.HasPrefix(f[2], "Z") {
			continue
		}
		pid, err := strconv.Atoi(f[0])
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	return pids
}

// children are those of this process.
func children(t testing.TB) []int { return processes(t, os.Getpid()) }

// only is the one process that has been started.
func only(t testing.TB) int {
	t.Helper()
	pids := children(t)
	require.Len(t, pids, 1)
	return pids[0]
}

func TestProberGoesOnWhenKilled(t *testing.T) {
	url, came, release := held(t)
	defer release()
	c := canary(t, canaryTo(t, url, telling), 2, "pid", "hold")
	c.try(measure.Probe{Transaction: "pid"})
	first := only(t)
	require.Eventually(t, func() bool { return len(c.sources()) == 1 }, patience, 10*time.Millisecond, "windows flow")
	seq := c.ask(measure.Probe{Transaction: "hold"})
	<-came
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	require.Equal(t, measure.Probed{Seq: seq, Lost: "k6 ended: signal: killed"}, c.answer())
	require.Equal(t, measure.Accepted, c.try(measure.Probe{Transaction: "pid"}).Found)
	second := only(t)
	require.NotEqual(t, first, second)
	require.ErrorIs(t, syscall.Kill(-first, 0), syscall.ESRCH, "nobody is left in its group")
	c.ended()
	require.Empty(t, children(t))
	ended := c.out.events(measure.EventGenerator)
	require.Len(t, ended, 1)
	require.Equal(t, "ended", ended[0].Name)
	require.Equal(t, "k6 ended: signal: killed", ended[0].Attrs["detail"])
	require.Len(t, c.sources(), 2, "windows of two processes never replace one another")
}

// sources are the processes of which there are windows.
func (c *canaried) sources() map[string]bool {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	all := map[string]bool{}
	for _, w := range c.out.batch.Windows {
		all[w.Source] = true
	}
	return all
}

// What is under way at the end may come to it; nothing more is taken.
func TestProberStopped(t *testing.T) {
	url, came, release := held(t)
	c := canary(t, canaryTo(t, url, telling), 3, "pid", "hold")
	seq := c.ask(measure.Probe{Transaction: "hold"})
	<-came
	c.stop()
	select {
	case c.due <- measure.Probe{Seq: 99, Transaction: "pid", Exec: "pid", Tries: 1, Timeout: time.Second}:
		// Taken in the very moment of the end: then it is answered.
		require.EqualValues(t, 99, c.answer().Seq)
	case <-c.end:
		t.Fatal("it did not wait for what was under way")
	default:
	}
	release()
	probed := c.answer()
	require.Equal(t, seq, probed.Seq)
	require.Equal(t, measure.Accepted, probed.Attempt.Found)
	require.NoError(t, <-c.end)
	require.Empty(t, children(t))
	require.Empty(t, c.out.events(measure.EventGenerator))
	require.Positive(t, c.out.sum(measure.MetricTransaction, inTransaction("hold")).Count)
}

func TestProberStoppedWithoutGrace(t *testing.T) {
	url, came, release := held(t)
	defer release()
	s := canaryTo(t, url, telling)
	s.Test.Load.Grace = seconds(0.05)
	c := canary(t, s, 1, "hold")
	seq := c.ask(measure.Probe{Transaction: "hold"})
	<-came
	c.ended()
	require.Equal(t, measure.Probed{Seq: seq, Lost: "the canary was stopped"}, c.answer())
	require.Empty(t, children(t))
}

// Nothing is due any more when the channel is closed.
func TestProberWithoutMoreToDo(t *testing.T) {
	url, _, release := held(t)
	release()
	c := canary(t, canaryTo(t, url, telling), 1, "hold")
	c.ask(measure.Probe{Transaction: "hold"})
	close(c.due)
	require.NoError(t, <-c.end)
	require.Equal(t, measure.Accepted, c.answer().Attempt.Found)
}

func TestProberScriptsThatDoNotFit(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"exec":   {"export function other() {}", `it exports no function "order"`},
		"syntax": {"export function order() { let let }", "script.js"},
		"top":    {"throw new Error('broken at the top'); export function order() {}", "broken at the top"},
		"hosts":  {"export const options = {hosts: {'a.example': '127.0.0.1'}}; export function order() {}", "option hosts"},
	} {
		t.Run(name, func(t *testing.T) {
			p := canary(t, canaryTo(t, "http://127.0.0.1:1", c.script), 1, "order")
			var wrong *PlanError
			require.ErrorAs(t, <-p.end, &wrong)
			require.Contains(t, wrong.Message, c.want)
			require.Equal(t, "canary", wrong.Test)
			require.Empty(t, children(t))
		})
	}
}

// A process that ends soon is started again, later each time: such as one whose
// setup needs a target that is down.
func TestProberSetupFailsAtFirst(t *testing.T) {
	asked := make(chan time.Time, 10)
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked <- time.Now()
		if len(asked) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	script := `
import http from 'k6/http';
export function setup() { if (http.get(__ENV.TARGET_URL).status !== 200) throw new Error('no seed'); }
export function order() {}`
	c := canary(t, canaryTo(t, server.URL, script), 1, "order")
	c.try(measure.Probe{Transaction: "order"})
	c.ended()
	ended := c.out.events(measure.EventGenerator)
	require.Len(t, ended, 2)
	require.Contains(t, ended[0].Attrs["detail"], "no seed")
	first, second, third := <-asked, <-asked, <-asked
	require.GreaterOrEqual(t, second.Sub(first), firstInterval)
	require.GreaterOrEqual(t, third.Sub(second), 2*firstInterval)
}

func TestProberOptionsOfScript(t *testing.T) {
	script := `
export const options = { scenarios: { s: { executor: 'shared-iterations', vus: 5, iterations: 5 } }, vus: 3, thresholds: { iterations: ['count<1'] } };
export function order() {}`
	c := canary(t, canaryTo(t, "http://127.0.0.1:1", script), 1, "order")
	require.Equal(t, measure.Accepted, c.try(measure.Probe{Transaction: "order"}).Found, "when it runs, the canary says")
	require.Equal(t, measure.Accepted, c.try(measure.Probe{Transaction: "order"}).Found)
}

func TestProberRecordFails(t *testing.T) {
	s := canaryTo(t, "http://127.0.0.1:1", "export function order() {}")
	full := errors.New("disk full")
	p, err := NewProber(s, []string{"order"}, 1, []string{os.Args[0]}, s.Test.Load.Script, func(measure.Batch) error { return full })
	require.NoError(t, err)
	due := make(chan measure.Probe, 1)
	due <- measure.Probe{Seq: 1, Transaction: "order", Exec: "order", Timeout: time.Second}
	done := make(chan measure.Probed, 1)
	require.ErrorIs(t, p.Run(t.Context(), due, func(probed measure.Probed) { done <- probed }), full)
	require.EqualValues(t, 1, (<-done).Seq, "whatever becomes of it")
}

func TestProberMisused(t *testing.T) {
	s := canaryTo(t, "http://127.0.0.1:1", "export function order() {}")
	for _, c := range []struct {
		vus   int
		execs []string
		path  string
		want  string
	}{
		{0, []string{"order"}, s.Test.Load.Script, "needs VUs and functions"},
		{1, nil, s.Test.Load.Script, "needs VUs and functions"},
		{1, []string{"order"}, "missing.js", "missing.js"},
	} {
		_, err := NewProber(s, c.execs, c.vus, []string{"k6"}, c.path, nil)
		require.ErrorContains(t, err, c.want)
	}
	s.Target.Auth = &plan.Auth{OAuth2: &plan.OAuth2{TokenURL: "http://127.0.0.1:1/token", ClientID: "a", ClientSecret: "b"}}
	s.Hosts = append(s.Hosts, "127.0.0.1:1")
	p, err := NewProber(s, []string{"order"}, 1, []string{"k6"}, s.Test.Load.Script, nil)
	require.NoError(t, err)
	var token *TokenError
	require.ErrorAs(t, p.Run(t.Context(), nil, nil), &token)
}

// A process that was stopped says nothing, and does not end by itself.
func TestProberHung(t *testing.T) {
	url, came, release := held(t)
	defer release()
	c := tuned(t, canaryTo(t, url, telling), 1, func(p *Prober) { p.patience = time.Second }, "pid", "hold")
	seq := c.ask(measure.Probe{Transaction: "hold", Timeout: 5 * time.Second})
	<-came
	require.NoError(t, syscall.Kill(only(t), syscall.SIGSTOP))
	require.Equal(t, measure.Probed{Seq: seq, Lost: "k6 hung: it did not say what became of a probe within 1s after its time was over"}, c.answer())
	require.Equal(t, measure.Accepted, c.try(measure.Probe{Transaction: "pid"}).Found)
}

func TestProberHangs(t *testing.T) {
	now := time.Now()
	under := map[uint64]taken{1: {measure.Probe{Timeout: time.Minute}, now.Add(-65 * time.Second)}}
	for name, c := range map[string]*struct {
		s    shift
		want string
	}{
		"waits for probes":  {shift{free: 1, quietSince: now.Add(-time.Hour)}, ""},
		"begins":            {shift{quietSince: now.Add(-time.Minute)}, ""},
		"does not begin":    {shift{quietSince: now.Add(-3 * time.Minute)}, "k6 hung: none of its VUs came free for 2m0s"},
		"is at work":        {shift{under: under, patience: 10 * time.Second, quietSince: now.Add(-time.Hour)}, ""},
		"does not answer":   {shift{under: under, patience: time.Second}, "k6 hung: it did not say what became of a probe within 1s after its time was over"},
		"does not, but one": {shift{free: 1, under: under, patience: time.Second}, "k6 hung: it did not say what became of a probe within 1s after its time was over"},
	} {
		err := c.s.check(now)
		if c.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.EqualError(t, err, c.want, name)
	}
}

// asProber is set in a process of this test that is a daemon with a prober.
const asProber = "RESILIENCE_TEST_AS_PROBER"

// daemon runs a prober of the script that it is told until it is killed.
func daemon(script string) {
	s := plan.Stream{
		Phase: "beta", Arm: measure.Candidate, Test: plan.Test{Name: "canary", Load: &plan.Profile{Script: script}},
		Target: plan.Target{URL: "http://127.0.0.1:1"}, Hosts: []string{"127.0.0.1:1"}, Dir: filepath.Dir(script),
	}
	os.Unsetenv(asProber)
	p, err := NewProber(s, []string{"order"}, 1, []string{os.Args[0]}, script, func(measure.Batch) error { return nil })
	if err != nil {
		panic(err)
	}
	due := make(chan measure.Probe, 1)
	due <- measure.Probe{Seq: 1, Transaction: "order", Exec: "order", Timeout: time.Minute}
	if err := p.Run(context.Background(), due, func(measure.Probed) { println("answered") }); err != nil {
		panic(err)
	}
}

func TestProberEndsWithItsDaemon(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script.js")
	require.NoError(t, os.WriteFile(script, []byte("export function order() {}"), 0o600))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asProber+"="+script)
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line := make([]byte, len("answered\n"))
	_, err = io.ReadFull(stderr, line)
	require.NoError(t, err)
	require.Equal(t, "answered\n", string(line))
	left := processes(t, cmd.Process.Pid)
	require.Len(t, left, 1)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	require.Eventually(t, func() bool { return !runs(t, left[0]) }, patience, 10*time.Millisecond)
}

// runs reports whether there is a process that has not ended.
func runs(t *testing.T, pid int) bool {
	out, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	if err != nil { // there is none
		return false
	}
	return !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}
