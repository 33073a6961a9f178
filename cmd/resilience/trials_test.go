package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/disrupt"
	"resilience/internal/measure"
	"resilience/internal/plan"
	"resilience/internal/store"
)

// TestTrials kills, interrupts and breaks real runs at random moments while
// faults of random drivers are going in, in effect or being lifted. Whatever
// happens, nothing may be left of them. TRIALS says how many, TRIALS_SEED which
// ones; `make trials` does 200.
func TestTrials(t *testing.T) {
	if testing.Short() {
		t.Skip("these send real traffic")
	}
	n, seed := numberFrom(t, "TRIALS", 10), numberFrom(t, "TRIALS_SEED", 1)
	var all tallies
	t.Run("all", func(t *testing.T) {
		for i := range n {
			random := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
			tr := newTrial(random, i)
			t.Run(fmt.Sprintf("%d %s", i, tr), func(t *testing.T) {
				t.Parallel()
				tr.run(t, &all)
			})
		}
	})
	t.Log(all.String())
	require.NotZero(t, all.faults, "no trial had a fault in effect when it ended")
}

func numberFrom(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// tallies sum the trials up.
type tallies struct {
	mu                           sync.Mutex
	trials, faults, lifts        int
	slowest, slowestAfterKilling time.Duration
}

func (a *tallies) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("%d trials, %d faults went in; slowest lifting: by the run %s (of %d), by the watchdog %s",
		a.trials, a.faults, a.slowest, a.lifts, a.slowestAfterKilling)
}

// The ways in which a run ends before its time.
const (
	killed      = "kill -9"
	groupKilled = "kill -9 of its group"
	terminated  = "SIGTERM"
	interrupted = "SIGINT"
	twice       = "SIGINT twice"
	hungUp      = "SIGHUP"
	crashed     = "panic"
)

var deaths = []string{killed, groupKilled, terminated, interrupted, twice, hungUp, crashed}

// trial is one run and how it ends.
type trial struct {
	death  string
	early  bool          // after counts from the start of the process, not of the tests
	after  time.Duration // until the death
	second time.Duration // until the second signal
	harms  []harm
	k6     bool
}

// harm is one kind of fault, and how to find out whether it is gone.
type harm struct {
	name string
	yaml string // of the disruption, without name, at and for
	at   time.Duration
	long time.Duration
	gone func(w *world) error
}

var harms = []harm{
	{name: "marker", yaml: `exec: {inject: "echo > marker", lift: "rm -f marker", verify: "test -e marker"}`, gone: (*world).noMarker},
	{name: "slowly", yaml: `exec: {inject: "echo > slowly; sleep 0.5", lift: "sleep 0.2; rm -f slowly"}`, gone: (*world).noSlowMarker},
	{name: "flag", yaml: `http: {inject: {method: PUT, url: "%API%/on", headers: {X-Key: "${secrets.key}"}}, lift: {method: DELETE, url: "%API%/on", headers: {X-Key: "${secrets.key}"}}, verify: {url: "%API%/on"}}`, gone: (*world).flagOff},
	{name: "pause", yaml: `services: other, at_most: all, pause: {}`, gone: func(*world) error { return nil }}, // nothing of the run's folder runs
	{name: "kill", yaml: `services: other, at_most: all, kill: {}`, gone: func(*world) error { return nil }},
	{name: "victim", yaml: `process: {pid_file: victim.pid}, pause: {}`, gone: (*world).victimRuns},
	{name: "elsewhere", yaml: `dependency: elsewhere, latency: {delay: 60s}`, gone: (*world).proxyIsFast},
	{name: "here", yaml: `dependency: here, latency: {delay: 60s}`, gone: func(*world) error { return nil }},
}

