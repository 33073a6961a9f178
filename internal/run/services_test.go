package run

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"os/signal"
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

// TestMain makes the test binary a service for these tests when told so.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_TEST_SERVICE") != "" {
		serveHealth(os.Getenv("PORT"))
		return
	}
	os.Exit(m.Run())
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return "exec '" + path + "'"
}

// patience is how long anything may take that is not about time. It only bounds
// tests that have failed already.
const patience = time.Minute

// quick is a phase whose traffic ends at once.
func quick() plan.Phase { return plan.Phase{Tests: []plan.Test{test("checkout", 0, 0)}} }

func service(command string) plan.Service {
	return plan.Service{Command: command, ReadyTimeout: plan.Duration(patience), StopTimeout: plan.Duration(5 * time.Second)}
}

func TestServicesAreReadyThenStopped(t *testing.T) {
	s := newStage(t, quick())
	web := service(self(t))
	web.Ready, web.Env = "/healthz", map[string]string{"RUN_TEST_SERVICE": "1", "UPSTREAM": "${dependencies.payments.url}"}
	after := service(`echo "$UPSTREAM $RESILIENCE_DEP_PAYMENTS_URL" > seen; sleep 600 & echo $! > child; wait`)
	after.After, after.Env, after.Dir = []string{"web"}, web.Env, s.Plan.Dir
	s.Plan.Services = map[string]plan.Service{"web": web, "another": after}
	child := filepath.Join(s.Plan.Dir, "child")
	s.Adapters.Traffic = func(plan.Stream) (Traffic, error) { return waitFor(child), nil }
	require.NoError(t, s.Run(t.Context(), "beta"))

	require.Equal(t, []string{"phase beta", "service web", "service another", "warning preflight", "service another", "service web", "phase-end beta"}, s.record.told())
	require.Equal(t, "ready", s.record.find(t, measure.EventService, "web").Attrs["state"])
	seen, err := os.ReadFile(filepath.Join(s.Plan.Dir, "seen"))
	require.NoError(t, err)
	require.Equal(t, "http://127.0.0.1:1 http://127.0.0.1:1\n", string(seen))
	requireGone(t, child)
}

func TestServicesThatDoNotGetReady(t *testing.T) {
	for name, tc := range map[string]struct {
		command string
		patient bool
		want    []string
	}{
		"it dies":       {"echo no database >&2; exit 3", true, []string{"service web died before it was ready (exit status 3)", "no database"}},
		"it never does": {"echo still thinking; sleep 600", false, []string{"service web was not ready after 4s", "still thinking"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, quick())
			web := service(tc.command)
			web.Ready = "/healthz"
			if !tc.patient {
				web.ReadyTimeout = plan.Duration(4 * time.Second) // the shell has to be at work by then
			}
			s.Plan.Services = map[string]plan.Service{"web": web}
			err := s.Run(t.Context(), "beta")
			for _, want := range tc.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, s.record.told(), "test")
		})
	}
}

