package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// hands undo faults, and remember which.
type hands struct {
	mu     sync.Mutex
	undone []string
	err    error
	site   Site
}

func (h *hands) lifter() Lifter {
	undo := func(_ context.Context, d plan.Disruption, undo json.RawMessage, s Site) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.undone, h.site = append(h.undone, d.Name+" "+string(undo)), s
		return h.err
	}
	return Lifter{
		Adapters: func(plan.Plan) Adapters { return Adapters{Undo: undo} }, Getenv: noEnv, By: "lift", Timeout: 5 * time.Second,
	}
}

func (h *hands) did() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string{}, h.undone...)
}

func TestLiftUndoesOnceAndForAll(t *testing.T) {
	h := &hands{err: errors.New("no answer")}
	e := faultEntry(t, 1, plan.Disruption{Name: "slow", Exec: &plan.Exec{Lift: "./lift.sh"}})
	e.Fault.Env = map[string]string{"TARGET_URL": "http://a"}
	path := journalWith(t, plan.Plan{Dir: "/plan"}, e)

	done, err := h.lifter().Lift(t.Context(), path)
	require.NoError(t, err)
	require.ErrorContains(t, done[0].Err, "no answer")
	require.Equal(t, "run in /plan: ./lift.sh", done[0].ByHand)
	require.Equal(t, "exec", done[0].Fault)
	require.Len(t, Failed(done), 1)
	require.FileExists(t, path, "something is left")

	h.err = nil
	var told []Undone
	lifter := h.lifter()
	lifter.Done = func(done []Undone) error { told = done; return nil }
	done, err = lifter.Lift(t.Context(), path)
	require.NoError(t, err)
	require.Empty(t, Failed(done))
	require.Equal(t, done, told)
	require.Equal(t, []string{`slow {"pid":7}`, `slow {"pid":7}`}, h.did())
	require.Contains(t, h.site.Env, "TARGET_URL=http://a")
	require.Equal(t, "/plan", h.site.Dir)
	require.NoFileExists(t, path)
	_, err = lifter.Lift(t.Context(), path)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// While a fault disables a proxy of a Toxiproxy server, that can not be opened.
func TestAProxyThatIsDisabledIsNotOpenedToUndoThat(t *testing.T) {
	h := &hands{}
	e := faultEntry(t, 1, plan.Disruption{Name: "cut", Dependency: "db", Refuse: &plan.Refuse{}})
	var err error
	e.Fault.Dependency, err = json.Marshal(plan.Dependency{Toxiproxy: &plan.Toxiproxy{URL: "http://127.0.0.1:8474"}})
	require.NoError(t, err)
	lifter := h.lifter()
	adapters := lifter.Adapters(plan.Plan{})
	adapters.Dependency = func(context.Context, string, plan.Dependency, string, func(measure.Batch) error) (Dependency, error) {
		return nil, errors.New("it is disabled")
	}
	lifter.Adapters = func(plan.Plan) Adapters { return adapters }
	done, err := lifter.Lift(t.Context(), journalWith(t, plan.Plan{Dir: "/plan"}, e))
	require.NoError(t, err)
	require.Empty(t, Failed(done))
	require.Len(t, h.did(), 1)
	require.Empty(t, h.site.Dependencies, "or what the run made would seem to be in use")
}

func TestARunThatGoesOnIsLeftAlone(t *testing.T) {
	path := journalWith(t, plan.Plan{}, faultEntry(t, 1, plan.Disruption{Name: "slow"}))
	alive, err := os.Open(path)
	require.NoError(t, err)
	defer alive.Close()
	require.NoError(t, syscall.Flock(int(alive.Fd()), syscall.LOCK_EX))
	h := &hands{}
	_, err = h.lifter().Lift(t.Context(), path)
	require.ErrorIs(t, err, ErrAlive)
	require.Empty(t, h.did())
	forced := h.lifter()
	forced.Force = true
	_, err = forced.Lift(t.Context(), path)
	require.NoError(t, err)
	require.Len(t, h.did(), 1)
	require.FileExists(t, path, "the run still writes to it")
	require.NoError(t, alive.Close())
	_, err = h.lifter().Lift(t.Context(), path)
	require.NoError(t, err)
	require.NoFileExists(t, path)
}

// startGroup starts a process group whose leader ends and leaves a child, whose
// id it gives.
func startGroup(t *testing.T) (leader group, child int) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", "sleep 600 & echo $!; read wait")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	line := make([]byte, 32)
	n, err := out.Read(line)
	require.NoError(t, err)
	child, err = strconv.Atoi(strings.TrimSpace(string(line[:n])))
	require.NoError(t, err)
	leader = groupOf(cmd.Process.Pid, "web")
	require.NotEmpty(t, leader.Started)
	require.NoError(t, in.Close())
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return leader, child
}

func TestLiftEndsWhatServicesLeft(t *testing.T) {
	leader, child := startGroup(t)
	require.True(t, leader.alive())
	path := journalWith(t, plan.Plan{}, entry{Process: &leader})
	done, err := (&hands{}).lifter().Lift(t.Context(), path)
	require.NoError(t, err)
	require.Len(t, done, 1)
	require.NoError(t, done[0].Err)
	require.False(t, leader.alive())
	require.Empty(t, startedUnlessZombie(child))
	require.NoFileExists(t, path)
}

