package shadow

import (
	"sync/atomic"
	"time"
)

// A candidate that gave no answer so often in a row is asked now and then only.
const (
	breakAfter = 100
	probeEvery = 100 * time.Millisecond
)

// mirrorBreaker spares a candidate that is down, and this machine the work of
// finding that out again with each request. One answer, whatever it says, ends it.
type mirrorBreaker struct {
	failures atomic.Int64 // in a row
	next     atomic.Int64 // when it may be asked again, in Unix nanoseconds
}

// lets tells whether the candidate may be asked.
func (b *mirrorBreaker) lets(now time.Time) bool {
	if b.failures.Load() < breakAfter {
		return true
	}
	next := b.next.Load()
	return now.UnixNano() >= next && b.next.CompareAndSwap(next, now.Add(probeEvery).UnixNano())
}

// saw takes in how it went.
func (b *mirrorBreaker) saw(failed bool) {
	switch {
	case failed:
		b.failures.Add(1)
	case b.failures.Load() != 0:
		b.failures.Store(0)
	}
}
