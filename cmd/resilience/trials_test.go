package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
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
	shared := newShared(t)
	possible := shared.possible(t)
	all := tallies{faults: map[string]int{}}
	t.Run("all", func(t *testing.T) {
		for i := range n {
			random := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
			tr := newTrial(random, i, possible)
			tr.name = fmt.Sprintf("trial%d", i)
			t.Run(fmt.Sprintf("%d %s", i, tr), func(t *testing.T) {
				t.Parallel()
				tr.run(t, shared, &all)
			})
		}
	})
	t.Log(all.String())
	require.NotEmpty(t, all.faults, "no trial had a fault in effect when it ended")
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
	trials, lifts, unconfirmed   int
	faults                       map[string]int // that went in, by the name of the harm
	slowest, slowestAfterKilling time.Duration
}

func (a *tallies) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	sum := 0
	var each []string
	for _, name := range slices.Sorted(maps.Keys(a.faults)) {
		sum += a.faults[name]
		each = append(each, fmt.Sprintf("%s %d", name, a.faults[name]))
	}
	return fmt.Sprintf("%d trials, %d faults went in (%s); slowest lifting: by the run %s (of %d), by the watchdog %s; %d runs could not confirm the lifting of containers in 5 s, and said so",
		a.trials, sum, strings.Join(each, ", "), a.slowest, a.lifts, a.slowestAfterKilling, a.unconfirmed)
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
	name   string
	death  string
	early  bool          // after counts from the start of the process, not of the tests
	after  time.Duration // until the death
	second time.Duration // until the second signal
	harms  []harm
	k6     bool

	unconfirmed bool // the run said that a fault may still be active
}

// harm is one kind of fault, and how to find out whether it is gone.
type harm struct {
	name   string
	yaml   string // of the disruption, without name, at and for
	at     time.Duration
	long   time.Duration
	set    func(w *world, t *testing.T) // up what it acts on; may be called again; nil where that is always there
	gone   func(w *world) error
	mortal bool // it ends with the process of the run, and needs nobody to undo it
}

// harms are all that a trial may do. Words between percent signs are those of
// its world.
var harms = []harm{
	{name: "marker", yaml: `exec: {inject: "echo > marker", lift: "rm -f marker", verify: "test -e marker"}`, gone: (*world).noMarker},
	{name: "slowly", yaml: `exec: {inject: "echo > slowly; sleep 0.5", lift: "sleep 0.2; rm -f slowly"}`, gone: (*world).noSlowMarker},
	{name: "flag", yaml: `http: {inject: {method: PUT, url: "%API%/on", headers: {X-Key: "${secrets.key}"}}, lift: {method: DELETE, url: "%API%/on", headers: {X-Key: "${secrets.key}"}}, verify: {url: "%API%/on"}}`, gone: (*world).flagOff},
	{name: "pause", yaml: `services: other, at_most: all, pause: {}`, gone: (*world).nothing}, // nothing of the run's folder runs
	{name: "kill", yaml: `services: other, at_most: all, kill: {}`, gone: (*world).nothing, mortal: true},
	{name: "victim", yaml: `process: {pid_file: victim.pid}, pause: {}`, gone: (*world).victimRuns},
	{name: "elsewhere", yaml: `dependency: elsewhere, latency: {delay: 60s}`, gone: (*world).proxyIsFast},
	{name: "here", yaml: `dependency: here, latency: {delay: 60s}`, gone: (*world).nothing, mortal: true},
	{name: "toxic", yaml: `dependency: toxic, latency: {delay: 60s}`, set: (*world).useToxiproxy, gone: (*world).noToxics},
	{name: "cut", yaml: `dependency: toxic, refuse: {}`, set: (*world).useToxiproxy, gone: (*world).noToxics},
	{name: "cpu", yaml: `cpu: {cores: 1, load: 20%}`, gone: (*world).noBurden, mortal: true},
	{name: "memory", yaml: `memory: {size: 32MB}`, gone: (*world).noBurden, mortal: true},
	{name: "disk", yaml: `disk: {dir: disk, leave: 4MB}`, set: (*world).mountDisk, gone: (*world).diskIsFree, mortal: true},
	{name: "container-dies", yaml: `container: {name: "%NAME%-*", engine: "%ENGINE%"}, at_most: all, kill: {}`, set: (*world).runContainers, gone: (*world).containersRun},
	{name: "container-stalls", yaml: `container: {name: "%NAME%-*", engine: "%ENGINE%"}, at_most: all, pause: {}`, set: (*world).runContainers, gone: (*world).containersRun},
	{name: "container-rolls", yaml: `container: {name: "%NAME%-*", engine: "%ENGINE%"}, restart: {rolling: true}`, set: (*world).runContainers, gone: (*world).containersRun},
}