func newTrial(random *rand.Rand, i int) *trial {
	upTo := func(d time.Duration) time.Duration {
		return time.Duration(random.Int64N(int64(d))).Round(time.Millisecond)
	}
	tr := &trial{
		death: deaths[i%len(deaths)], early: random.IntN(10) == 0 && deaths[i%len(deaths)] != crashed, after: upTo(4 * time.Second), second: upTo(500 * time.Millisecond),
		k6: random.IntN(5) == 0,
	}
	for _, n := range random.Perm(len(harms))[:1+random.IntN(3)] {
		h := harms[n]
		h.at, h.long = upTo(1200*time.Millisecond), 500*time.Millisecond+upTo(4*time.Second)
		tr.harms = append(tr.harms, h)
	}
	pause := slices.IndexFunc(tr.harms, func(h harm) bool { return h.name == "pause" })
	if kill := slices.IndexFunc(tr.harms, func(h harm) bool { return h.name == "kill" }); kill >= 0 && pause >= 0 {
		tr.harms = slices.Delete(tr.harms, kill, kill+1) // what is dead can not be paused
	}
	return tr
}

func (tr *trial) String() string {
	var names []string
	for _, h := range tr.harms {
		names = append(names, h.name)
	}
	from := "of the tests"
	if tr.early {
		from = "of the process"
	}
	return fmt.Sprintf("%s %s after the start %s with %s", tr.death, tr.after, from, strings.Join(names, ", "))
}

// plan has a service that leaves a child, and another one to harm.
func (tr *trial) plan(w *world) string {
	tests := "      - {name: requests, load: {rate: 20/s, duration: 10s, grace: 1s, requests: [{path: /}]}}\n"
	if tr.k6 {
		tests += "      - {name: browse, load: {script: browse.js, rate: 5/s, duration: 10s, grace: 1s}}\n"
	}
	var disruptions strings.Builder
	for _, h := range tr.harms {
		fmt.Fprintf(&disruptions, "      - {name: %s, at: %s, for: %s, settle: 1s, %s}\n", h.name, h.at, h.long, strings.ReplaceAll(h.yaml, "%API%", w.api.URL))
	}
	return `name: trial
secrets: {key: {env: TRIAL_KEY}}
services:
  web: {command: "sleep 600 & exec testserver", ready: /ready}
  other: {command: "sleep 600 & exec testserver", ready: /ready}
targets: {web: {url: "${services.web.url}"}}
dependencies:
  here: {upstream: "${services.other.url}"}
  elsewhere: {proxy: {url: "` + w.control + `", token: "${secrets.key}"}}
phases:
  - name: beta
    candidate: web
    tests:
` + tests + "    disruptions:\n" + disruptions.String() + "    gates: [availability >= 0.1%]\n"
}

// run is one trial.
func (tr *trial) run(t *testing.T, all *tallies) {
	w := newWorld(t)
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "plan.yaml"), []byte(tr.plan(w)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "browse.js"), []byte(browse), 0o600))
	died := tr.die(t, w)
	byItself := !slices.Contains([]string{killed, groupKilled, crashed}, tr.death)
	if byItself { // nobody helps: what is not lifted now never is
		require.NoError(t, tr.gone(w), w.said)
	}
	require.Eventually(t, func() bool { return tr.gone(w) == nil && len(w.processes(t)) == 0 }, 20*time.Second, 10*time.Millisecond,
		"%v; %v are left; the run said:\n%s\nits watchdog:\n%s", tr.gone(w), w.processes(t), w.said, w.watchdogSaid())
	took := time.Since(died)

	var out bytes.Buffer
	lift := w.command("lift")
	lift.Stdout, lift.Stderr = &out, &out
	require.NoError(t, lift.Run(), out.String())
	require.Contains(t, out.String(), "nothing is left to lift")
	w.nowhere(t, "a-key-that-nobody-may-see")
	tr.record(t, w, all, byItself, took)
}

