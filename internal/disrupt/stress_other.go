//go:build !linux

package disrupt

import (
	"os"
	"syscall"
	"time"
)

// threadDemand is how long this process ran: what its threads waited for is not
// known here.
func threadDemand() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// sacrifice has no meaning here.
func sacrifice() error { return nil }

// inMemory can not be told here.
func inMemory(string) bool { return false }

// resident is only asked for where memory can be taken, which is Linux.
func resident() uint64 { return 0 }

// allocate fills a part of a file.
func allocate(f *os.File, from, n int64) error { return writeZeros(f, from, n) }