// startedUnlessZombie gives when a process that still does something started.
func startedUnlessZombie(pid int) string {
	if allZombies(pid) || syscall.Kill(pid, 0) != nil {
		return ""
	}
	if fields := statOf(strconv.Itoa(pid)); len(fields) > 0 && string(fields[0]) == "Z" {
		return ""
	}
	return startOf(pid)
}

func TestTheProcessOfAnotherIsLeftAlone(t *testing.T) {
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	path := journalWith(t, plan.Plan{}, entry{Process: &group{Pid: cmd.Process.Pid, Started: "12"}})
	_, err := (&hands{}).lifter().Lift(t.Context(), path)
	require.NoError(t, err)
	require.NotEmpty(t, startedUnlessZombie(cmd.Process.Pid))
}

func TestTheWatchdogUndoesWhatADeadRunLeft(t *testing.T) {
	path := journalWith(t, plan.Plan{}, faultEntry(t, 1, plan.Disruption{Name: "slow"}))
	read, write := io.Pipe()
	h, said := &hands{}, &bytes.Buffer{}
	ended := make(chan error, 1)
	go func() { ended <- h.lifter().Watch(t.Context(), path, read, said) }()
	require.Never(t, func() bool { return len(h.did()) > 0 }, 50*time.Millisecond, 10*time.Millisecond)
	require.NoError(t, write.Close())
	require.NoError(t, <-ended)
	require.Equal(t, []string{`slow {"pid":7}`}, h.did())
	require.Contains(t, said.String(), "slow  on")
	require.NoFileExists(t, path)
}

func TestTheWatchdogLiftsForARunThatIsStuck(t *testing.T) {
	late := faultEntry(t, 1, plan.Disruption{Name: "late"})
	late.Fault.Deadline = time.Now().Add(-2 * overdue)
	path := journalWith(t, plan.Plan{}, late, faultEntry(t, 2, plan.Disruption{Name: "in time"}))
	alive, err := os.Open(path)
	require.NoError(t, err)
	defer alive.Close()
	require.NoError(t, syscall.Flock(int(alive.Fd()), syscall.LOCK_EX))
	read, write := io.Pipe()
	h := &hands{}
	ended := make(chan error, 1)
	go func() { ended <- h.lifter().Watch(t.Context(), path, read, io.Discard) }()
	require.Eventually(t, func() bool { return len(h.did()) > 0 }, patience, 20*time.Millisecond)
	require.Equal(t, []string{`late {"pid":7}`}, h.did())
	require.NoError(t, alive.Close())
	require.NoError(t, write.Close())
	require.NoError(t, <-ended)
	require.Equal(t, []string{`late {"pid":7}`, `in time {"pid":7}`}, h.did())
}

func TestUndoingThatHangsIsBounded(t *testing.T) {
	path := journalWith(t, plan.Plan{}, faultEntry(t, 1, plan.Disruption{Name: "slow"}))
	lifter := (&hands{}).lifter()
	lifter.Timeout = 10 * time.Millisecond
	never := make(chan struct{})
	t.Cleanup(func() { close(never) })
	lifter.Adapters = func(plan.Plan) Adapters {
		return Adapters{Undo: func(context.Context, plan.Disruption, json.RawMessage, Site) error { <-never; return nil }}
	}
	done, err := lifter.Lift(t.Context(), path)
	require.NoError(t, err)
	require.ErrorContains(t, done[0].Err, "did not come to its end")
}

// A secret may be as short as a number, or look like a duration: what is left
// is found, named and undone all the same.
func TestASecretThatIsLikeAnythingElse(t *testing.T) {
	p := plan.Plan{Dir: "/plan", Secrets: map[string]plan.Secret{"pin": {Env: "PIN"}, "length": {Env: "LENGTH"}, "year": {Env: "YEAR"}}}
	values := map[string]string{"PIN": "10", "LENGTH": "1m10s", "YEAR": strconv.Itoa(time.Now().UTC().Year())}
	full := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	path := filepath.Join(t.TempDir(), "run.journal")
	journal, err := CreateJournal(path, p, "run", 1, full)
	require.NoError(t, err)
	c := &Conductor{Plan: p, Getenv: full, Guard: &Guard{begun: true, journal: journal, exited: make(chan struct{})}}
	b, err := c.bind(plan.Phase{Name: "beta"})
	require.NoError(t, err)
	slow := plan.Disruption{Name: "slow", For: plan.Duration(70 * time.Second), Exec: &plan.Exec{Inject: "./slow.sh 10", Lift: "./lift.sh 1m10s"}}
	require.NoError(t, (&keeper{c: c, b: b, d: slow}).keep(json.RawMessage(`{"pid":10}`)))
	require.NoError(t, journal.file.Close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(text), "1m10s")

	names, err := LeftBehind(path)
	require.NoError(t, err)
	require.Equal(t, []string{"slow"}, names)
	h := &hands{}
	done, err := h.lifter().Lift(t.Context(), path)
	require.NoError(t, err)
	require.ErrorContains(t, done[0].Err, "the secret length is wanted")
	require.Equal(t, []string{"slow", "exec", "run in /plan: ./lift.sh ${secrets.length}"}, []string{done[0].Name, done[0].Fault, done[0].ByHand})
	rich := h.lifter()
	rich.Getenv = full
	done, err = rich.Lift(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, done[0].Err)
	require.NotContains(t, done[0].ByHand, "1m10s")
	require.Equal(t, []string{`slow {"pid":10}`}, h.did())
}

