package disrupt

import (
	"context"
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

// sleeper starts a process that ends with the test.
func sleeper(t *testing.T) proc {
	t.Helper()
	cmd := exec.Command("sleep", "120")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-ended })
	return procAt(t, cmd.Process.Pid)
}

func procAt(t *testing.T, pid int) proc {
	t.Helper()
	p, found, err := process(pid)
	require.NoError(t, err)
	require.True(t, found)
	return p
}

func writePID(t *testing.T, path string, p proc) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(strconv.Itoa(p.pid)), 0o600))
}

// heard collects notes.
type heard struct {
	sync.Mutex
	details []string
}

func (h *heard) note(kind, name string, attrs map[string]string) {
	h.Lock()
	defer h.Unlock()
	h.details = append(h.details, kind+" "+name+": "+attrs["detail"])
}

func pidFault(file string) plan.Disruption {
	return plan.Disruption{Name: "d", Process: &plan.Process{PIDFile: file}}
}

// changes are what may happen to a pid file during a fault.
var changes = map[string]struct {
	do   func(t *testing.T, path string)
	note string
}{
	"another process": {func(t *testing.T, path string) { writePID(t, path, sleeper(t)) }, "names process"},
	"a dead process":  {func(t *testing.T, path string) { writePID(t, path, proc{pid: 4194304}) }, "names process 4194304 now"},
	"gone":            {func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, "leads nowhere now"},
}

func TestPausedProcessGoesOnWhateverThePIDFileSays(t *testing.T) {
	for what, change := range changes {
		for _, by := range []string{"lift", "undo"} {
			t.Run(what+"/"+by, func(t *testing.T) {
				dir, notes, one := t.TempDir(), &heard{}, sleeper(t)
				s, d := Site{Dir: dir, Note: notes.note}, pidFault("pid")
				d.Pause = &plan.Pause{}
				writePID(t, filepath.Join(dir, "pid"), one)
				lift, undo := put(t, d, s)
				require.True(t, procAt(t, one.pid).stopped())
				change.do(t, filepath.Join(dir, "pid"))
				if by == "undo" {
					require.NoError(t, Undo(t.Context(), d, *undo, s))
					require.False(t, procAt(t, one.pid).stopped())
				}
				require.EqualValues(t, 1, lift().Touched)
				require.False(t, procAt(t, one.pid).stopped())
				require.Contains(t, notes.details[0], measure.EventWarning+" d: process "+strconv.Itoa(one.pid)+" goes on, but")
				require.Contains(t, notes.details[0], change.note)
				require.Empty(t, grips.of)
			})
		}
	}
}

func TestPausesOfOneProcessThroughTwoFilesAddUp(t *testing.T) {
	dir, one := t.TempDir(), sleeper(t)
	s := Site{Dir: dir, Note: quiet}
	var lifts []func() measure.Touch
	for _, file := range []string{"a", "b"} {
		writePID(t, filepath.Join(dir, file), one)
		d := pidFault(file)
		d.Pause = &plan.Pause{}
		lift, _ := put(t, d, s)
		lifts = append(lifts, lift)
	}
	lifts[1]()
	require.True(t, procAt(t, one.pid).stopped(), "the other is still in effect")
	lifts[0]()
	require.False(t, procAt(t, one.pid).stopped())
	require.Empty(t, grips.of)
}

// A file that names another process later means that one to faults that begin
// then.
func TestPausesOfTwoProcessesThroughOneFile(t *testing.T) {
	dir, one, two := t.TempDir(), sleeper(t), sleeper(t)
	s, d := Site{Dir: dir, Note: quiet}, pidFault("pid")
	d.Pause = &plan.Pause{}
	writePID(t, filepath.Join(dir, "pid"), one)
	first, _ := put(t, d, s)
	writePID(t, filepath.Join(dir, "pid"), two)
	second, _ := put(t, d, s)
	require.True(t, procAt(t, one.pid).stopped() && procAt(t, two.pid).stopped())
	first()
	require.False(t, procAt(t, one.pid).stopped())
	require.True(t, procAt(t, two.pid).stopped())
	second()
	require.False(t, procAt(t, two.pid).stopped())
}

