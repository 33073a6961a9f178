package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

func TestServicesAreBounded(t *testing.T) {
	all, services := testServices(t, "shop-1", "shop-2", "shop-3", "web")
	s := Site{Services: all, Note: quiet, Seed: 1}
	lift, _ := put(t, plan.Disruption{Name: "d", Services: plan.Names{"shop-*"}, Kill: &plan.Kill{}}, s)
	var dead int
	for _, name := range []string{"shop-1", "shop-2", "shop-3"} {
		if services[name].Pid() == 0 {
			dead++
		}
	}
	require.Equal(t, 2, dead, "never all")
	require.NotZero(t, services["web"].Pid())
	touch := lift()
	require.EqualValues(t, 2, touch.Touched)
	for name, service := range services {
		require.NotZero(t, service.Pid(), name)
		require.False(t, service.failed, "%s died of a disruption, not of itself", name)
	}
}

func TestSelectionIsRefused(t *testing.T) {
	all, services := testServices(t, "shop-1", "shop-2")
	stopped := services["shop-2"]
	stopped.Expect(true)
	require.NoError(t, stopped.Stop(t.Context()))
	s := Site{Services: all, Note: quiet}
	for want, d := range map[string]plan.Disruption{
		`disruption "d": no services are called web`:                                                            {Services: plan.Names{"web"}},
		`disruption "d": would act on the only one of the services (shop-1): say at_most: all if that is meant`: {Services: plan.Names{"shop-[1]"}},
		`disruption "d": at_most 2 would act on all 2 services: make it less, or say at_most: all if that is meant`: {
			Services: plan.Names{"shop-*"}, AtMost: &plan.Amount{Number: 2},
		},
		`disruption "d": shop-2: does not run`: {Services: plan.Names{"shop-2"}},
	} {
		d.Name, d.Kill = "d", &plan.Kill{}
		made, err := New(d, s)
		require.NoError(t, err)
		_, err = made.Prepare(t.Context())
		require.EqualError(t, err, want)
		var misfit *plan.Misfit
		require.Equal(t, !strings.HasSuffix(want, "does not run"), errors.As(err, &misfit), "whether the plan must change")
		_, err = made.Inject(t.Context(), nil)
		require.Error(t, err)
		require.NotZero(t, services["shop-1"].Pid())
		require.Empty(t, grips.of)
	}
}

func TestRollingRestartHasOneDownAtATime(t *testing.T) {
	all, services := testServices(t, "a", "b", "c")
	var mu sync.Mutex
	var down []string
	for name, service := range services {
		service.onStop = func() {
			mu.Lock()
			defer mu.Unlock()
			for other := range services {
				if services[other].Pid() == 0 {
					down = append(down, name+" while "+other)
				}
			}
		}
	}
	s := Site{Services: all, Note: quiet}
	d := plan.Disruption{Name: "d", Services: plan.Names{"*"}, Restart: &plan.Restart{Rolling: true, Gap: plan.Duration(1)}}
	lift, _ := put(t, d, s)
	require.Eventually(t, func() bool { return !harmedBelow(services, 2) }, patience, procPoll)
	require.Equal(t, measure.Touch{Matched: 3, Touched: 3, Unit: "services", Names: []string{"a", "b", "c"}}, lift())
	require.Empty(t, down)
	for _, service := range services {
		service.mu.Lock()
		require.Equal(t, 2, service.starts)
		service.onStop = nil
		service.mu.Unlock()
	}
}

// harmedBelow tells whether a service was started fewer times.
func harmedBelow(services map[string]*testService, starts int) bool {
	for _, s := range services {
		s.mu.Lock()
		n := s.starts
		s.mu.Unlock()
		if n < starts {
			return true
		}
	}
	return false
}

func TestARollingRestartThatIsLiftedEarlyStops(t *testing.T) {
	all, services := testServices(t, "a", "b")
	d := plan.Disruption{Name: "d", Services: plan.Names{"*"}, Restart: &plan.Restart{Rolling: true, Gap: plan.Duration(1 << 40)}}
	lift, _ := put(t, d, Site{Services: all, Note: quiet})
	require.Eventually(t, func() bool { return !harmedBelow(map[string]*testService{"a": services["a"]}, 2) }, patience, procPoll)
	require.Equal(t, measure.Touch{Matched: 2, Touched: 1, Unit: "services", Names: []string{"a"}}, lift())
	require.Equal(t, 1, services["b"].starts)
}

func TestNothingIsHarmedWhenItCanNotBeKept(t *testing.T) {
	for on, make := range subjects {
		t.Run(on, func(t *testing.T) {
			s := make(t)
			s.d.Pause = &plan.Pause{}
			before := now(t, s.victim)
			made, err := New(s.d, s.site)
			require.NoError(t, err)
			_, err = made.Inject(t.Context(), func(json.RawMessage) error { return errors.New("the disk is full") })
			require.ErrorContains(t, err, "the disk is full")
			require.Equal(t, before, now(t, s.victim))
			require.Empty(t, grips.of)
		})
	}
}