// What was kept of an answer is in the way to undo it by hand; what is secret is
// not.
func TestACallIsUndoneByHand(t *testing.T) {
	lift := plan.Call{
		Method: "DELETE", URL: "http://flags/overrides/${kept.id}?for=${kept.who}", Headers: map[string]string{"X-Key": "0123abc"},
		JSON: map[string]any{"id": "${kept.id}"},
	}
	for name, tt := range map[string]struct {
		call plan.Call
		undo plan.Kept
		want string
	}{
		"all is known": {
			lift,
			plan.Kept{Values: map[string]string{"id": "a/1", "who": "0123abc"}},
			`call DELETE http://flags/overrides/a%2F1?for=${secrets.key}, header X-Key: ${secrets.key}, body {"id":"a/1"}`,
		},
		"the answer got lost": {
			plan.Call{Method: "DELETE", URL: "http://flags/${kept.id}"},
			plan.Kept{Open: true},
			"call DELETE http://flags/${kept.id} (whether the call that was to inject it took effect is not known)",
		},
		"nothing was to be kept": {plan.Call{URL: "http://flags/on"}, plan.Kept{}, "call http://flags/on"},
	} {
		t.Run(name, func(t *testing.T) {
			p := plan.Plan{Dir: "/plan", Secrets: map[string]plan.Secret{"key": {Env: "KEY"}}}
			secret := func(string) (string, bool) { return "0123abc", true }
			path := filepath.Join(t.TempDir(), "run.journal")
			journal, err := CreateJournal(path, p, "run", 1, secret)
			require.NoError(t, err)
			c := &Conductor{Plan: p, Getenv: secret, Guard: &Guard{begun: true, journal: journal, exited: make(chan struct{})}}
			b, err := c.bind(plan.Phase{Name: "beta"})
			require.NoError(t, err)
			undo, err := json.Marshal(tt.undo)
			require.NoError(t, err)
			require.NoError(t, (&keeper{c: c, b: b, d: plan.Disruption{Name: "flag", HTTP: &plan.HTTP{Lift: tt.call}}}).keep(undo))
			require.NoError(t, journal.file.Close())
			h := &hands{err: errors.New("no answer")}
			lifter := h.lifter()
			lifter.Getenv = secret
			done, err := lifter.Lift(t.Context(), path)
			require.NoError(t, err)
			require.Equal(t, tt.want, done[0].ByHand)
		})
	}
}

func TestWhatUndoingCanNotKnowIsTold(t *testing.T) {
	lifter := (&hands{}).lifter()
	lifter.Adapters = func(plan.Plan) Adapters {
		return Adapters{Undo: func(_ context.Context, _ plan.Disruption, _ json.RawMessage, s Site) error {
			s.Note(measure.EventWarning, "slow", map[string]string{"detail": "it may come later"})
			s.Note(measure.EventChange, "slow", map[string]string{"detail": "a new process"})
			return nil
		}}
	}
	done, err := lifter.Lift(t.Context(), journalWith(t, plan.Plan{}, faultEntry(t, 1, plan.Disruption{Name: "slow"})))
	require.NoError(t, err)
	require.Equal(t, []string{"it may come later"}, done[0].Warnings)
}

// The run has told that something may be left: whoever called it does not wait
// for a watchdog that tries once more.
func TestNobodyWaitsForTheWatchdogsOwnTry(t *testing.T) {
	l := &lasting{}
	l.liftErr = errors.New("no answer")
	s := quickStage(t, l)
	path := s.guard(t, "/bin/sh", "-c", "cat >/dev/null; exec sleep 600")
	require.ErrorIs(t, s.Run(t.Context(), "beta"), ErrFaultLeft)
	require.NoError(t, s.Guard.Close())
	select {
	case <-s.Guard.exited:
		t.Fatal("it was waited for")
	default:
	}
	require.NoError(t, s.Guard.dog.Process.Kill())
	<-s.Guard.exited
	free, err := openJournal(path, false)
	require.NoError(t, err, "it is left to the watchdog")
	require.NoError(t, free.file.Close())
}

// A run that is over leaves the journal to whoever is at it already.
func TestTheWatchdogLeavesItToWhoeverLifts(t *testing.T) {
	path := journalWith(t, plan.Plan{}, faultEntry(t, 1, plan.Disruption{Name: "slow"}))
	other, err := openJournal(path, false)
	require.NoError(t, err)
	defer other.file.Close()
	h := &hands{}
	require.NoError(t, h.lifter().Watch(t.Context(), path, strings.NewReader(wentWell), io.Discard))
	require.Empty(t, h.did())
}