// die starts the run, ends it at its moment, and gives when that was.
func (tr *trial) die(t *testing.T, w *world) time.Time {
	cmd := w.command("run", "plan.yaml", "--phase", "beta")
	cmd.Stdout, cmd.Stderr = w.said, w.said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(cmd.Env, crashes+"=1")
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its state is looked at
		close(ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	})
	if !tr.early {
		require.Eventually(t, func() bool { return strings.Contains(w.said.String(), " began: load") }, 60*time.Second, 5*time.Millisecond, w.said)
	}
	pause(ended, tr.after)
	begun := strings.Contains(w.said.String(), "phase beta")
	died := time.Now()
	switch tr.death {
	case killed:
		_ = cmd.Process.Kill()
	case groupKilled:
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	case terminated:
		_ = cmd.Process.Signal(syscall.SIGTERM)
	case interrupted:
		_ = cmd.Process.Signal(os.Interrupt)
	case crashed:
		_ = cmd.Process.Signal(syscall.SIGUSR1)
	case hungUp:
		_ = cmd.Process.Signal(syscall.SIGHUP)
	case twice:
		_ = cmd.Process.Signal(os.Interrupt)
		pause(ended, tr.second)
		_ = cmd.Process.Signal(os.Interrupt)
	}
	select {
	case <-ended:
	case <-time.After(60 * time.Second):
		require.Fail(t, "it does not end", w.said.String())
	}
	if begun { // else the signal may have come before anybody listened
		require.Equal(t, tr.code(), cmd.ProcessState.ExitCode(), w.said.String())
	}
	return died
}

// code is the exit code: that of Go for a panic that nobody recovers, and none
// for who was killed.
func (tr *trial) code() int {
	switch tr.death {
	case killed, groupKilled:
		return -1
	case crashed:
		return 2
	}
	return gates.ExitInterrupted
}

// pause waits, but not for what has ended.
func pause(ended <-chan struct{}, d time.Duration) {
	select {
	case <-ended:
	case <-time.After(d):
	}
}

func (tr *trial) gone(w *world) (err error) {
	for _, h := range tr.harms {
		if wrong := h.gone(w); wrong != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", h.name, wrong))
		}
	}
	return err
}

// record looks at what is told of the trial: every fault that went in was
// lifted; a run that could act did so first of all, and in time.
func (tr *trial) record(t *testing.T, w *world, all *tallies, byItself bool, took time.Duration) {
	paths, err := filepath.Glob(filepath.Join(w.dir, runsDir, "*"+store.Extension))
	require.NoError(t, err)
	all.mu.Lock()
	defer all.mu.Unlock()
	all.trials++
	if len(paths) == 0 {
		return // it died before it had begun
	}
	db, err := store.Open(paths[0])
	require.NoError(t, err)
	defer db.Close()
	rec, err := db.Record("beta")
	if err != nil && !strings.Contains(w.said.String(), "phase beta") {
		return // it died while it made its record
	}
	require.NoError(t, err)
	var stopped int64
	for _, e := range rec.Events {
		if e.Kind == measure.EventService && e.Attrs["state"] == "stopped" && stopped == 0 {
			stopped = e.At
		}
	}
	for _, e := range rec.Events {
		if e.Kind != measure.EventDisruption {
			continue
		}
		all.faults++
		lifted := find(rec.Events, measure.EventLifted, e.Name)
		if lifted == nil && !byItself && (e.Name == "here" || e.Name == "kill") {
			continue // it ended with its process, as did the service
		}
		require.NotNil(t, lifted, "%s: %s", e.Name, w.watchdogSaid())
		require.Empty(t, lifted.Attrs["error"])
		if byItself && stopped != 0 {
			require.LessOrEqual(t, lifted.At, stopped, "%s was lifted after a service was stopped", e.Name)
		}
	}
	if !byItself {
		all.slowestAfterKilling = max(all.slowestAfterKilling, took)
		return
	}
	if e := find(rec.Events, measure.EventInterrupt, ""); e != nil && e.Attrs["lifting"] != "" {
		lifting, err := time.ParseDuration(e.Attrs["lifting"])
		require.NoError(t, err)
		require.LessOrEqual(t, lifting, 5*time.Second)
		all.lifts++
		all.slowest = max(all.slowest, lifting)
	}
}

// crashes is the variable that makes SIGUSR1 break the test binary.
const crashes = "RESILIENCE_TRIAL_CRASHES"

// crashLater breaks this process as a defect of it would, in a goroutine that
// nobody guards.
func crashLater() {
	if os.Getenv(crashes) == "" {
		return
	}
	os.Unsetenv(crashes) // not in its children
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGUSR1)
	go func() {
		<-broken
		panic("a trial")
	}()
}

