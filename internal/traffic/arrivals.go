package traffic

import (
	"context"
	"math"
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
type arrivals interface {
	Pace(elapsed time.Duration, hits uint64) (wait time.Duration, stop bool)
	Rate(elapsed time.Duration) float64
	take() (a arrival, ok bool)                 // by the worker that starts it
	done()                                      // by whoever saw an attempt end
	missed(until time.Duration) []time.Duration // due before until, but never started; once vegeta has ended
}

// waitingRoom holds the arrivals that Pace let go and no worker has started
// yet, and counts those that have not ended.
type waitingRoom struct {
	mu       sync.Mutex
	line     []arrival
	underway int
}

func (w *waitingRoom) enter(a arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.line = append(w.line, a)
	w.underway++
}

func (w *waitingRoom) take() (arrival, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.line) == 0 {
		return arrival{}, false
	}
	a := w.line[0]
	w.line = w.line[1:]
	return a, true
}

func (w *waitingRoom) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.underway--
}

func (w *waitingRoom) busy() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.underway
}

// openArrivals come by a schedule, whatever the target does.
type openArrivals struct {
	waitingRoom
	ctx      context.Context // ends the sending
	began    time.Time
	schedule *schedule
	workers  int
	behind   bool     // an arrival had to wait for a worker and we have not caught up since
	pending  *arrival // taken from the schedule when the sending ended
}

// Pace implements vegeta.Pacer: it returns when the next arrival is due.
func (o *openArrivals) Pace(_ time.Duration, hits uint64) (time.Duration, bool) {
	at, ok := o.schedule.take()
	if !ok {
		return 0, true
	}
	a := arrival{seq: hits, at: at}
	if early := at - time.Since(o.began); early > 0 {
		o.behind = false
		if !pause(o.ctx, early) {
			o.pending = &a
			return 0, true
		}
	} else if o.ctx.Err() != nil {
		o.pending = &a
		return 0, true
	}
	o.behind = o.behind || o.busy() >= o.workers
	a.delayed = o.behind
	o.enter(a)
	return 0, false
}

// Rate implements vegeta.Pacer, in hits per second.
func (o *openArrivals) Rate(elapsed time.Duration) float64 {
	return o.schedule.curve.at(elapsed.Seconds())
}

func (o *openArrivals) done() { o.leave() }

func (o *openArrivals) missed(until time.Duration) []time.Duration {
	var times []time.Duration
	if o.pending != nil {
		o.line = append(o.line, *o.pending)
	}
	for _, a := range o.line {
		if a.at < until {
			times = append(times, a.at)
		}
	}
	for {
		at, ok := o.schedule.take()
		if !ok || at >= until {
			return times
		}
		times = append(times, at)
	}
}

// closedArrivals come whenever a virtual user is free.
type closedArrivals struct {
	waitingRoom
	ctx   context.Context
	began time.Time
	curve curve
	freed chan struct{} // holds one token at most
}

// look is how often a changing number of virtual users is looked at.
const look = 20 * time.Millisecond

// Pace implements vegeta.Pacer: it returns when there are fewer attempts under
// way than virtual users.
func (c *closedArrivals) Pace(_ time.Duration, hits uint64) (time.Duration, bool) {
	for {
		now := time.Since(c.began)
		if now.Seconds() >= c.curve.length() || c.ctx.Err() != nil {
			return 0, true
		}
		if c.busy() < int(math.Round(c.curve.at(now.Seconds()))) {
			c.enter(arrival{seq: hits, at: now})
			return 0, false
		}
		select {
		case <-c.freed:
		case <-time.After(look):
		case <-c.ctx.Done():
		}
	}
}

// Rate implements vegeta.Pacer; a closed model asks for no rate.
func (c *closedArrivals) Rate(time.Duration) float64 { return 0 }

func (c *closedArrivals) done() {
	c.leave()
	select {
	case c.freed <- struct{}{}:
	default:
	}
}

// missed is empty: nobody asked for more than what started.
func (c *closedArrivals) missed(time.Duration) []time.Duration { return nil }

// pause waits; false when the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