func TestAServiceThatDiesLaterIsNoted(t *testing.T) {
	s := newStage(t, quick())
	s.Plan.Services = map[string]plan.Service{"web": service("exit 7")}
	s.Adapters.Traffic = func(plan.Stream) (Traffic, error) {
		return trafficFunc(func(ctx context.Context) error {
			for strings.Count(strings.Join(s.record.told(), ","), "service web") < 2 {
				if err := wait(ctx, 10*time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		}), nil
	}
	require.NoError(t, s.Run(t.Context(), "beta"))
	var states []string
	for _, e := range s.record.events {
		if e.Kind == measure.EventService {
			states = append(states, e.Attrs["state"])
		}
	}
	require.Equal(t, []string{"started", "died", "stopped"}, states)
}

func TestAfterAlwaysRuns(t *testing.T) {
	for name, tc := range map[string]struct {
		before, service string
		fine            bool
	}{
		"before fails":     {"exit 1", "sleep 600", false},
		"a service breaks": {"true", "exit 1", false},
		"all is well":      {"true", "sleep 600", true},
	} {
		t.Run(name, func(t *testing.T) {
			phase := quick()
			phase.Before, phase.After = tc.before, "echo $RESILIENCE_PHASE $TARGET_URL > cleaned"
			s := newStage(t, phase)
			web := service(tc.service)
			if tc.service == "exit 1" {
				web.Ready = "/healthz"
			}
			s.Plan.Services = map[string]plan.Service{"web": web}
			err := s.Run(t.Context(), "beta")
			require.Equal(t, tc.fine, err == nil, "%v", err)
			cleaned, err := os.ReadFile(filepath.Join(s.Plan.Dir, "cleaned"))
			require.NoError(t, err)
			require.Equal(t, "beta http://127.0.0.1:1\n", string(cleaned))
		})
	}
}

func TestAfterRunsAfterAnInterrupt(t *testing.T) {
	phase := quick()
	phase.After = "echo > cleaned"
	s := newStage(t, phase)
	ctx, cancel := context.WithCancel(t.Context())
	s.Adapters.Traffic = func(plan.Stream) (Traffic, error) {
		return trafficFunc(func(ctx context.Context) error { cancel(); <-ctx.Done(); return nil }), nil
	}
	require.ErrorIs(t, s.Run(ctx, "beta"), context.Canceled)
	require.FileExists(t, filepath.Join(s.Plan.Dir, "cleaned"))
}

func TestAfterIsStoppedAfterAnInterrupt(t *testing.T) {
	phase := quick()
	phase.After = "exec sleep 600"
	s := newStage(t, phase)
	ctx, cancel := context.WithCancel(t.Context())
	s.Adapters.Traffic = func(plan.Stream) (Traffic, error) {
		return trafficFunc(func(context.Context) error { cancel(); return nil }), nil
	}
	err := s.Run(ctx, "beta")
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, `"exec sleep 600": context deadline exceeded`)
}

func TestScriptsCanAppendAPathToTheTarget(t *testing.T) {
	s := newStage(t, quick())
	s.Plan.Targets["shop"] = plan.Target{URL: "http://127.0.0.1:1/api/"}
	var got plan.Stream
	s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) {
		got = st
		return trafficFunc(func(context.Context) error { return nil }), nil
	}
	require.NoError(t, s.Run(t.Context(), "beta"))
	require.Equal(t, "http://127.0.0.1:1/api", got.Target.URL)
}

func TestAnInterruptDuringAfterIsAnInterrupt(t *testing.T) {
	phase := quick()
	phase.After = "kill -INT $PPID; until test -e noted; do sleep 0.01; done; echo > cleaned"
	s := newStage(t, phase)
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { _ = os.WriteFile(filepath.Join(s.Plan.Dir, "noted"), nil, 0o600) })
	s.Adapters.Traffic = func(plan.Stream) (Traffic, error) {
		return trafficFunc(func(context.Context) error { return nil }), nil
	}
	require.ErrorIs(t, s.Run(ctx, "beta"), context.Canceled)
	require.FileExists(t, filepath.Join(s.Plan.Dir, "cleaned"))
	require.Contains(t, s.record.told(), "interrupt")
}

func TestProcessesSeeThePlansEnvironment(t *testing.T) {
	phase := quick()
	phase.Before = `test "$CALLS $KEY" = "http://127.0.0.1:1 s3cret" || { echo "got $CALLS $KEY"; exit 1; }`
	s := newStage(t, phase)
	s.Plan.Env = map[string]string{"CALLS": "${dependencies.payments.url}", "KEY": "${secrets.key}"}
	s.Plan.Secrets = map[string]plan.Secret{"key": {Env: "SHOP_KEY"}}
	s.Getenv = func(name string) (string, bool) { return "s3cret", name == "SHOP_KEY" }
	require.NoError(t, s.Run(t.Context(), "beta"))
}

func TestASecretInALogIsNotRepeated(t *testing.T) {
	s := newStage(t, quick())
	s.Plan.Secrets = map[string]plan.Secret{"key": {Env: "SHOP_KEY"}}
	s.Getenv = func(name string) (string, bool) { return "s3cret", name == "SHOP_KEY" }
	web := service("echo my key is s3cret; exit 1")
	web.Ready = "/healthz"
	s.Plan.Services = map[string]plan.Service{"web": web}
	err := s.Run(t.Context(), "beta")
	require.ErrorContains(t, err, "my key is (secret key)")
	require.NotContains(t, s.record.find(t, measure.EventPhaseEnd, "beta").Attrs["reason"], "s3cret")
}

