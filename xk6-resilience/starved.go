package xk6resilience

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	rtmetrics "runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"time"

	"resilience/internal/measure"
)

// watchEvery is how often this process looks whether it has the CPU it needs.
const watchEvery = 250 * time.Millisecond

// When k6 counts as starved: without CPU to read answers with, VUs seem to wait
// for a target that has long answered. A target that hangs leaves k6 idle.
const (
	starvedCPU  = 0.9                    // of all cores, used by this process or wanted in vain
	starvedTick = 200 * time.Millisecond // that this process was woken late
	starvedWait = 100 * time.Millisecond // that a goroutine was ready and did not run
)

// starvation tells when k6 itself has no CPU, and holds the arrivals that were
// dropped until that is known of their moment. The session's lock guards it.
type starvation struct {
	now, before bool      // starved in the last stretch, and in the one before
	since       time.Time // when the last time without CPU began; zero before the first
	until       time.Time // one stretch after it ended; zero while it goes on
	held        []drop

	dropped, cut uint64 // arrivals, and attempts under way, that it spoiled
}

// drop is one dropped arrival.
type drop struct {
	at      int64
	count   int
	waiting bool // at least half of the VUs had a request under way
}

// load is what this process saw of its CPU in one stretch of time.
type load struct {
	elapsed, used time.Duration // used by all cores together
	queued        time.Duration // that its threads together were ready and other processes ran
	late          time.Duration // in waking up at its end
	waited        bool          // a goroutine waited for longer than starvedWait
}

func (l load) starved(cores int) bool {
	return float64(l.used+l.queued) >= starvedCPU*float64(l.elapsed)*float64(cores) || l.late > starvedTick || l.waited
}

// and is the load of two stretches, one after the other.
func (l load) and(next load) load {
	return load{
		elapsed: l.elapsed + next.elapsed, used: l.used + next.used, queued: l.queued + next.queued,
		late: max(l.late, next.late), waited: l.waited || next.waited,
	}
}

// watch takes in a stretch that ends now, and counts what was held for it. A
// sample may come a little after its moment, so what arrives after a stretch
// without CPU belongs to that as well.
func (s *session) watch(now time.Time, stretch load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &s.starvation
	v.before, v.now = v.now, stretch.starved(runtime.GOMAXPROCS(0))
	switch {
	case v.now && !v.before:
		v.since, v.until = now.Add(-stretch.elapsed), time.Time{}
	case !v.now && v.before:
		v.until = now
	}
	if !s.over {
		s.release()
	}
}

// release counts the dropped arrivals that were held. They are the target's
// failure when the VUs were waiting for it, and the generator's when it had no
// CPU, or the script itself kept the VUs busy. The caller holds the lock.
func (s *session) release() {
	v := &s.starvation
	starved := v.now || v.before
	for _, d := range v.held {
		series := iterationSeries
		switch {
		case starved:
			v.dropped += uint64(d.count) //nolint:gosec // never negative
			series.Status = measure.StatusGenerator
		case !d.waiting:
			series.Status = measure.StatusGenerator
		}
		ref := s.agg.Ref(s.around.Load().series(series))
		for range d.count {
			ref.Count(d.at, measure.Dropped)
		}
	}
	v.held = v.held[:0]
}

// spoils reports whether nothing can be said about an attempt that was given up
// at its end: k6 had no CPU ever since it began. It may be asked later, when k6
// has CPU again because all VUs were stopped. The stretch in which that happens
// is the one in which attempts are cut off and has CPU in a part of it only, so
// it belongs to the time without. The evidence against the generator takes the
// attempt's place. The caller holds the lock.
func (v *starvation) spoils(start, end time.Time) bool {
	if !v.spoiled(start, end) {
		return false
	}
	v.cut++
	return true
}

// spoiled is spoils for those who do not count it.
func (v *starvation) spoiled(start, end time.Time) bool {
	return !v.since.IsZero() && !start.Before(v.since) && (v.until.IsZero() || !end.After(v.until))
}

// finish writes what starvation did. The caller holds the lock.
func (v *starvation) finish(s *session) {
	if v.dropped+v.cut > 0 {
		s.blame.note(s, "cpu", fmt.Sprintf("k6 had no CPU left when %d arrivals found no free VU and %d attempts were cut off: lower the rate, make the script lighter or give it more cores", v.dropped, v.cut))
	}
}

// watch samples the CPU of this process.
type watch struct {
	at     time.Time
	used   time.Duration
	queued time.Duration
	long   uint64 // waits of goroutines longer than starvedWait
}

func newWatch() *watch {
	return &watch{at: time.Now(), used: cpuTime(), queued: queueTime(), long: longWaits()}
}

// look tells about the stretch since the last look; due is when this one should
// have been.
func (w *watch) look(now, due time.Time) load {
	used, queued, long := cpuTime(), queueTime(), longWaits()
	l := load{
		elapsed: now.Sub(w.at), used: used - w.used, queued: max(0, queued-w.queued), // less when a thread ended
		late: now.Sub(due), waited: long > w.long,
	}
	w.at, w.used, w.queued, w.long = now, used, queued, long
	return l
}

// longWaits counts, of the one in eight that the runtime looks at, how often a
// goroutine that was ready had to wait longer than starvedWait.
func longWaits() (n uint64) {
	sample := []rtmetrics.Sample{{Name: "/sched/latencies:seconds"}}
	rtmetrics.Read(sample)
	if sample[0].Value.Kind() != rtmetrics.KindFloat64Histogram {
		return 0
	}
	histogram := sample[0].Value.Float64Histogram()
	for i, count := range histogram.Counts {
		if histogram.Buckets[i] >= starvedWait.Seconds() {
			n += count
		}
	}
	return n
}

// cpuTime is what this process has used so far, in user and system mode.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// queueTime is how long the threads of this process together have been ready
// while others had the cores (Linux, Documentation/scheduler/sched-stats.rst);
// zero where that cannot be known.
func queueTime() (sum time.Duration) {
	threads, _ := filepath.Glob("/proc/self/task/*/schedstat")
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		if fields := strings.Fields(string(text)); len(fields) == 3 {
			waited, _ := strconv.ParseInt(fields[1], 10, 64)
			sum += time.Duration(waited)
		}
	}
	return sum
}
