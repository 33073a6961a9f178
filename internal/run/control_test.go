package run

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// states are what is said of a service, in order.
func (m *memory) states() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, e := range m.events {
		if e.Kind == measure.EventService {
			out = append(out, e.Attrs["state"])
		}
	}
	return out
}

// controlled runs a phase with the service web and does something to it
// meanwhile, which ends the traffic.
func controlled(t *testing.T, web plan.Service, do func(ctx context.Context, s *stage, web Service)) (*stage, error) {
	t.Helper()
	phase := quick()
	phase.Disruptions = []plan.Disruption{disruption("d", 0, time.Second)}
	s := newStage(t, phase)
	s.Plan.Services = map[string]plan.Service{"web": web}
	var site Site
	s.Adapters.Disruption = func(_ plan.Disruption, st Site) (Disruption, error) { site = st; return s.fault, nil }
	s.Adapters.Traffic = func(plan.Stream) (Traffic, error) {
		return trafficFunc(func(ctx context.Context) error { do(ctx, s, site.Services["web"]); return nil }), nil
	}
	return s, s.Run(t.Context(), "beta")
}

// web is a service that answers on its port, and writes its port and pid.
func web(t *testing.T) plan.Service {
	w := service(`echo "$PORT $KEY" >> seen; echo started; ` + self(t))
	w.Ready, w.Env = "/healthz", map[string]string{"RUN_TEST_SERVICE": "1", "KEY": "k"}
	return w
}

func killed(t *testing.T, s Service) {
	t.Helper()
	require.NoError(t, syscall.Kill(-s.Pid(), syscall.SIGKILL))
	require.Eventually(t, func() bool { return s.Pid() == 0 }, patience, time.Millisecond)
}

func TestAServiceThatIsKilledByADisruptionDidNotDie(t *testing.T) {
	s, err := controlled(t, web(t), func(ctx context.Context, _ *stage, web Service) {
		web.Expect(true)
		killed(t, web)
		require.NoError(t, web.Start(ctx))
		require.NoError(t, web.Start(ctx), "it runs")
		web.Expect(false)
		require.NotZero(t, web.Pid())
	})
	require.NoError(t, err)
	require.Equal(t, []string{"ready", "killed", "ready", "stopped"}, s.record.states())
	seen, err := os.ReadFile(filepath.Join(s.Plan.Dir, "seen"))
	require.NoError(t, err)
	lines := strings.Split(string(seen), "\n")
	require.Len(t, lines, 3)
	require.Equal(t, lines[0], lines[1], "the same port and environment")
	log, err := os.ReadFile(filepath.Join(s.Logs, "web.log"))
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(log), "started"), "one log")
}

func TestAServiceThatDiesAfterItWasRestartedDied(t *testing.T) {
	s, err := controlled(t, web(t), func(ctx context.Context, _ *stage, web Service) {
		require.NoError(t, web.Stop(ctx))
		require.NoError(t, web.Stop(ctx), "it does not run")
		require.Zero(t, web.Pid())
		require.NoError(t, web.Start(ctx))
		killed(t, web)
	})
	require.NoError(t, err)
	require.Equal(t, []string{"ready", "stopped", "ready", "died", "stopped"}, s.record.states())
}

// The phase ends while a service is being started again: it is stopped all the
// same, and nothing of it is left.
func TestAServiceThatStartsWhileThePhaseEndsIsStopped(t *testing.T) {
	slow := web(t)
	slow.Command = `echo $$ > pid; test -e seen && exec sleep 600; echo > seen; ` + self(t)
	started := make(chan error, 1)
	s, err := controlled(t, slow, func(ctx context.Context, s *stage, web Service) {
		require.NoError(t, web.Stop(ctx))
		require.NoError(t, os.Remove(filepath.Join(s.Plan.Dir, "pid")))
		go func() { started <- web.Start(context.Background()) }()
		require.NoError(t, waitFor(filepath.Join(s.Plan.Dir, "pid")).Run(ctx, nil))
	})
	require.NoError(t, err)
	require.NoError(t, <-started, "nobody needs it any more")
	requireGone(t, filepath.Join(s.Plan.Dir, "pid"))
	require.Equal(t, []string{"ready", "stopped", "stopped"}, s.record.states())
}

func TestStartingAServiceRespectsItsContext(t *testing.T) {
	slow := web(t)
	slow.Command = `test -e seen && exec sleep 600; echo > seen; ` + self(t)
	_, err := controlled(t, slow, func(ctx context.Context, _ *stage, web Service) {
		require.NoError(t, web.Stop(ctx))
		ended, cancel := context.WithCancel(ctx)
		defer cancel()
		started := make(chan error, 1)
		go func() { started <- web.Start(ended) }()
		require.Eventually(t, func() bool { return web.Pid() != 0 }, patience, time.Millisecond)
		cancel()
		require.ErrorIs(t, <-started, context.Canceled)
		require.NotZero(t, web.Pid(), "it may still become ready")
		require.NoError(t, web.Stop(ctx))
	})
	require.NoError(t, err)
}

// A fault on a service that is slow to start is lifted as soon as the tests are
// over: nobody waits for what is to be stopped.
func TestAnInterruptDoesNotWaitForAServiceToBeReady(t *testing.T) {
	slow := web(t)
	slow.Command = `test -e seen && exec sleep 600; echo > seen; ` + self(t)
	phase := plan.Phase{Tests: []plan.Test{test("checkout", 0, time.Minute)}, Disruptions: []plan.Disruption{disruption("d", 0, 30*time.Second)}}
	s := newStage(t, phase)
	s.Plan.Services = map[string]plan.Service{"web": slow}
	ctx, interrupt := context.WithCancel(t.Context())
	k := &killing{then: interrupt}
	s.Adapters.Disruption = func(_ plan.Disruption, st Site) (Disruption, error) { k.service = st.Services["web"]; return k, nil }
	err := s.Run(ctx, "beta")
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrFaultLeft)
	require.Empty(t, s.record.find(t, measure.EventLifted, "d").Attrs["error"])
}

// killing stops a service until it is lifted.
type killing struct {
	fault
	service Service
	then    func()
}

func (k *killing) Inject(ctx context.Context, _ func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	defer k.then()
	return func(ctx context.Context) (measure.Touch, error) { return measure.Touch{}, k.service.Start(ctx) }, k.service.Stop(ctx)
}
