package disrupt

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/containers"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// testService is a service with a real process group: a shell and what it
// started.
type testService struct {
	turn sync.Mutex // one start or stop at a time

	mu       sync.Mutex
	cmd      *exec.Cmd
	ended    chan struct{}
	expected bool
	failed   bool // died of itself
	starts   int
	onStop   func()
}

func (s *testService) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	return s.cmd.Process.Pid
}

func (s *testService) Expect(death bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected = death
}

func (s *testService) Start(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.Pid() != 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	cmd := exec.Command("/bin/sh", "-c", "sleep 120 & wait")
	// In a session of its own: otherwise the kernel lets the group go on, with a
	// SIGHUP, when the harness dies, and there is nothing left to undo.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd, s.ended = cmd, ended
	s.starts++
	go func() {
		defer close(ended)
		_ = cmd.Wait()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.failed = s.failed || !s.expected
		s.cmd = nil
	}()
	return nil
}

func (s *testService) Stop(context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.onStop != nil {
		s.onStop()
	}
	s.mu.Lock()
	cmd, ended := s.cmd, s.ended
	s.mu.Unlock()
	if cmd == nil {
		return nil
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	<-ended
	return nil
}

// testServices starts services that end with the test.
func testServices(t testing.TB, names ...string) (map[string]Service, map[string]*testService) {
	t.Helper()
	all, services := map[string]Service{}, map[string]*testService{}
	for _, name := range names {
		s := &testService{}
		require.NoError(t, s.Start(t.Context()))
		require.Eventually(t, func() bool {
			group, err := members(s.Pid())
			return err == nil && len(group) == 2
		}, patience, time.Millisecond)
		t.Cleanup(func() { s.Expect(true); _ = s.Stop(context.Background()) })
		all[name], services[name] = s, s
	}
	return all, services
}

// subject is something that lives, and another beside it.
type subject struct {
	site            Site
	d               plan.Disruption // selects the first
	victim, another life
	unit            string
	answers         func() bool // the victim; nil where there is nobody to ask
}

func quiet(string, string, map[string]string) {}

var subjects = map[string]func(t *testing.T) subject{
	"services": func(t *testing.T) subject {
		all, services := testServices(t, "a", "b")
		return subject{
			Site{Services: all, Note: quiet},
			plan.Disruption{Name: "d", Services: plan.Names{"a"}},
			&serviceLife{"a", services["a"]}, &serviceLife{"b", services["b"]}, "services", nil,
		}
	},
	"process": func(t *testing.T) subject {
		dir := t.TempDir()
		s := Site{Dir: dir, Note: quiet}
		var lives []life
		for _, name := range []string{"a.pid", "b.pid"} {
			p := &processLife{path: filepath.Join(dir, name), restart: "sleep 120 & echo $! > " + name, site: s}
			require.NoError(t, p.start(t.Context()))
			t.Cleanup(func() { endProcess(t, p) })
			lives = append(lives, p)
		}
		return subject{
			s,
			plan.Disruption{Name: "d", Process: &plan.Process{PIDFile: "a.pid", Start: "sleep 120 & echo $! > a.pid"}},
			lives[0], lives[1], "processes", nil,
		}
	},
	"container of a fake": func(t *testing.T) subject { return containerSubject(t, "fake") },
	"container of Podman": func(t *testing.T) subject { return containerSubject(t, "podman") },
	"container of Docker": func(t *testing.T) subject { return containerSubject(t, "docker") },
}

func containerSubject(t *testing.T, engine string) subject {
	e := containers.Open(t, engine)
	of := func(name string) life {
		return &containerLife{engine: newEngine(e.Socket), id: e.Run(t, containers.Container{Name: name}), named: name}
	}
	return subject{
		Site{Note: quiet},
		plan.Disruption{Name: "d", Container: &plan.Container{Name: "one", Engine: "unix://" + e.Socket}},
		of("one"), of("two"), "containers", func() bool { return e.Answers(t, "one") },
	}
}

func endProcess(t testing.TB, p *processLife) {
	now, err := p.find()
	require.NoError(t, err)
	require.NoError(t, signalTo(now.pid, syscall.SIGKILL))
	require.NoError(t, untilEnded(context.Background(), now, patience))
}

func now(t testing.TB, l life) vitals {
	t.Helper()
	v, err := l.look(t.Context())
	require.NoError(t, err)
	return v
}

// put injects a disruption and gives how to lift it, and what was kept.
func put(t testing.TB, d plan.Disruption, s Site) (lift func() measure.Touch, undo *json.RawMessage) {
	t.Helper()
	return ready(t, d, s)()
}

// ready prepares a disruption and gives how to inject it.
func ready(t testing.TB, d plan.Disruption, s Site) (inject func() (lift func() measure.Touch, undo *json.RawMessage)) {
	t.Helper()
	made, err := New(d, s)
	require.NoError(t, err)
	_, err = made.Prepare(t.Context())
	require.NoError(t, err)
	return func() (func() measure.Touch, *json.RawMessage) {
		undo := &json.RawMessage{}
		l, err := made.Inject(t.Context(), func(kept json.RawMessage) error { *undo = kept; return nil })
		require.NoError(t, err)
		return func() measure.Touch {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			touch, err := l(ctx)
			require.NoError(t, err)
			again, err := l(ctx)
			require.NoError(t, err, "lifting twice is harmless")
			require.Equal(t, touch, again)
			return touch
		}, undo
	}
}

var lifeFaults = map[string]func(*plan.Disruption){
	"kill":    func(d *plan.Disruption) { d.Kill = &plan.Kill{} },
	"term":    func(d *plan.Disruption) { d.Kill = &plan.Kill{Signal: "TERM"} },
	"pause":   func(d *plan.Disruption) { d.Pause = &plan.Pause{} },
	"restart": func(d *plan.Disruption) { d.Restart = &plan.Restart{} },
	"rolling": func(d *plan.Disruption) { d.Restart = &plan.Restart{Rolling: true} },
}

func eachLife(t *testing.T, test func(t *testing.T, fault string, s subject)) {
	for on, make := range subjects {
		for fault, set := range lifeFaults {
			t.Run(on+"/"+fault, func(t *testing.T) {
				s := make(t)
				set(&s.d)
				test(t, fault, s)
				require.Empty(t, grips.of)
				if s.answers != nil {
					require.Eventually(t, s.answers, patience, time.Millisecond)
				}
			})
		}
	}
}

// requireHarmed waits until a fault shows.
func requireHarmed(t *testing.T, fault string, l life, before vitals) {
	t.Helper()
	switch fault {
	case "kill", "term":
		require.False(t, now(t, l).running)
	case "pause":
		require.True(t, now(t, l).paused)
	default:
		require.Eventually(t, func() bool { v := now(t, l); return v.running && v.id != before.id }, patience, time.Millisecond)
	}
}

func TestLifeFaultBitesAndLifts(t *testing.T) {
	eachLife(t, func(t *testing.T, fault string, s subject) {
		before, beside := now(t, s.victim), now(t, s.another)
		lift, undo := put(t, s.d, s.site)
		requireHarmed(t, fault, s.victim, before)
		require.False(t, slices.Contains([]string{"kill", "term", "pause"}, fault) && s.answers != nil && s.answers(), "it answers all the same")
		require.Equal(t, beside, now(t, s.another), "bounded by its selection")
		require.Equal(t, s.unit != "services" || fault == "pause", len(*undo) > 0, "what outlives the harness is kept")

		require.Equal(t, measure.Touch{Matched: 1, Touched: 1, Unit: s.unit, Names: []string{nameIn(s)}}, lift())
		after := now(t, s.victim)
		require.True(t, after.running)
		require.False(t, after.paused)
		require.Equal(t, fault == "pause", after.id == before.id)
		require.Equal(t, beside, now(t, s.another))
	})
}

// nameIn is what the disruption calls its victim.
func nameIn(s subject) string { return s.victim.name() }

func TestLifeFaultsCompose(t *testing.T) {
	for on, make := range subjects {
		t.Run(on, func(t *testing.T) {
			s := make(t)
			inject := map[string]func() (func() measure.Touch, *json.RawMessage){}
			for name, set := range lifeFaults {
				d := s.d
				set(&d)
				inject[name] = ready(t, d, s.site)
			}
			first, _ := inject["pause"]()
			second, _ := inject["pause"]()
			first()
			require.True(t, now(t, s.victim).paused, "the other is still in effect")
			second()
			require.False(t, now(t, s.victim).paused)

			kill, _ := inject["kill"]()
			pause, _ := inject["pause"]()
			kill()
			require.True(t, now(t, s.victim).paused, "started again it stands still")
			pause()
			require.Equal(t, []bool{true, false}, []bool{now(t, s.victim).running, now(t, s.victim).paused})

			pause, _ = inject["pause"]()
			kill, _ = inject["kill"]()
			pause()
			require.False(t, now(t, s.victim).running, "what is dead does not go on")
			kill()
			require.Equal(t, []bool{true, false}, []bool{now(t, s.victim).running, now(t, s.victim).paused})
			require.Empty(t, grips.of)
		})
	}
}

// The harness is killed while a fault is in effect; another process undoes it.
func TestLifeFaultIsUndoneFromAnotherProcess(t *testing.T) {
	for on, make := range subjects {
		if on == "services" { // they are the harness' own: see below
			continue
		}
		for _, fault := range []string{"kill", "pause"} {
			t.Run(on+"/"+fault, func(t *testing.T) {
				s := make(t)
				lifeFaults[fault](&s.d)
				before := now(t, s.victim)
				undo := injectAndDie(t, s.d, s.site.Dir)
				requireHarmed(t, fault, s.victim, before)
				for range 2 {
					require.NoError(t, Undo(t.Context(), s.d, undo, s.site))
					after := now(t, s.victim)
					require.True(t, after.running && !after.paused)
				}
			})
		}
	}
}

func TestPausedServiceIsUndoneFromAnotherProcess(t *testing.T) {
	d := plan.Disruption{Name: "d", Services: plan.Names{"a"}, Pause: &plan.Pause{}}
	undo := injectAndDie(t, d, "")
	var left leftover[serviceTrace]
	require.NoError(t, json.Unmarshal(undo, &left))
	group := left.Instances[0].Group
	t.Cleanup(func() { require.NoError(t, signalTo(-group, syscall.SIGKILL)) })
	paused, err := members(group)
	require.NoError(t, err)
	require.Len(t, paused, 2)
	require.True(t, paused[0].stopped() && paused[1].stopped())
	for range 2 {
		require.NoError(t, Undo(t.Context(), d, undo, Site{}))
		after, err := members(group)
		require.NoError(t, err)
		require.Len(t, after, 2)
		require.False(t, after[0].stopped() || after[1].stopped())
	}
}

// childWork is what a child of this test binary shall do.
const childWork = "DISRUPT_TEST_INJECT"

// actAsChild makes the test binary a process that burdens the machine, or one
// that injects a fault and then waits to be killed.
func actAsChild() bool {
	if os.Getenv(StressEnv) != "" {
		if err := Stress(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return true
	}
	text := os.Getenv(childWork)
	if text == "" {
		return false
	}
	var work struct {
		D   plan.Disruption
		Dir string
	}
	must(json.Unmarshal([]byte(text), &work))
	s := Site{Dir: work.Dir, Env: os.Environ(), Note: quiet, Services: map[string]Service{}}
	if len(work.D.Services) > 0 {
		service := &testService{}
		must(service.Start(context.Background()))
		must(eventually(context.Background(), patience, "start", func() (bool, error) {
			group, err := members(service.Pid())
			return len(group) == 2, err
		}))
		s.Services["a"] = service
	}
	made, err := New(work.D, s)
	must(err)
	_, err = made.Inject(context.Background(), func(kept json.RawMessage) error { _, err := fmt.Printf("%s\n", kept); return err })
	must(err)
	fmt.Println("injected")
	select {}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// injectAndDie has another process inject a disruption and kills it. It gives
// what that one kept last.
func injectAndDie(t *testing.T, d plan.Disruption, dir string) json.RawMessage {
	t.Helper()
	kept, harness := injectElsewhere(t, d, dir, "injected")
	die(t, harness)
	return kept
}

// injectElsewhere has another process inject a disruption, and returns when it
// said a word; what it kept until then was said before.
func injectElsewhere(t *testing.T, d plan.Disruption, dir, until string) (kept json.RawMessage, harness *exec.Cmd) {
	t.Helper()
	work, err := json.Marshal(map[string]any{"D": d, "Dir": dir})
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childWork+"="+string(work))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), until) {
		kept = json.RawMessage(strings.Clone(lines.Text()))
	}
	require.True(t, strings.HasPrefix(lines.Text(), until), "it ended early")
	if until != "injected" {
		kept = json.RawMessage(strings.Clone(lines.Text()))
	}
	return kept, cmd
}

func die(t *testing.T, harness *exec.Cmd) {
	t.Helper()
	require.NoError(t, harness.Process.Kill())
	_ = harness.Wait() // it was killed
}
