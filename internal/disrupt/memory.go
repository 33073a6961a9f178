package disrupt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"resilience/internal/plan"
)

// taking holds memory and keeps it in use.
type taking struct {
	stressOrder
	parts [][]byte
	size  uint64
}

const (
	takePart   = 16 << 20    // bytes taken at a time
	takeMargin = 256 << 20   // bytes that are never taken
	takeAgain  = time.Second // how often all of it is used
)

func (t *taking) begin() (uint64, error) {
	size, err := memoryToTake(t.Size, t.Fill)
	if err != nil {
		return 0, err
	}
	if err := sacrifice(); err != nil {
		return 0, fmt.Errorf("make sure that memory is freed here first when it runs out: %w", err)
	}
	t.size = size
	for left := size; left > 0; {
		part := min(left, takePart)
		if err := t.take(part); err != nil {
			return 0, err
		}
		left -= part
	}
	return size, nil
}

// take maps a part, unless others took so much meanwhile that it would be
// missing.
func (t *taking) take(size uint64) error {
	free, _, margin, err := memory()
	if err != nil {
		return err
	}
	if free < size+margin {
		return fmt.Errorf("others took memory meanwhile: only %s are left", plan.Size(free))
	}
	part, err := syscall.Mmap(-1, 0, int(size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE) //nolint:gosec // at most takePart
	if err != nil {
		return fmt.Errorf("take %s of memory: %w", plan.Size(size), err)
	}
	t.parts = append(t.parts, part)
	use(part, 1)
	return nil
}

// use writes to every page, each time something else, so that all of it is
// there and none is shared.
func use(part []byte, round byte) {
	for i := 0; i < len(part); i += os.Getpagesize() {
		part[i] = round
		part[i+1] = byte(i >> 12)
	}
}

func (t *taking) keepUp(ctx context.Context) {
	for round := byte(2); ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(takeAgain):
			for _, part := range t.parts {
				use(part, round)
			}
		}
	}
}

// weighed leaves out what was swapped out.
func (t *taking) weighed() uint64 { return min(t.size, resident()) }

// memoryToTake is how much a disruption asks for; an error when there is not so
// much to spare.
func memoryToTake(size uint64, fill float64) (uint64, error) {
	free, total, margin, err := memory()
	if err != nil {
		return 0, err
	}
	if fill > 0 {
		used := total - min(free, total)
		want := uint64(fill * float64(total))
		if want <= used {
			return 0, plan.Misfitf("%.0f%% of the memory is in use already, of %s: fill must be more", 100*float64(used)/float64(total), plan.Size(total))
		}
		size = want - used
	}
	if total < size+margin {
		return 0, plan.Misfitf("%d MiB of memory can not be taken: there are %d MiB, of which %d MiB are left alone", size>>20, total>>20, margin>>20)
	}
	if free < size+margin {
		return 0, fmt.Errorf("%d MiB of memory can not be taken: %d MiB are free, of which %d MiB are left alone",
			size>>20, free>>20, margin>>20)
	}
	return size, nil
}

// memory gives what is free and what there is, in bytes, here and in the
// control groups that bound this process, and what must never be taken: 256 MiB
// or 5 %.
func memory() (free, total, margin uint64, err error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, 0, 0, errors.New("how much memory is free is only known on Linux")
	}
	figures := figuresOf(string(text), ":")
	free, total = figures["MemAvailable"]<<10, figures["MemTotal"]<<10
	for _, bound := range memoryBounds() {
		if bound.limit < total {
			total = bound.limit
		}
		free = min(free, bound.limit-min(bound.limit, bound.used))
	}
	return free, total, max(takeMargin, total/20), nil
}

type memoryBound struct{ limit, used uint64 }

// memoryBounds are those of the control groups of this process, of both
// versions (cgroups(7)). Cached files count as free: the kernel gives them up.
func memoryBounds() []memoryBound {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	var all []memoryBound
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, limit, used, cache := "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
		switch parts[1] {
		case "":
		case "memory":
			root, limit, used, cache = "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
		default:
			continue
		}
		for dir := parts[2]; ; dir = filepath.Dir(dir) {
			all = append(all, readBound(filepath.Join(root, dir), limit, used, cache)...)
			if dir == "/" || dir == "." {
				break
			}
		}
	}
	return all
}

// readBound gives the bound of one control group; none where it has no limit.
func readBound(dir, limit, used, cache string) []memoryBound {
	number := func(name string) (uint64, bool) {
		text, err := os.ReadFile(filepath.Join(dir, name))
		n, wrong := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		return n, err == nil && wrong == nil // "max" is no number
	}
	most, ok1 := number(limit)
	now, ok2 := number(used)
	if !ok1 || !ok2 {
		return nil
	}
	if stat, err := os.ReadFile(filepath.Join(dir, "memory.stat")); err == nil {
		now -= min(now, figuresOf(string(stat), " ")[cache])
	}
	return []memoryBound{{most, now}}
}

// figuresOf reads lines of a name and a number.
func figuresOf(text, separator string) map[string]uint64 {
	figures := map[string]uint64{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), separator)
		if fields := strings.Fields(rest); len(fields) > 0 {
			if n, err := strconv.ParseUint(fields[0], 10, 64); err == nil {
				figures[name] = n
			}
		}
	}
	return figures
}
