package disrupt

import (
	"encoding/json"
	"fmt"
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

// stressChild gives the only child of this process that burdens the machine.
func stressChild(t *testing.T) proc {
	t.Helper()
	children := stressChildren(t, os.Getpid())
	require.Len(t, children, 1)
	return children[0]
}

func stressChildren(t *testing.T, parent int) []proc {
	t.Helper()
	all, err := processes()
	require.NoError(t, err)
	var out []proc
	for _, p := range all {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
		if err == nil && p.parent == parent && p.alive() && strings.HasSuffix(string(line), "\x00stress\x00") {
			out = append(out, p)
		}
	}
	return out
}

// cpuOf is the processor time that a process has used.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(t, err)
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')'):]))
	var user, system int
	_, err = fmt.Sscan(fields[12]+" "+fields[13], &user, &system)
	require.NoError(t, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

func TestCPUIsBusy(t *testing.T) {
	for tries := 1; ; tries++ {
		lift, _ := put(t, plan.Disruption{Name: "d", CPU: &plan.CPU{Cores: 1, Load: 0.5}}, Site{Note: quiet})
		child := stressChild(t)
		begun, before := time.Now(), cpuOf(t, child.pid)
		require.Eventually(t, func() bool { return cpuOf(t, child.pid)-before >= 300*time.Millisecond }, patience, procPoll)
		require.Greater(t, time.Since(begun), 400*time.Millisecond, "half of the time it rests")
		touch := lift()
		left, err := still([]mark{child.mark()})
		require.NoError(t, err)
		require.Empty(t, left)
		if touch.Touched == 0 && tries < 5 {
			continue // the whole machine stood still for longer than all this took
		}
		require.Equal(t, measure.Touch{Matched: 1, Touched: 1, Unit: "cpus"}, touch)
		return
	}
}

func TestMemoryIsTaken(t *testing.T) {
	const size = 48 << 20
	lift, _ := put(t, plan.Disruption{Name: "d", Memory: &plan.Memory{Size: size}}, Site{Note: quiet})
	child := stressChild(t)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", child.pid))
	require.NoError(t, err)
	var total, pages int
	_, err = fmt.Sscan(string(text), &total, &pages)
	require.NoError(t, err)
	require.GreaterOrEqual(t, pages*os.Getpagesize(), size)
	first, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", child.pid))
	require.NoError(t, err)
	require.Equal(t, "1000\n", string(first))
	require.Equal(t, measure.Touch{Matched: size, Touched: size, Unit: "bytes"}, lift())
}

func TestMemoryThatIsMissing(t *testing.T) {
	for want, m := range map[string]plan.Memory{
		"MiB of memory can not be taken":  {Size: 1 << 50},
		"of the memory is in use already": {Fill: 0.0001},
		"left alone":                      {Fill: 0.9999},
	} {
		made, err := New(plan.Disruption{Name: "d", Memory: &m}, Site{Note: quiet})
		require.NoError(t, err)
		_, err = made.Prepare(t.Context())
		require.ErrorContains(t, err, want)
		_, err = made.Inject(t.Context(), nil)
		require.ErrorContains(t, err, want)
	}
	free, total, margin, err := memory()
	require.NoError(t, err)
	require.True(t, 0 < free && free <= total && margin >= takeMargin)
	require.Empty(t, stressChildren(t, os.Getpid()))
}

func TestReadBound(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("memory.max", "max\n")
	write("memory.current", "1000\n")
	require.Empty(t, readBound(dir, "memory.max", "memory.current", "inactive_file"))
	write("memory.max", "5000\n")
	require.Equal(t, []memoryBound{{5000, 1000}}, readBound(dir, "memory.max", "memory.current", "inactive_file"))
	write("memory.stat", "anon 300\ninactive_file 400\n")
	require.Equal(t, []memoryBound{{5000, 600}}, readBound(dir, "memory.max", "memory.current", "inactive_file"))
}

// smallDisk mounts a disk of 16 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	return diskOf(t, "16m")
}

// diskOf mounts a disk of some size.
func diskOf(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a disk can not be mounted here: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
	return dir
}

func TestDiskIsFull(t *testing.T) {
	dir := smallDisk(t)
	before, err := freeSpace(dir)
	require.NoError(t, err)
	lift, _ := put(t, plan.Disruption{Name: "d", Disk: &plan.Disk{Dir: dir}}, Site{Note: quiet})
	require.ErrorIs(t, os.WriteFile(filepath.Join(dir, "f"), make([]byte, 1<<20), 0o600), syscall.ENOSPC)
	require.NoError(t, os.Remove(filepath.Join(dir, "f")))
	require.Equal(t, measure.Touch{Matched: before, Touched: before, Unit: "bytes"}, lift())
	after, err := freeSpace(dir)
	require.NoError(t, err)
	require.Equal(t, before, after)
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, names)

	lift, _ = put(t, plan.Disruption{Name: "d", Disk: &plan.Disk{Dir: dir, Leave: 4 << 20}}, Site{Note: quiet})
	free, err := freeSpace(dir)
	require.NoError(t, err)
	require.InDelta(t, 4<<20, free, fillPart)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), make([]byte, 1<<20), 0o600))
	require.EqualValues(t, before-4<<20, lift().Touched)
}

