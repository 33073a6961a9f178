package xk6resilience

import (
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"resilience/internal/disrupt"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// maxSeries bounds the series of one k6 process; what is beyond goes into the
// overflow series.
const maxSeries = 5000

// session is what the JavaScript module and the output of one k6 process
// share. Its lock guards the aggregator, which VUs and the output add to.
type session struct {
	around   atomic.Pointer[surroundings] // never nil
	attached atomic.Bool                  // an output takes what is measured
	waiting  atomic.Int64                 // VUs with a request under way
	active   atomic.Int64                 // VUs with an iteration under way
	began    atomic.Bool
	grown    atomic.Pointer[grown] // of a canary; nil for others

	mu         sync.Mutex
	over       bool // all has been counted; what comes later is not
	agg        *measure.Aggregator
	iterations *measure.Ref // made by iterationRef
	vus        []*vu
	until      time.Time // when the test stops sending, if the plan says
	events     []measure.Event
	seq        uint64
	examples   examples
	samples    *sampler
	pace       pace
	blame      blame
	starvation starvation
	feed       feed
	resent     uint64 // requests that net/http sent again

	driver   driver                          // how faults on a cluster are made
	pods     podFinder                       // how the pods that they would act on are found
	desk     *desk                           // of a canary
	numbers  map[string]int                  // of disruptions that the script gave no name
	promised map[string]bool                 // disruptions that the plan says the script injects, and it did not yet
	controls map[control]*disrupt.Controller // of proxies
}

func newSession() *session {
	s := &session{desk: newDesk(), driver: onCluster, pods: disrupt.Pods, numbers: map[string]int{}, controls: map[control]*disrupt.Controller{}}
	s.around.Store(newSurroundings(plan.Settings{Source: "k6"}))
	s.reset()
	return s
}

func (s *session) reset() {
	s.agg = measure.NewAggregator(s.around.Load().source, maxSeries)
	s.iterations = nil
	s.samples = newSampler(s)
	s.examples = newExamples()
	s.blame, s.starvation = newBlame(), starvation{}
	s.promised = map[string]bool{}
	if around := s.around.Load(); around.names.Arm != measure.Baseline { // which injects nothing
		for _, name := range around.profile.Injects {
			s.promised[name] = true
		}
	}
}

// apply takes over settings from the harness. Those that come while the test
// runs bring refreshed credentials.
func (s *session) apply(settings plan.Settings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.around.Load().names.Test == ""
	s.around.Store(newSurroundings(settings))
	if first {
		s.reset()
	}
}

// keep runs do, which counts something, under the lock, unless nobody takes
// what is counted, or not any more.
func (s *session) keep(do func()) {
	if !s.attached.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		do()
	}
}

// tally counts one attempt, step or iteration that took from start to end. The
// caller holds the lock.
func (s *session) tally(series measure.Series, start, end time.Time, fate measure.Fate) {
	s.agg.Ref(s.around.Load().series(series)).Add(start.UnixNano(), milliseconds(end.Sub(start)), fate)
}

// iterationRef is looked up once: each iteration needs it. The caller holds the
// lock.
func (s *session) iterationRef() *measure.Ref {
	if s.iterations == nil {
		s.iterations = s.agg.Ref(s.around.Load().series(iterationSeries))
	}
	return s.iterations
}

// event notes something. The caller holds the lock.
func (s *session) event(e measure.Event) {
	around := s.around.Load()
	s.seq++
	e.Source, e.Seq = around.source, s.seq
	e.Phase, e.Test, e.Arm = around.names.Phase, around.names.Test, around.names.Arm
	if e.At == 0 {
		e.At = time.Now().UnixNano()
	}
	s.events = append(s.events, e)
}

// note notes something that concerns the whole process, whether anything is
// counted or not.
func (s *session) note(e measure.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.event(e)
}

// second looks for evidence against the generator in the load of a second.
func (s *session) second(l load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blame.second(s, l)
}

// begin notes when the test began to send: the start of its first scenario,
// not of the process.
func (s *session) begin(scenarioStart time.Time) {
	if s.began.Load() || !s.began.CompareAndSwap(false, true) {
		return
	}
	s.keep(func() {
		around := s.around.Load()
		if around.profile.Closed() {
			s.until = scenarioStart.Add(around.profile.Length())
		}
		s.event(measure.Event{
			At: scenarioStart.UnixNano(), Kind: measure.EventTest,
			Attrs: map[string]string{"kind": around.kind, "warmup": time.Duration(around.profile.Warmup).String(), "engine": "k6"},
		})
	})
}

// missing counts the iterations that a VU of a closed model would have begun at
// its usual pace while it waited in vain. Without them ten hung VUs would look
// like ten failures in any amount of time (coordinated omission).
func (s *session) missing(from, to time.Time) {
	s.keep(func() {
		each := s.pace.mean()
		if each <= 0 {
			return
		}
		if !s.until.IsZero() && to.After(s.until) {
			to = s.until
		}
		ref := s.iterationRef()
		n := min(int(to.Sub(from)/each), maxMissing)
		for i := 1; i <= n; i++ {
			ref.Count(from.Add(time.Duration(i)*each).UnixNano(), measure.Dropped)
		}
	})
}

// maxMissing bounds the work for one hung request: an hour at ten iterations a
// second.
const maxMissing = 36_000

// pace is how long an iteration takes that was answered.
type pace struct {
	total time.Duration
	count int64
}

func (p *pace) add(d time.Duration) { p.total += d; p.count++ }

func (p *pace) mean() time.Duration {
	if p.count == 0 {
		return 0
	}
	return p.total / time.Duration(p.count)
}

// take returns all that was measured since the last time.
func (s *session) take() measure.Batch { return s.takeBefore(math.MaxInt64) }

// takeOver returns what was measured in seconds that are over, so that most
// come in one part.
func (s *session) takeOver() measure.Batch {
	return s.takeBefore(time.Now().Add(-settling).Truncate(time.Second).UnixNano())
}

// settling is how long samples may take from their moment to us.
const settling = 200 * time.Millisecond

func (s *session) takeBefore(start int64) measure.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := measure.Batch{Windows: s.agg.TakeBefore(start), Events: s.events, Examples: s.examples.take()}
	s.events = nil
	return batch
}

// putBack keeps what must not get lost of a batch that could not be handed
// over: events and examples are few.
func (s *session) putBack(batch measure.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(batch.Events, s.events...)
	s.examples.pending = append(batch.Examples, s.examples.pending...)
}

// finish accounts for everything that is still open when a test ends. What
// arrives later is not counted again.
func (s *session) finish(now time.Time) {
	s.mu.Lock()
	if !s.over {
		s.samples.release()
	}
	open := append([]*vu(nil), s.vus...)
	s.mu.Unlock()
	for _, v := range open {
		v.abandon(now, true)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.over = true
	s.release()
	s.blame.finish(s)
	s.starvation.finish(s)
	s.unkept()
	if s.resent > 0 {
		s.event(measure.Event{Kind: measure.EventWarning, Name: "resent", Attrs: map[string]string{"detail": measure.Resent(s.resent)}})
	}
	if n := s.agg.Overflowed(); n > 0 {
		s.event(measure.Event{Kind: measure.EventOverflow, Name: "series", Attrs: map[string]string{
			"limit": strconv.Itoa(maxSeries), "samples": strconv.FormatUint(n, 10),
		}})
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