func TestNothingThatIsKeptHoldsASecret(t *testing.T) {
	s := newStage(t, quick())
	s.Plan.Secrets = map[string]plan.Secret{"key": {Env: "SHOP_KEY"}}
	s.Getenv = func(name string) (string, bool) { return "s3cret", name == "SHOP_KEY" }
	said := filepath.Join(s.Plan.Dir, "said")
	s.Plan.Services = map[string]plan.Service{"web": service("printf 's3'; printf 'cret, and more\\n'; echo > '" + said + "'; sleep 600")}
	s.Adapters.Traffic = func(plan.Stream) (Traffic, error) {
		return emitter{said, measure.Batch{
			Windows:  []measure.Window{{Series: measure.Series{Metric: "m", Step: "GET /s3cret"}}},
			Examples: []measure.Example{{Kind: "k", Message: "got s3cret"}},
			Events:   []measure.Event{{Kind: "x", Attrs: map[string]string{"a": "s3cret"}}},
		}}, nil
	}
	require.NoError(t, s.Run(t.Context(), "beta"))
	kept, err := json.Marshal(s.record.batches)
	require.NoError(t, err)
	require.NotContains(t, string(kept), "s3cret")
	require.Contains(t, string(kept), "GET /(secret key)")
	log, err := os.ReadFile(filepath.Join(s.Logs, "web.log"))
	require.NoError(t, err)
	require.Equal(t, "(secret key), and more\n", string(log))
}

func TestAChattyServiceDoesNotFillTheDisk(t *testing.T) {
	s := newStage(t, quick())
	said := filepath.Join(s.Plan.Dir, "said")
	s.Plan.Services = map[string]plan.Service{"web": service("yes 'a line of sixty-four characters, one of a great many, again...' | head -c 20000000; echo > '" + said + "'; sleep 600")}
	s.Adapters.Traffic = func(plan.Stream) (Traffic, error) { return emitter{said, measure.Batch{}}, nil }
	require.NoError(t, s.Run(t.Context(), "beta"))
	info, err := os.Stat(filepath.Join(s.Logs, "web.log"))
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64(maxLog+100))
	require.Greater(t, info.Size(), int64(maxLog-100))
}

// emitter is traffic that waits for a file and then emits one batch.
type emitter struct {
	path  string
	batch measure.Batch
}

func (e emitter) Run(ctx context.Context, emit func(measure.Batch) error) error {
	if err := waitFor(e.path).Run(ctx, emit); err != nil {
		return err
	}
	return emit(e.batch)
}

func TestASecretIsReadWhenItIsNeeded(t *testing.T) {
	s := newStage(t, quick())
	s.Plan.Secrets = map[string]plan.Secret{"key": {Env: "SHOP_KEY"}}
	s.Plan.Targets["shop"] = plan.Target{URL: "http://127.0.0.1:1", Headers: map[string]string{"X-Key": "${secrets.key}"}}
	err := s.Run(t.Context(), "beta")
	require.ErrorContains(t, err, "X-Key")
	require.ErrorContains(t, err, "SHOP_KEY")

	s.Getenv = func(name string) (string, bool) { return "s3cret", name == "SHOP_KEY" }
	var got plan.Stream
	s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) {
		got = st
		return trafficFunc(func(context.Context) error { return nil }), nil
	}
	require.NoError(t, s.Run(t.Context(), "beta"))
	require.Equal(t, "s3cret", got.Target.Headers["X-Key"])
}

// trafficFunc is traffic that does one thing.
type trafficFunc func(context.Context) error

func (f trafficFunc) Run(ctx context.Context, _ func(measure.Batch) error) error { return f(ctx) }

// waitFor is traffic that lasts until a file is there.
func waitFor(path string) Traffic {
	return trafficFunc(func(ctx context.Context) error {
		for {
			if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
				return nil
			}
			if err := wait(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
	})
}

// requireGone checks that the process whose id a file holds has ended.
func requireGone(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) }, patience, 10*time.Millisecond)
}

// zombie reports whether a process has ended and only waits to be reaped by
// an init that may not exist in a container.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// Whoever dies before it noted a command has not begun it either.
func TestACommandIsHeldUntilItIsNoted(t *testing.T) {
	for line, want := range map[string]string{"": "", "\n": "begun by /bin/sh\n"} {
		hold, release, err := os.Pipe()
		require.NoError(t, err)
		cmd := exec.Command("/bin/sh", "-c", held, "/bin/sh", "echo begun by $0")
		cmd.ExtraFiles = []*os.File{hold}
		var out strings.Builder
		cmd.Stdout = &out
		require.NoError(t, cmd.Start())
		require.NoError(t, hold.Close())
		_, err = release.WriteString(line)
		require.NoError(t, err)
		require.NoError(t, release.Close())
		require.Equal(t, want == "", cmd.Wait() != nil)
		require.Equal(t, want, out.String())
	}
}
