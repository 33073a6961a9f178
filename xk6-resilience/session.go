package xk6resilience

import (
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// maxSeries bounds the series of one k6 process; what is beyond goes into the
// overflow series.
const maxSeries = 5000

// session is what the JavaScript module and the output of one k6 process
// share. Its lock guards the aggregator, which VUs and the output add to.
type session struct {
	settings atomic.Pointer[plan.Settings] // never nil
	attached atomic.Bool                   // an output takes what is measured
	waiting  atomic.Int64                  // VUs with a request under way
	active   atomic.Int64                  // VUs with an iteration under way

	mu       sync.Mutex
	agg      *measure.Aggregator
	vus      []*vu
	began    bool
	events   []measure.Event
	seq      uint64
	examples examples
	samples  *sampler
	requests reconciliation
	pace     pace
	blame    blame
	feed     feed
}

// reconciliation makes sure that every request that was started is accounted
// for: k6 throws away samples that end while a test is being stopped.
type reconciliation struct{ started, measured, unfinished uint64 }

func newSession() *session {
	s := &session{}
	s.settings.Store(&plan.Settings{Source: "k6"})
	s.reset()
	return s
}

func (s *session) reset() {
	s.agg = measure.NewAggregator(s.settings.Load().Source, maxSeries)
	s.samples = newSampler(s)
	s.examples = newExamples()
	s.blame = newBlame()
}

// apply takes over settings from the harness. Those that come while the test
// runs bring refreshed credentials.
func (s *session) apply(settings plan.Settings) {
	first := s.settings.Load().Stream.Test.Name == ""
	s.settings.Store(&settings)
	if first {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reset()
	}
}

// series gives a series of this process's test the names of its surroundings.
func (s *session) series(series measure.Series) measure.Series {
	st := &s.settings.Load().Stream
	series.Phase, series.Test, series.Arm = st.Phase, st.Test.Name, st.Arm
	return series
}

func (s *session) event(e measure.Event) {
	settings := s.settings.Load()
	s.seq++
	e.Source, e.Seq = settings.Source, s.seq
	e.Phase, e.Test, e.Arm = settings.Stream.Phase, settings.Stream.Test.Name, settings.Stream.Arm
	if e.At == 0 {
		e.At = time.Now().UnixNano()
	}
	s.events = append(s.events, e)
}

// begin notes when the test began to send: the start of its first scenario,
// not of the process.
func (s *session) begin(scenarioStart time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began {
		return
	}
	s.began = true
	kind, profile := s.settings.Load().Stream.Test.Kind()
	s.event(measure.Event{
		At: scenarioStart.UnixNano(), Kind: measure.EventTest,
		Attrs: map[string]string{"kind": kind, "warmup": time.Duration(profile.Warmup).String(), "engine": "k6"},
	})
}

// add counts one attempt, step or iteration that took from start to end.
func (s *session) add(series measure.Series, start, end time.Time, fate measure.Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agg.Ref(s.series(series)).Add(start.UnixNano(), milliseconds(end.Sub(start)), fate)
}

// unanswered counts a request that was still waiting for its answer when its
// VU was stopped.
func (s *session) unanswered(f *flight, end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.unfinished++
	series := s.series(measure.Series{Metric: measure.MetricRequest, Transaction: f.transaction, Step: f.route, Status: "unfinished"})
	s.agg.Ref(series).Add(f.start.UnixNano(), milliseconds(end.Sub(f.start)), measure.Unfinished)
	s.missing(f, end)
	s.example(measure.Example{At: f.start.UnixNano(), Kind: "unfinished", Request: f.request, TraceID: f.trace, Message: "no answer after " + end.Sub(f.start).Round(time.Millisecond).String()})
}

// missing counts the arrivals that a VU of a closed model would have made at
// its usual pace while one request kept it waiting in vain. Without them ten
// hung VUs would look like ten failures in any amount of time (coordinated
// omission).
func (s *session) missing(f *flight, end time.Time) {
	if !f.closed {
		return
	}
	each := s.pace.mean()
	if each <= 0 {
		return
	}
	ref := s.agg.Ref(s.series(measure.Series{Metric: measure.MetricIteration}))
	n := int(math.Min(float64(end.Sub(f.start)/each), maxMissing))
	for i := 1; i <= n; i++ {
		ref.Count(f.start.Add(time.Duration(i)*each).UnixNano(), measure.Dropped)
	}
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
func (s *session) take() measure.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := measure.Batch{Windows: s.agg.Take(), Events: s.events, Examples: s.examples.take()}
	s.events = nil
	return batch
}

// finish accounts for everything that is still open when a test ends.
func (s *session) finish(now time.Time) {
	s.mu.Lock()
	open := append([]*vu(nil), s.vus...)
	s.mu.Unlock()
	for _, v := range open {
		v.abandon(now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reconcile(now)
	s.blame.finish(s)
	if n := s.agg.Overflowed(); n > 0 {
		s.event(measure.Event{Kind: measure.EventOverflow, Name: "series", Attrs: map[string]string{
			"limit": strconv.Itoa(maxSeries), "samples": strconv.FormatUint(n, 10),
		}})
	}
}

// reconcile reports requests whose sample k6 threw away as it stopped.
func (s *session) reconcile(now time.Time) {
	r := s.requests
	if r.started <= r.measured+r.unfinished {
		return
	}
	ref := s.agg.Ref(s.series(measure.Series{Metric: measure.MetricRequest, Status: "unfinished"}))
	for range r.started - r.measured - r.unfinished {
		ref.Add(now.UnixNano(), 0, measure.Unfinished)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
