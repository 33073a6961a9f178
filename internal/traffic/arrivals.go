package traffic

import (
	"context"
	"sync"
	"time"
)

// arrival is one attempt that is due.
type arrival struct {
	seq     uint64
	at      time.Duration // after the test began
	delayed bool          // it stood in line because all workers waited on the target
}

// arrivals decide when vegeta sends: they are a vegeta.Pacer. Vegeta calls
// Pace from one goroutine, and then one of its workers takes the arrival. Pace
// does its waiting itself, because vegeta would sleep through a stop.
type arrivals struct {
	sending  context.Context // ends when nothing more may start
	began    time.Time
	schedule *schedule
	workers  int
	behind   bool // an arrival had to wait for a worker and we have not caught up since

	mu       sync.Mutex
	line     []arrival // let go, but not started by a worker yet
	underway int       // let go, but not ended
}

// Pace implements vegeta.Pacer: it returns when the next arrival is due.
func (a *arrivals) Pace(_ time.Duration, hits uint64) (time.Duration, bool) {
	at, ok := a.schedule.take()
	if !ok {
		return 0, true
	}
	due := a.await(at)
	a.enter(hits, at)
	return 0, !due
}

// await returns when an arrival is due; false when the sending ended first.
func (a *arrivals) await(at time.Duration) bool {
	early := at - time.Since(a.began)
	if early <= 0 {
		return a.sending.Err() == nil
	}
	a.behind = false
	timer := time.NewTimer(early)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-a.sending.Done():
		return false
	}
}

func (a *arrivals) enter(seq uint64, at time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.behind = a.behind || a.underway >= a.workers
	a.line = append(a.line, arrival{seq: seq, at: at, delayed: a.behind})
	a.underway++
}

// Rate implements vegeta.Pacer, in hits per second.
func (a *arrivals) Rate(elapsed time.Duration) float64 {
	return a.schedule.curve.at(elapsed.Seconds())
}

// take gives a worker the arrival that it starts.
func (a *arrivals) take() (next arrival, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.line) == 0 {
		return arrival{}, false
	}
	next, a.line = a.line[0], a.line[1:]
	return next, true
}

// done says that an attempt has ended.
func (a *arrivals) done() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.underway--
}

// missed gives what was due before until but never started, once vegeta has
// ended.
func (a *arrivals) missed(until time.Duration) []time.Duration {
	var times []time.Duration
	for _, left := range a.line {
		if left.at < until {
			times = append(times, left.at)
		}
	}
	for {
		at, ok := a.schedule.take()
		if !ok || at >= until {
			return times
		}
		times = append(times, at)
	}
}