// When the second state can not be kept, the pause that is in effect already is
// lifted.
func TestAPauseThatCanNotBeKeptIsLifted(t *testing.T) {
	all, services := testServices(t, "a")
	made, err := New(plan.Disruption{Name: "d", Services: plan.Names{"a"}, Pause: &plan.Pause{}}, Site{Services: all, Note: quiet})
	require.NoError(t, err)
	times := 0
	_, err = made.Inject(t.Context(), func(json.RawMessage) error {
		if times++; times > 1 {
			return errors.New("the disk is full")
		}
		return nil
	})
	require.ErrorContains(t, err, "the disk is full")
	require.False(t, now(t, &serviceLife{"a", services["a"]}).paused)
}

func TestAServiceThatDoesNotComeBack(t *testing.T) {
	all, services := testServices(t, "a")
	made, err := New(plan.Disruption{Name: "d", Services: plan.Names{"a"}, Kill: &plan.Kill{}}, Site{Services: all, Note: quiet})
	require.NoError(t, err)
	lift, err := made.Inject(t.Context(), nil)
	require.NoError(t, err)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = lift(done)
	require.ErrorIs(t, err, context.Canceled)
	touch, err := lift(t.Context()) // can be tried again
	require.NoError(t, err)
	require.EqualValues(t, 1, touch.Touched)
	require.NotZero(t, services["a"].Pid())
	require.False(t, services["a"].expected)
}

func TestPidFilesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"1\n":                             "says 1, which is never a process to harm",
		"0":                               "never a process to harm",
		"-5":                              "never a process to harm",
		"12 34":                           "holds no process id",
		"":                                "holds no process id",
		strconv.Itoa(os.Getpid()) + "\n":  "this program or one that started it",
		strconv.Itoa(os.Getppid()) + "\n": "this program or one that started it",
		"4194304":                         "does not run", // more than the kernel gives out
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "pid"), []byte(text), 0o600))
		made, err := New(plan.Disruption{Name: "d", Process: &plan.Process{PIDFile: "pid"}, Pause: &plan.Pause{}}, Site{Dir: dir, Note: quiet})
		require.NoError(t, err)
		_, err = made.Prepare(t.Context())
		require.ErrorContains(t, err, want, "%q", text)
		_, err = made.Inject(t.Context(), nil)
		require.Error(t, err)
	}
	made, err := New(plan.Disruption{Name: "d", Process: &plan.Process{PIDFile: "none"}, Pause: &plan.Pause{}}, Site{Dir: dir, Note: quiet})
	require.NoError(t, err)
	_, err = made.Prepare(t.Context())
	require.ErrorContains(t, err, "the pid file can not be read")
	_, err = New(plan.Disruption{Name: "d", Process: &plan.Process{PIDFile: "none"}, Kill: &plan.Kill{}}, Site{Dir: dir, Note: quiet})
	require.ErrorContains(t, err, "wants start")
}

// A process that got the pid of the one that was paused is left alone.
func TestUndoKnowsProcessesFromTheirNamesakes(t *testing.T) {
	s := subjects["process"](t)
	s.d.Pause = &plan.Pause{}
	lift, undo := put(t, s.d, s.site)
	defer lift()
	var left leftover[processTrace]
	require.NoError(t, json.Unmarshal(*undo, &left))
	left.Instances[0].Mark.Start += "1"
	other, err := json.Marshal(left)
	require.NoError(t, err)
	require.NoError(t, Undo(t.Context(), s.d, other, s.site))
	require.True(t, now(t, s.victim).paused)
}

func TestAProcessThatIsNotBroughtBack(t *testing.T) {
	for start, tt := range map[string]struct {
		want string
		in   time.Duration
	}{
		"echo no such program; exit 3": {"exit status 3:\n  no such program", patience},
		"echo busy; exec sleep 120":    {"the pid file names no live process", time.Second},
	} {
		s := subjects["process"](t)
		s.d.Kill, s.d.Process.Start = &plan.Kill{}, start
		made, err := New(s.d, s.site)
		require.NoError(t, err)
		lift, err := made.Inject(t.Context(), func(json.RawMessage) error { return nil })
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), tt.in)
		_, err = lift(ctx)
		cancel()
		require.ErrorContains(t, err, tt.want)
		one := s.victim.(*processLife)
		require.NoError(t, one.start(t.Context())) // mended by hand
		_, err = lift(t.Context())
		require.NoError(t, err)
	}
}

func ExampleNew_wrongPlace() {
	_, err := New(plan.Disruption{Name: "d", Services: plan.Names{"a"}, CPU: &plan.CPU{}}, Site{})
	fmt.Println(err)
	// Output: disruption "d": cpu can not act on services
}

// TestAPIDFileThatIsBeingWritten: what writes it has truncated it already.
func TestAPIDFileThatIsBeingWritten(t *testing.T) {
	prey := exec.Command("sleep", "60")
	require.NoError(t, prey.Start())
	defer func() {
		_ = prey.Process.Kill()
		_ = prey.Wait()
	}()
	path := filepath.Join(t.TempDir(), "a.pid")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	synctest.Test(t, func(t *testing.T) {
		time.AfterFunc(50*time.Millisecond, func() { _ = os.WriteFile(path, []byte(strconv.Itoa(prey.Process.Pid)), 0o600) })
		found, err := (&processLife{path: path}).find()
		require.NoError(t, err)
		require.Equal(t, prey.Process.Pid, found.pid)
	})
}