// later returns when what starts next is surely younger than what there is: the
// clock of starts is coarse.
func later(t *testing.T) {
	t.Helper()
	since, err := youngest()
	require.NoError(t, err)
	require.NoError(t, eventually(t.Context(), patience, "the clock stands still", func() (bool, error) {
		cmd := exec.Command("sleep", "120")
		if err := cmd.Start(); err != nil {
			return false, err
		}
		p, _, err := process(cmd.Process.Pid)
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		then, _ := began(since)
		at, _ := began(p.start)
		return at > then, err
	}))
}

func TestKilledProcessIsNotBackAsAnOldOne(t *testing.T) {
	for _, by := range []string{"lift", "undo"} {
		t.Run(by, func(t *testing.T) {
			dir, old := t.TempDir(), sleeper(t)
			path := filepath.Join(dir, "pid")
			later(t)
			one := sleeper(t)
			writePID(t, path, one)
			s, d := Site{Dir: dir, Note: quiet}, pidFault("pid")
			d.Kill, d.Process.Start = &plan.Kill{}, "sleep 120 & echo $! > pid"
			lift, undo := put(t, d, s)
			writePID(t, path, old)
			if by == "undo" {
				require.NoError(t, Undo(t.Context(), d, *undo, s))
			}
			lift()
			p := &processLife{path: path}
			t.Cleanup(func() { endProcess(t, p) })
			now, err := p.find()
			require.NoError(t, err)
			require.NotContains(t, []int{old.pid, one.pid}, now.pid)
			require.True(t, now.alive())
		})
	}
}

func TestKilledProcessIsBroughtBackBySomebodyElse(t *testing.T) {
	dir, notes := t.TempDir(), &heard{}
	path := filepath.Join(dir, "pid")
	writePID(t, path, sleeper(t))
	s, d := Site{Dir: dir, Note: notes.note}, pidFault("pid")
	d.Kill, d.Process.Start = &plan.Kill{}, "touch begun; exit 1"
	lift, _ := put(t, d, s)
	next := sleeper(t)
	writePID(t, path, next)
	require.EqualValues(t, 1, lift().Touched)
	require.NoFileExists(t, filepath.Join(dir, "begun"))
	require.Equal(t, []string{measure.EventChange + " d: it was started again by somebody else, as process " + strconv.Itoa(next.pid)}, notes.details)
}

func TestPidFilesThatAreNoSmallFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	for want, put := range map[string]func() error{
		"is no regular file (p":  func() error { return syscall.Mkfifo(path, 0o600) },
		"is no regular file (d":  func() error { return os.Mkdir(path, 0o700) },
		"is no regular file (Dc": func() error { return os.Symlink("/dev/zero", path) },
		"but 64 bytes or more":   func() error { return os.WriteFile(path, []byte(strings.Repeat(" ", 61)+"4194"), 0o600) },
	} {
		require.NoError(t, put())
		d := pidFault(path)
		d.Pause = &plan.Pause{}
		made, err := New(d, Site{Note: quiet})
		require.NoError(t, err)
		answer := make(chan error, 1)
		go func() { _, err := made.Prepare(context.Background()); answer <- err }()
		select {
		case err := <-answer:
			require.ErrorContains(t, err, want)
		case <-time.After(patience):
			require.Fail(t, "it hangs", want)
		}
		require.NoError(t, os.Remove(path))
	}
}

func TestSucceeds(t *testing.T) {
	ended := mark{7, "100"}
	for _, c := range []struct {
		p     proc
		since string
		want  bool
	}{
		{proc{pid: 8, start: "121"}, "120", true},
		{proc{pid: 8, start: "1000"}, "999", true},
		{proc{pid: 8, start: "120"}, "120", true}, // the same tick
		{proc{pid: 8, start: "119"}, "120", false},
		{proc{pid: 7, start: "121"}, "120", true}, // its pid was used again
		{proc{pid: 7, start: "100"}, "", false},
		{proc{pid: 8, start: "121", state: 'Z'}, "120", false},
		{proc{pid: 8, start: "9"}, "", true}, // nothing is known
		{proc{pid: 8, start: "Sat Nov 1 00:00:02 2025"}, "Sat Nov 1 00:00:01 2025", true},
		{proc{pid: 8, start: "Fri Oct 31 00:00:02 2025"}, "Sat Nov 1 00:00:01 2025", false},
	} {
		require.Equal(t, c.want, succeeds(c.p, ended, c.since), "%+v since %q", c.p, c.since)
	}
}
