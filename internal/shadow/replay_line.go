package shadow

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Bounds of what waits.
const (
	lineJobs  = 10_000   // exchanges
	lineBytes = 64 << 20 // of their bodies
)

// What became of a job that entered the line.
const (
	lineGone = iota // it was sent
	lineHeld        // it waits for an earlier answer of its session
	lineLate        // it waits because as many as may be are under way
	lineFull        // it did not enter
)

// replayLine keeps the order within sessions, and bounds how many exchanges are under
// way. An exchange waits for those of its session that had been answered when it
// was recorded: what a browser asked at the same time is asked at the same time.
type replayLine struct {
	mu       sync.Mutex
	workers  int
	underway int
	ready    []*job            // wait for a worker
	sessions map[string][]*job // that wait or are under way
	held     int
	bytes    int
	closed   bool
	whenIdle chan struct{}
	freed    chan struct{} // has room for one note that a worker is free
}

func newReplayLine(workers int) *replayLine {
	return &replayLine{workers: workers, sessions: map[string][]*job{}, freed: make(chan struct{}, 1)}
}

// enter sends a job, or lets it wait.
func (l *replayLine) enter(j *job) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	size := j.size()
	if l.closed || l.held+len(l.ready) >= lineJobs || l.bytes+size > lineBytes && l.bytes > 0 {
		j.delayed = len(l.ready) > l.held // it is for want of workers
		j.blamed = l.keptFrom()
		return lineFull
	}
	if j.Session != "" {
		l.follow(j, l.sessions[j.Session])
		if j.origin != "" {
			l.follow(j, l.sessions[j.origin])
		}
		l.sessions[j.Session] = append(l.sessions[j.Session], j)
	}
	l.bytes += size
	if j.waits > 0 {
		l.held++
		return lineHeld
	}
	return l.start(j)
}

// follow has a job wait for those of a session that had been answered when it was
// asked. Whom one of these waits for needs no mention: else the waiting of a session
// that everybody shares would take memory by the square of its length. The line is
// locked.
func (l *replayLine) follow(j *job, session []*job) {
	var latest time.Time // when the latest of those that it waits for was asked
	some := false
	for _, earlier := range slices.Backward(session) {
		end := earlier.recordedEnd()
		if end.After(j.At) || some && !end.After(latest) {
			continue
		}
		earlier.successors = append(earlier.successors, j)
		j.waits++
		if !some || earlier.At.After(latest) {
			some, latest = true, earlier.At
		}
	}
}

// start sends a job if a worker is free; the line is locked.
func (l *replayLine) start(j *job) int {
	if l.underway >= l.workers {
		j.delayed, j.blamed = true, j.replaying.waitedFor()
		l.ready = append(l.ready, j)
		return lineLate
	}
	l.underway++
	j.send()
	return lineGone
}

// done lets go what waited for a job, which has ended.
func (l *replayLine) done(j *job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underway--
	l.bytes -= j.size()
	l.leave(j)
	for len(l.ready) > 0 && l.underway < l.workers && !l.closed {
		next := l.ready[0]
		l.ready = l.ready[1:]
		l.underway++
		next.send()
	}
	l.tell()
}

// leave takes a job out of its session, and readies those that waited for it.
func (l *replayLine) leave(j *job) {
	if j.Session == "" {
		return
	}
	rest := l.sessions[j.Session]
	for i, other := range rest {
		if other == j {
			rest = append(rest[:i], rest[i+1:]...)
			break
		}
	}
	if len(rest) == 0 {
		delete(l.sessions, j.Session)
	} else {
		l.sessions[j.Session] = rest
	}
	for _, next := range j.successors {
		if next.waits--; next.waits == 0 && !l.closed {
			l.held--
			next.readied = time.Now()
			l.start(next)
		}
	}
	j.successors = nil
}

// tell notes that a worker is free, or that nothing is under way any more.
func (l *replayLine) tell() {
	select {
	case l.freed <- struct{}{}:
	default:
	}
	if l.whenIdle != nil && l.underway == 0 && (l.closed || len(l.ready)+l.held == 0) {
		close(l.whenIdle)
		l.whenIdle = nil
	}
}

// keptFrom are the lanes that keep workers from the first exchange that waits for one;
// nil where none does. The line is locked.
func (l *replayLine) keptFrom() []*lane {
	if len(l.ready) == 0 {
		return nil
	}
	return l.ready[0].blamed
}

// free waits until a worker is free; false when the context ended before.
func (l *replayLine) free(ctx context.Context) bool {
	for {
		l.mu.Lock()
		free := l.underway < l.workers && l.held < l.workers
		l.mu.Unlock()
		if free {
			return ctx.Err() == nil
		}
		select {
		case <-l.freed:
		case <-ctx.Done():
			return false
		}
	}
}

// idle gives what is closed when nothing is under way and nothing waits.
func (l *replayLine) idle() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	idle := make(chan struct{})
	l.whenIdle = idle
	l.tell()
	return idle
}

// abandon drops what waits. What is under way goes on.
func (l *replayLine) abandon() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	for _, j := range l.ready {
		j.replaying.drop(j)
	}
	for _, session := range l.sessions {
		for _, j := range session {
			if j.waits > 0 {
				j.blamed = l.keptFrom()
				j.replaying.drop(j)
			}
		}
	}
	l.tell()
}
