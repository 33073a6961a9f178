package traffic

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/cmd"

	_ "resilience" // registers the extension with k6
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// asK6 is set in child processes: the test binary is then k6.
const asK6 = "RESILIENCE_TEST_AS_K6"

func TestMain(m *testing.M) {
	if script := os.Getenv(asProber); script != "" {
		daemon(script)
		return
	}
	if os.Getenv(asK6) != "" {
		cmd.Execute()
		return
	}
	os.Setenv(asK6, "1")
	os.Exit(m.Run())
}

// scriptTo makes a stream of a script to a URL.
func scriptTo(t testing.TB, target, script string, p plan.Profile) plan.Stream {
	t.Helper()
	s := streamTo(t, target, p)
	path := filepath.Join(s.Dir, "script.js")
	require.NoError(t, os.WriteFile(path, []byte(script), 0o600))
	profile := *s.Test.Load
	profile.Requests, profile.Script = nil, path
	s.Test.Load = &profile
	return s
}

func newK6(t testing.TB, s plan.Stream) *K6 {
	t.Helper()
	k, err := NewK6(s, []string{os.Args[0]}, s.Test.Load.Script)
	require.NoError(t, err)
	return k
}

// runScript runs a stream's script to its end and makes sure that the child
// found no data race in itself.
func runScript(t *testing.T, s plan.Stream) *sink {
	t.Helper()
	out, err := tryScript(t, s)
	require.NoError(t, err)
	return out
}

func tryScript(t *testing.T, s plan.Stream) (*sink, error) {
	t.Helper()
	races := filepath.Join(t.TempDir(), "race")
	if s.Env == nil {
		s.Env = map[string]string{}
	}
	s.Env["GORACE"] = "log_path=" + races
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	out := &sink{}
	err := newK6(t, s).Run(ctx, out.emit)
	found, globErr := filepath.Glob(races + "*")
	require.NoError(t, globErr)
	for _, file := range found {
		report, _ := os.ReadFile(file)
		t.Errorf("data race in k6:\n%s", report)
	}
	return out, err
}

// seconds makes a duration of a plan.
func seconds(n float64) plan.Duration { return plan.Duration(n * float64(time.Second)) }

// began is when the test said it began to send.
func (s *sink) began(t *testing.T) int64 {
	t.Helper()
	begun := s.events(measure.EventTest)
	require.Len(t, begun, 1)
	return begun[0].At
}

func inTransaction(name string) func(measure.Window) bool {
	return func(w measure.Window) bool { return w.Series.Transaction == name }
}

func withStatus(status string) func(measure.Window) bool {
	return func(w measure.Window) bool { return w.Series.Status == status }
}
