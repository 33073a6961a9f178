package disrupt

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// lingers is what a command that injects began and does not wait for: it would
// inject later.
const lingers = `(trap '' HUP TERM; until test -e go; do sleep 0.02; done; echo > fault) & echo $! > child; `

func written(t *testing.T, path string) {
	t.Helper()
	require.Eventually(t, func() bool { text, err := os.ReadFile(path); return err == nil && len(text) > 0 }, patience, procPoll)
}

// nothingLives wants the process in a file to be gone now, not soon.
func nothingLives(t *testing.T, path string) {
	t.Helper()
	is, err := (&processLife{path: path}).find()
	require.NoError(t, err)
	if is.alive() {
		_ = signalTo(is.pid, syscall.SIGKILL)
	}
	require.False(t, is.alive(), "it would inject after the fault was lifted")
}

// The kernel kills the shell with its harness, but none of its children.
func TestNothingIsInjectedAfterItWasLiftedForADeadHarness(t *testing.T) {
	dir := t.TempDir()
	d := switched()
	d.Exec.Inject = lingers + "wait"
	kept, harness := injectElsewhere(t, d, dir, `{"injecting"`)
	written(t, filepath.Join(dir, "child"))
	die(t, harness)
	var left keptCommand
	require.NoError(t, json.Unmarshal(kept, &left))
	require.Eventually(t, func() bool { shell, err := still([]mark{left.Injecting.mark}); return err == nil && len(shell) == 0 }, patience, procPoll)
	require.NoError(t, Undo(t.Context(), d, kept, siteIn(dir)))
	nothingLives(t, filepath.Join(dir, "child"))
	require.NoFileExists(t, filepath.Join(dir, "fault"))
}

func TestACommandThatFailsLeavesNothingThatInjectsLater(t *testing.T) {
	dir := t.TempDir()
	d := switched()
	d.Exec.Inject = lingers + "exit 7"
	made, err := New(d, siteIn(dir))
	require.NoError(t, err)
	_, err = made.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.ErrorContains(t, err, "exit status 7")
	nothingLives(t, filepath.Join(dir, "child"))
}

// What a command leaves in the background that ended well is the fault itself.
func TestADaemonIsForLiftToEnd(t *testing.T) {
	d := switched()
	d.Exec.Inject = "sleep 120 & echo $! > child; echo > fault"
	d.Exec.Lift = "kill -0 $(cat child) && echo > seen; kill $(cat child); rm fault; test -e seen"
	dir := t.TempDir()
	lift, _ := put(t, d, siteIn(dir))
	lift()

	dir = t.TempDir()
	kept := injectAndDie(t, d, dir)
	require.JSONEq(t, `{}`, string(kept))
	require.NoError(t, Undo(t.Context(), d, kept, siteIn(dir)))
	require.FileExists(t, filepath.Join(dir, "seen"))
}

// Process ids are used again, and are something else after the machine was
// booted.
func TestWhoseGroupItIs(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command("/bin/sh", "-c", "sleep 120 & echo $! > child; read wait")
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	written(t, filepath.Join(dir, "child"))
	leader, found, err := process(cmd.Process.Pid)
	require.NoError(t, err)
	require.True(t, found)

	lefts := func(change func(*keptGroup)) int {
		g := keptGroup{leader.mark(), booted()}
		if change != nil {
			change(&g)
		}
		left, err := g.left()
		require.NoError(t, err)
		return len(left)
	}
	require.Equal(t, 2, lefts(nil))
	require.Zero(t, lefts(func(g *keptGroup) { g.Start = "1" }), "another leader")
	require.Zero(t, lefts(func(g *keptGroup) { g.Boot = "another" }), "another life of the machine")
	require.Zero(t, lefts(func(g *keptGroup) { g.PID = 1 }))
	require.NoError(t, in.Close())
	require.NoError(t, ignore(cmd.Wait()))
	require.Equal(t, 1, lefts(nil), "without its leader")
	require.Zero(t, lefts(func(g *keptGroup) { g.Start += "0" }), "it is older than the leader")
}

// Before it is in the journal nothing of the command has run: a kill in between
// leaves nothing.
func TestACommandIsHeldUntilItIsKept(t *testing.T) {
	dir := t.TempDir()
	c, err := siteIn(dir).held("echo ran > ran", nil)
	require.NoError(t, err)
	require.NoError(t, c.begin(childAttributes()))
	require.NoError(t, c.gate.Close())
	require.Error(t, c.wait(t.Context()))
	require.NoFileExists(t, filepath.Join(dir, "ran"))

	d := plan.Disruption{Name: "d", Exec: &plan.Exec{Inject: `test -e ran && exit 3; echo "$0 $#" > ran; ls /proc/$$/fd | grep -cx 3 >> ran; true`, Lift: "true"}}
	made, err := New(d, siteIn(dir))
	require.NoError(t, err)
	_, err = made.Inject(t.Context(), func(kept json.RawMessage) error {
		require.NoFileExists(t, filepath.Join(dir, "ran"), "%s", kept)
		if strings.Contains(string(kept), "injecting") {
			return errors.New("disk full")
		}
		return nil
	})
	require.ErrorContains(t, err, "disk full")
	require.NoFileExists(t, filepath.Join(dir, "ran"))

	_, err = made.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, "ran"))
	require.NoError(t, err)
	require.Equal(t, "/bin/sh 0\n0\n", string(text), "it is like any other command")
}