func TestDisksThatAreSpared(t *testing.T) {
	dir := t.TempDir()
	for want, d := range map[string]plan.Disk{
		"on the same disk as":           {Dir: dir},
		"the folder that shall be full": {Dir: filepath.Join(dir, "none")},
	} {
		made, err := New(plan.Disruption{Name: "d", Disk: &d}, Site{Dir: dir, Note: quiet})
		require.NoError(t, err)
		_, err = made.Prepare(t.Context())
		require.ErrorContains(t, err, want)
		_, err = made.Inject(t.Context(), nil)
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, spareDisk(dir, 1<<30, Site{}))
}

// A disk that is kept in memory, and may be as large, is not filled: that would
// take the memory of everybody.
func TestDisksInMemoryAreSpared(t *testing.T) {
	dir := diskOf(t, "1024g")
	fault := func(leave plan.Size) Disruption {
		made, err := New(plan.Disruption{Name: "d", Disk: &plan.Disk{Dir: dir, Leave: leave}}, Site{Note: quiet})
		require.NoError(t, err)
		return made
	}
	_, err := fault(0).Prepare(t.Context())
	require.ErrorContains(t, err, "is kept in memory, mount it with a smaller size or leave more")
	require.ErrorAs(t, err, new(*plan.Misfit))
	free, err := freeSpace(dir)
	require.NoError(t, err)
	_, err = fault(plan.Size(free - 16<<20)).Prepare(t.Context())
	require.NoError(t, err)
}

// Whatever ends the harness ends the burden.
func TestNothingWeighsAfterTheHarnessWasKilled(t *testing.T) {
	dir := smallDisk(t)
	before, err := freeSpace(dir)
	require.NoError(t, err)
	for _, d := range []plan.Disruption{
		{Name: "d", Disk: &plan.Disk{Dir: dir}},
		{Name: "d", CPU: &plan.CPU{Cores: 1, Load: 0.1}},
	} {
		d.For = plan.Duration(time.Hour)
		_, harness := injectElsewhere(t, d, t.TempDir(), "injected")
		children := marks(stressChildren(t, harness.Process.Pid))
		require.Len(t, children, 1)
		die(t, harness)
		require.Eventually(t, func() bool {
			left, err := still(children)
			return err == nil && len(left) == 0
		}, patience, procPoll)
	}
	after, err := freeSpace(dir)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestABurdenThatEndsEarlyDidNotBite(t *testing.T) {
	var said string
	note := func(_, _ string, attrs map[string]string) { said = attrs["detail"] }
	lift, _ := put(t, plan.Disruption{Name: "d", CPU: &plan.CPU{Cores: 1, Load: 0.1}}, Site{Note: note})
	require.NoError(t, signalTo(stressChild(t).pid, syscall.SIGKILL))
	began := time.Now()
	touch := lift()
	require.Contains(t, said, "ended early")
	require.Contains(t, touch.Doubt, "what it took is not known")
	require.LessOrEqual(t, touch.Gone, time.Now().UnixNano())
	require.Greater(t, touch.Gone, began.Add(-patience).UnixNano())
	touch.Doubt, touch.Gone = "", 0
	require.Equal(t, measure.Touch{Matched: 1, Unit: "cpus"}, touch)
}

// A burden that puts itself down when its own time is over, such as while the
// harness was stopped, is in effect until then and no longer.
func TestABurdenThatEndsByItself(t *testing.T) {
	var said string
	note := func(_, _ string, attrs map[string]string) { said = attrs["detail"] }
	const size = 1 << 20
	made, err := New(plan.Disruption{Name: "d", Memory: &plan.Memory{Size: size}}, Site{Note: note})
	require.NoError(t, err)
	made.(*pressure).order.Limit = 100 * time.Millisecond
	lift, err := made.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(stressChildren(t, os.Getpid())) == 0 }, patience, procPoll)
	touch, err := lift(t.Context())
	require.NoError(t, err)
	require.Contains(t, said, "ended early")
	require.NotZero(t, touch.Gone)
	require.LessOrEqual(t, touch.Gone, time.Now().UnixNano())
	touch.Gone = 0
	require.Equal(t, measure.Touch{Matched: size, Touched: size, Unit: "bytes"}, touch)
}

func TestStressEndsInTime(t *testing.T) {
	in, hold, err := os.Pipe()
	require.NoError(t, err)
	defer in.Close()
	defer hold.Close()
	require.NoError(t, json.NewEncoder(hold).Encode(stressOrder{Kind: "memory", Size: 1 << 20, Limit: time.Millisecond}))
	var out strings.Builder
	require.NoError(t, Stress(in, &out)) // nobody closes its input
	require.Equal(t, 2, strings.Count(out.String(), `"matched":1048576`))

	require.Error(t, Stress(strings.NewReader(""), &out))
	require.ErrorContains(t, Stress(strings.NewReader("{}\n"), &out), "is not known")
}