// newTrial draws a trial. Each death and each kind of harm has its turn, and
// they meet in all pairs.
func newTrial(random *rand.Rand, i int, harms []harm) *trial {
	upTo := func(d time.Duration) time.Duration {
		return time.Duration(random.Int64N(int64(d))).Round(time.Millisecond)
	}
	tr := &trial{
		death: deaths[i%len(deaths)], early: random.IntN(10) == 0 && deaths[i%len(deaths)] != crashed, after: upTo(4 * time.Second), second: upTo(500 * time.Millisecond),
		k6: random.IntN(5) == 0,
	}
	drawn := random.Perm(len(harms))[:1+random.IntN(3)]
	if turn := i * 7 % len(harms); !slices.Contains(drawn, turn) {
		drawn[0] = turn
	}
	for _, n := range drawn {
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
		fmt.Fprintf(&disruptions, "      - {name: %s, at: %s, for: %s, settle: 1s, %s}\n", h.name, h.at, h.long, w.words().Replace(h.yaml))
	}
	dependencies := ""
	if w.toxicsAt != "" {
		dependencies = fmt.Sprintf("  toxic: {upstream: %q, protocol: tcp, toxiproxy: {url: %q, name: %q}}\n", w.api.Listener.Addr(), w.toxicsAt, w.name)
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
` + dependencies + `phases:
  - name: beta
    candidate: web
    tests:
` + tests + "    disruptions:\n" + disruptions.String() + "    gates: [availability >= 0.1%]\n"
}

// run is one trial.
func (tr *trial) run(t *testing.T, shared *shared, all *tallies) {
	w := newWorld(t, tr.name, shared)
	for _, h := range tr.harms {
		if h.set != nil {
			h.set(w, t)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "plan.yaml"), []byte(tr.plan(w)), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "browse.js"), []byte(browse), 0o600))
	died := tr.die(t, w)
	byItself := !slices.Contains([]string{killed, groupKilled, crashed}, tr.death)
	switch {
	case tr.unconfirmed: // what it says to do must help
		require.NoError(t, w.command("lift").Run(), "%s", w.said)
	case byItself: // nobody helps: what is not lifted now never is
		require.NoError(t, tr.gone(w), w.said)
	}
	require.Eventually(t, func() bool { return tr.gone(w) == nil && len(w.processes(t)) == 0 }, time.Minute, 10*time.Millisecond,
		"%v; %v are left; the run said:\n%s\nits watchdog:\n%s", tr.gone(w), w.processes(t), w.said, w.watchdogSaid())
	took := time.Since(died)
	w.requireAnswers(t)

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
		require.Eventually(t, func() bool { return strings.Contains(w.said.String(), " began: load") }, 3*time.Minute, 5*time.Millisecond, w.said)
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
	case <-time.After(2 * time.Minute):
		require.Fail(t, "it does not end", w.said.String())
	}
	if begun { // else the signal may have come before anybody listened
		code := cmd.ProcessState.ExitCode()
		// Lifting has 5 s, and no machine is bound to start containers in that time.
		tr.unconfirmed = code == gates.ExitFault && tr.code() == gates.ExitInterrupted && w.engine != nil
		require.True(t, tr.unconfirmed || code == tr.code(), "exit code %d\n%s", code, w.said)
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
		all.faults[e.Name]++
		events := rec.Events
		if w.engine != nil && !byItself { // the watchdog tries again what an engine was too slow for
			events = slices.Clone(events)
			slices.Reverse(events)
		}
		lifted := find(events, measure.EventLifted, e.Name)
		mortal := slices.ContainsFunc(tr.harms, func(h harm) bool { return h.name == e.Name && h.mortal })
		if lifted == nil && !byItself && mortal {
			continue // it ended with the run
		}
		if tr.unconfirmed {
			continue // its record says so, and is not told of the rest
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
	if tr.unconfirmed {
		all.unconfirmed++
		return
	}
	if e := find(rec.Events, measure.EventInterrupt, ""); e != nil && e.Attrs["lifting"] != "" {
		lifting, err := time.ParseDuration(e.Attrs["lifting"])
		require.NoError(t, err)
		if w.engine == nil { // the time of that is its own
			require.LessOrEqual(t, lifting, 5*time.Second)
		}
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
