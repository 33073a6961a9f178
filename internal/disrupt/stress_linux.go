package disrupt

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// threadDemand is how long the calling thread ran or waited for a processor
// (proc(5), /proc/PID/schedstat); where the kernel does not count that, how long
// it ran.
func threadDemand() time.Duration {
	var ran, waited int64
	if text, err := os.ReadFile("/proc/thread-self/schedstat"); err == nil {
		if n, err := fmt.Sscan(string(text), &ran, &waited); err == nil && n == 2 {
			return time.Duration(ran + waited)
		}
	}
	const ofThread = 1 // RUSAGE_THREAD
	var used syscall.Rusage
	if err := syscall.Getrusage(ofThread, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// sacrifice makes this process the first that the kernel ends when memory runs
// out.
func sacrifice() error {
	return os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0) //nolint:gosec // it is there
}

// resident is how much of this process is in memory, in bytes.
func resident() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages uint64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize()) //nolint:gosec // it is positive
}

// inMemory tells whether what is in a folder takes memory (tmpfs(5)).
func inMemory(dir string) bool {
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return false
	}
	kind := uint32(fs.Type) //nolint:gosec // its width differs by machine
	return kind == tmpfs || kind == ramfs
}

// allocate reserves blocks for a part of a file, or fills it where the file
// system can not reserve.
func allocate(f *os.File, from, n int64) error {
	err := syscall.Fallocate(int(f.Fd()), 0, from, n)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return writeZeros(f, from, n)
	}
	return err
}
