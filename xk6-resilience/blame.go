package xk6resilience

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"

	"resilience/internal/measure"
)

// blame collects the evidence against the generator itself. It is never
// blamed for what the target does. The session's lock guards it.
type blame struct {
	noted map[string]bool

	iterations, broken uint64 // finished; ended by an exception that no failed request explains
	exceptions         uint64
	message            string

	vusBusy    uint64 // arrivals dropped although the VUs were not waiting on the target
	vusDetail  string
	seconds    int // watched
	lateTicks  int // seconds in which this process was woken late
	worstDelay time.Duration
	saturated  int // seconds in a row with all cores in use by this process
}

const (
	lateBy       = 400 * time.Millisecond // a second counts as late from here
	lateShare    = 0.1                    // of the seconds
	lateSeconds  = 3                      // at least
	fullCPU      = 0.95                   // of all cores
	fullCPUInRow = 5                      // seconds
)

func newBlame() blame { return blame{noted: map[string]bool{}} }

// note writes one piece of evidence, once for each name.
func (b *blame) note(s *session, name, detail string) {
	if b.noted[name] {
		return
	}
	b.noted[name] = true
	s.event(measure.Event{Kind: measure.EventGenerator, Name: name, Attrs: map[string]string{"detail": detail}})
}

// exception counts an iteration that ended in one.
func (b *blame) exception(message string, requestFailed bool) {
	b.iterations++
	b.exceptions++
	b.message = message
	if !requestFailed {
		b.broken++
	}
}

func (b *blame) busy(waiting, active int64) {
	b.vusBusy++
	b.vusDetail = fmt.Sprintf("%d of %d VUs were waiting on the target", waiting, active)
}

func (b *blame) transportError(s *session, err error) {
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		b.note(s, "files", "no file descriptors left: "+err.Error()+"; raise the limit (ulimit -n) or lower max_vus")
	}
}

// second takes in the load of about one second.
func (b *blame) second(s *session, l load) {
	b.seconds++
	b.worstDelay = max(b.worstDelay, l.late)
	if l.late >= lateBy {
		b.lateTicks++
	}
	if float64(l.used) < fullCPU*float64(l.elapsed)*float64(runtime.GOMAXPROCS(0)) {
		b.saturated = 0
		return
	}
	if b.saturated++; b.saturated == fullCPUInRow {
		b.note(s, "cpu", fmt.Sprintf("k6 used all of its %d cores for %d s; latencies include its own delays: lower the rate or give it more cores", runtime.GOMAXPROCS(0), fullCPUInRow))
	}
}

// finish writes the evidence that only shows in the end.
func (b *blame) finish(s *session) {
	if b.iterations > 0 && b.broken == b.iterations {
		b.note(s, "script", "the script broke: every iteration ended in an exception: "+b.message)
	}
	if b.exceptions > 0 {
		s.event(measure.Event{Kind: measure.EventException, Name: "iteration", Attrs: map[string]string{
			"count": fmt.Sprint(b.exceptions), "message": b.message,
		}})
	}
	if b.vusBusy > 0 {
		b.note(s, "vus", fmt.Sprintf("%d arrivals found no free VU while only %s: the script itself (sleep, CPU) held them; raise max_vus or make the script lighter", b.vusBusy, b.vusDetail))
	}
	if b.lateTicks >= lateSeconds && float64(b.lateTicks) >= lateShare*float64(b.seconds) {
		b.note(s, "lag", fmt.Sprintf("k6 was woken late in %d of %d s, by up to %s: this machine had no CPU to spare", b.lateTicks, b.seconds, b.worstDelay.Round(time.Millisecond)))
	}
}
