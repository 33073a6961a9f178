package disrupt

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// switched is a fault that is a file.
func switched() plan.Disruption {
	return plan.Disruption{Name: "d", Exec: &plan.Exec{
		Inject: `echo "$HOW $WHERE" > fault`, Lift: "rm -f fault", Verify: "test -e fault", Env: map[string]string{"HOW": "hard"},
	}}
}

func siteIn(dir string) Site {
	return Site{Dir: dir, Env: []string{"PATH=" + os.Getenv("PATH"), "WHERE=here"}, Note: quiet}
}

func TestCommandsAreAFault(t *testing.T) {
	dir := t.TempDir()
	lift, undo := put(t, switched(), siteIn(dir))
	said, err := os.ReadFile(filepath.Join(dir, "fault"))
	require.NoError(t, err)
	require.Equal(t, "hard here\n", string(said))
	require.NotContains(t, string(*undo), "hard", "what may be a secret is not kept")
	require.Equal(t, measure.Touch{Matched: 1, Touched: 1, Unit: "injections"}, lift())
	require.NoFileExists(t, filepath.Join(dir, "fault"))
	require.NoError(t, Undo(t.Context(), switched(), *undo, siteIn(dir)), "it is gone already")
}

func TestACommandThatDoesNothingDidNotBite(t *testing.T) {
	d := switched()
	d.Exec.Inject = "true"
	lift, _ := put(t, d, siteIn(t.TempDir()))
	require.Equal(t, measure.Touch{Matched: 1, Unit: "injections"}, lift())
}

func TestWithoutVerifyTheCommandIsBelieved(t *testing.T) {
	d := switched()
	d.Exec.Verify = ""
	lift, _ := put(t, d, siteIn(t.TempDir()))
	require.EqualValues(t, 1, lift().Touched)
}

func TestACommandThatFailsHalfway(t *testing.T) {
	dir := t.TempDir()
	d := switched()
	d.Exec.Inject = "echo > fault; echo no rights >&2; exit 7"
	made, err := New(d, siteIn(dir))
	require.NoError(t, err)
	_, err = made.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.ErrorContains(t, err, "exit status 7:\n  no rights")
	require.NoFileExists(t, filepath.Join(dir, "fault"), "what was half done is undone")
}

func TestACommandThatIsStopped(t *testing.T) {
	dir := t.TempDir()
	d := switched()
	d.Exec.Inject = "echo > fault; sleep 120 & echo $! > child; wait"
	made, err := New(d, siteIn(dir))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		_ = eventually(ctx, patience, "", func() (bool, error) {
			text, err := os.ReadFile(filepath.Join(dir, "child"))
			return len(text) > 0, ignore(err)
		})
	}()
	_, err = made.Inject(ctx, func(json.RawMessage) error { return nil })
	require.ErrorContains(t, err, "did not end in time")
	require.NoFileExists(t, filepath.Join(dir, "fault"))
	require.Empty(t, living(t, filepath.Join(dir, "child")), "nor does it leave anything running")
}

func ignore(error) error { return nil }

// living gives the process whose id is in a file, if it is alive.
func living(t *testing.T, path string) (out []proc) {
	t.Helper()
	p := &processLife{path: path}
	_ = eventually(t.Context(), patience, "", func() (bool, error) {
		is, err := p.find()
		require.NoError(t, err)
		out = nil
		if is.alive() {
			out = []proc{is}
		}
		return len(out) == 0, nil
	})
	return out
}

func TestLiftingByCommandIsTriedAgain(t *testing.T) {
	dir := t.TempDir()
	d := switched()
	d.Exec.Lift = "echo x >> tries; test $(wc -l < tries) -ge 3 && rm -f fault"
	lift, _ := put(t, d, siteIn(dir))
	lift()
	require.NoFileExists(t, filepath.Join(dir, "fault"))
}

func TestLiftingThatCanNotBeConfirmed(t *testing.T) {
	dir := t.TempDir()
	d := switched()
	d.Exec.Lift, d.Exec.Verify = "true", "echo >> looks; test -e fault"
	var said string
	s := siteIn(dir)
	s.Note = func(_, _ string, attrs map[string]string) { said = attrs["detail"] }
	made, err := New(d, s)
	require.NoError(t, err)
	lift, err := made.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.NoError(t, err)
	_, err = lift(untilLooked(t, filepath.Join(dir, "looks")))
	require.ErrorContains(t, err, "verify still finds the fault in effect")
	require.Empty(t, said)
	require.NoError(t, os.Remove(filepath.Join(dir, "fault")))
	_, err = lift(t.Context())
	require.NoError(t, err)
}

// untilLooked gives the context of somebody in a hurry, which ends when a command
// that verifies, and adds a line to a file, has come to its end once and was
// called again.
func untilLooked(t *testing.T, path string) context.Context {
	t.Helper()
	require.NoError(t, os.Remove(path))
	ctx, cancel := context.WithTimeout(t.Context(), unhurried-time.Millisecond)
	var watching sync.WaitGroup
	watching.Go(func() {
		defer cancel()
		_ = eventually(ctx, patience, "", func() (bool, error) {
			text, err := os.ReadFile(path)
			return bytes.Count(text, []byte("\n")) > 1, ignore(err)
		})
	})
	t.Cleanup(func() { cancel(); watching.Wait() })
	return ctx
}

// The harness is killed in the middle of the command that injects, which has
// done its harm already and would go on.
func TestCommandsAreUndoneFromAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	d := switched()
	d.Exec.Inject = "echo > fault; echo $$ > shell; trap '' HUP; sleep 120 & echo $! > child; wait; echo > again"
	kept, harness := injectElsewhere(t, d, dir, `{"injecting"`)
	require.Eventually(t, func() bool { text, _ := os.ReadFile(filepath.Join(dir, "child")); return len(text) > 0 }, patience, procPoll)
	die(t, harness)
	for range 2 {
		require.NoError(t, Undo(t.Context(), d, kept, siteIn(dir)))
		require.NoFileExists(t, filepath.Join(dir, "fault"))
	}
	t.Cleanup(func() {
		for _, p := range living(t, filepath.Join(dir, "child")) {
			require.NoError(t, signalTo(p.pid, 9))
		}
	})
	require.Empty(t, living(t, filepath.Join(dir, "shell")))
	require.NoFileExists(t, filepath.Join(dir, "again"))
}
