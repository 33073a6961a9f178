package shadow

import (
	"sync/atomic"
	"time"

	"resilience/internal/measure"
)

// lanesMost is how many lanes there are: of the candidate, of the baseline, and of the
// one that tells noise.
const lanesMost = 3

// waiting is for how long answers of one lane were waited for: of those that came, and
// of those that have not come yet until now. Times are since the replay began.
type waiting struct{ underway, begins, took atomic.Int64 }

func (w *waiting) begin(at time.Duration) {
	w.underway.Add(1)
	w.begins.Add(int64(at))
}

func (w *waiting) end(at, now time.Duration) {
	w.underway.Add(-1)
	w.begins.Add(-int64(at))
	w.took.Add(int64(now - at))
}

func (w *waiting) sum(now time.Duration) time.Duration {
	return time.Duration(w.took.Load() + w.underway.Load()*int64(now) - w.begins.Load())
}

// lanesWaiting is that of each lane, and of the answers when they were recorded.
type lanesWaiting struct {
	lanes    [lanesMost]waiting
	recorded atomic.Int64
}

// asks notes that a lane waits for an answer from now on.
func (l *lane) asks(j *job, at time.Time) {
	began := at.Sub(l.began)
	l.waited.lanes[l.number].begin(began)
	if l.number == 0 {
		l.waited.recorded.Add(int64(j.Took))
	}
	if j.session == nil {
		return
	}
	j.session.waited.lanes[l.number].begin(began)
	if l.number == 0 {
		j.session.waited.recorded.Add(int64(j.Took))
	}
}

// has notes that a lane waits for that answer no more.
func (l *lane) has(j *job, at time.Time) {
	began, now := at.Sub(l.began), time.Since(l.began)
	l.waited.lanes[l.number].end(began, now)
	if j.session != nil {
		j.session.waited.lanes[l.number].end(began, now)
	}
}

// slowIn are the arms for whose answers was waited at least half as long as for those of
// the slowest lane, and nobody where that is no arm's failure: where all are as slow, and
// so not the candidate alone, or where it is not slower than what was recorded.
func (p *replaying) slowIn(w *lanesWaiting) (slow []*lane) {
	now := time.Since(p.began)
	var most time.Duration
	arms := 0
	for _, l := range p.lanes {
		most = max(most, w.lanes[l.number].sum(now))
	}
	for _, l := range p.lanes {
		if l.arm == "" {
			continue
		}
		if arms++; 2*w.lanes[l.number].sum(now) >= most {
			slow = append(slow, l)
		}
	}
	recorded := time.Duration(w.recorded.Load())
	alone := arms == 1 && recorded > 0 && most >= 2*recorded
	if len(slow) == arms && !alone {
		return nil
	}
	return slow
}

// dropBySession counts an exchange that waited, or had no room to wait, for answers of
// sessions. Where those had no worker, who kept the workers is to blame.
func (p *replaying) dropBySession(j *job, why string) {
	blamed := j.blamed
	if blamed == nil {
		w := &p.waited
		if j.waits > 0 {
			w = &j.session.waited
		}
		if blamed = p.slowIn(w); len(blamed) == 0 {
			p.tally.nobodys.Add(1)
		}
	}
	p.failDropped(j, blamed, why)
}

// failDropped has an exchange that could not start be the failure of some lanes.
func (p *replaying) failDropped(j *job, blamed []*lane, why string) {
	for _, l := range blamed {
		p.record.add(measure.MetricIteration, l.arm, "", "", "", j.due, 0, measure.Dropped)
		p.record.example(measure.Example{
			At: j.due.UnixNano(), Arm: l.arm, Kind: "dropped", Message: "could not start: " + why,
		}, func() string { return shownRequest(j.Request) })
	}
}

// busiest is the session that asks most; only reading uses it.
type busiest struct{ asked, all uint64 }

func (b *busiest) see(s *session) {
	b.all++
	if s != nil {
		s.asked++
		b.asked = max(b.asked, s.asked)
	}
}

// share is which part of all exchanges it asked.
func (b *busiest) share() float64 { return float64(b.asked) / float64(max(b.all, 1)) }

// tellDropped says what could not be sent though no version is to blame, and what to do:
// that is evidence that the recording was not delivered.
func (p *replaying) tellDropped() {
	n := p.tally.nobodys.Load()
	if n == 0 {
		return
	}
	share := 100 * p.busiest.share()
	p.record.warn("%d exchanges could not be sent, and no version is to blame alone: within a session each waits for the answers before it, and all that were asked take longer than the recording has time for; one session has %.0f%% of all exchanges: if it is many users, as behind a load balancer, import again with --session or --field session=, which tell them apart; else replay more slowly (speed: x0.5, or rate:)", n, share)
	p.record.blame("sessions", "exchanges could not be sent for the order within their sessions: see the warning of the test")
}