// world is what a run may harm, outside of it.
type world struct {
	dir     string
	said    *watched
	on      atomic.Bool // the flag of the API
	api     *httptest.Server
	control string // of the proxy elsewhere
	proxy   disrupt.Dependency
	victim  *exec.Cmd
}

func newWorld(t *testing.T) *world {
	w := &world{dir: t.TempDir(), said: &watched{}}
	w.api = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(w.api.Close)
	w.startProxy(t)
	w.victim = exec.Command("sleep", "600")
	require.NoError(t, w.victim.Start())
	t.Cleanup(func() {
		_ = w.victim.Process.Kill()
		_ = w.victim.Wait()
	})
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "victim.pid"), []byte(strconv.Itoa(w.victim.Process.Pid)), 0o600))
	return w
}

// serve is an API of feature flags.
func (w *world) serve(out http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != "/on":
		fmt.Fprintln(out, "hello")
	case r.Method == http.MethodGet:
		if !w.on.Load() {
			http.NotFound(out, r)
		}
	case r.Header.Get("X-Key") != "a-key-that-nobody-may-see":
		http.Error(out, "who are you?", http.StatusUnauthorized)
	default:
		w.on.Store(r.Method == http.MethodPut)
	}
}

// startProxy starts what `resilience proxy` does, outside of the run.
func (w *world) startProxy(t *testing.T) {
	proxy, err := disrupt.NewDependency(t.Context(), "elsewhere", plan.Dependency{Upstream: w.api.URL, Protocol: "http"}, "", w.dir, func(measure.Batch) error { return nil })
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	control := disrupt.NewControl(map[string]disrupt.Dependency{"elsewhere": proxy}, "a-key-that-nobody-may-see", 5*time.Second)
	go func() { _ = control.Serve(listener) }() // until it is closed
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = control.Close(ctx)
		_ = proxy.Close()
	})
	w.proxy, w.control = proxy, "http://"+listener.Addr().String()
}

func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.Command("resilience", args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0", "GITHUB_STEP_SUMMARY=", "GITHUB_OUTPUT=", "TRIAL_KEY=a-key-that-nobody-may-see")
	return cmd
}

func (w *world) noMarker() error     { return w.absent("marker") }
func (w *world) noSlowMarker() error { return w.absent("slowly") }

func (w *world) absent(name string) error {
	if _, err := os.Stat(filepath.Join(w.dir, name)); !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the file %s is there", name)
	}
	return nil
}

func (w *world) flagOff() error {
	if w.on.Load() {
		return errors.New("the flag is on")
	}
	return nil
}

func (w *world) victimRuns() error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.victim.Process.Pid))
	if err != nil || bytes.Contains(stat, []byte(") T ")) {
		return fmt.Errorf("the victim stands still: %s", stat)
	}
	return nil
}

func (w *world) proxyIsFast() error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(w.proxy.URL() + "/")
	if err != nil {
		return fmt.Errorf("the proxy elsewhere: %w", err)
	}
	return resp.Body.Close()
}

// processes are those that run in the folder of the trial.
func (w *world) processes(t *testing.T) (pids []int) {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*/cwd")
	require.NoError(t, err)
	for _, link := range folders {
		if dir, err := os.Readlink(link); err == nil && strings.HasPrefix(dir, w.dir) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
			require.NoError(t, err)
			pids = append(pids, pid)
		}
	}
	return alive(pids)
}

func (w *world) watchdogSaid() string {
	paths, _ := filepath.Glob(filepath.Join(w.dir, runsDir, "*.logs", "watchdog.log"))
	var said strings.Builder
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		said.Write(text)
	}
	return said.String()
}

// nowhere wants a secret to be in no file that the run wrote, and not in what
// it said.
func (w *world) nowhere(t *testing.T, secret string) {
	t.Helper()
	require.NotContains(t, w.said.String(), secret)
	require.NoError(t, filepath.WalkDir(w.dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		require.NotContains(t, string(text), secret, path)
		return err
	}))
}
