package xk6resilience

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.k6.io/k6/v2/js/modules"
	"go.k6.io/k6/v2/lib"

	"resilience/internal/measure"
)

// vu is what the extension keeps for one virtual user: what is open now.
type vu struct {
	modules.VU
	session *session
	metrics *bareMetrics
	random  *rand.PCG

	mu        sync.Mutex
	iteration *iteration
	open      []*operation // transactions and steps, innermost last
	flights   []*flight
	failures  uint64 // requests that were not accepted, so far
}

// iteration is one call of a script's function.
type iteration struct {
	start        time.Time
	number       uint64
	transactions int
	accepted     *operation // the last transaction that ended well
	requests     int
	failures     uint64 // of the VU when it began
	closed       bool   // its executor waits for it before it asks for the next
}

// operation is a transaction or one of its steps.
type operation struct {
	series   measure.Series
	start    time.Time
	failures uint64 // of the VU when it began
	accepted *bool  // what the script said, if it did
}

// beginIteration prepares the VU and notes the start. What an earlier
// iteration left open was cut off.
func (v *vu) beginIteration() *iteration {
	v.abandon(time.Now())
	v.install()
	state := v.State()
	it := &iteration{start: time.Now(), number: state.GetScenarioGlobalVUIter()}
	if sc := lib.GetScenarioState(v.Context()); sc != nil {
		it.closed = !strings.HasSuffix(sc.Executor, "arrival-rate")
		v.session.begin(sc.StartTime)
	}
	v.random.Seed(uint64(v.session.settings.Load().Stream.Seed), it.number) //nolint:gosec // any bits do
	v.mu.Lock()
	it.failures = v.failures
	v.iteration = it
	v.mu.Unlock()
	v.session.active.Add(1)
	return it
}

// endIteration counts an iteration that ran to its end; message is what it
// threw, if it did.
func (v *vu) endIteration(it *iteration, message string) {
	v.mu.Lock()
	if v.iteration != it {
		v.mu.Unlock()
		return
	}
	v.iteration = nil
	failed := v.failures - it.failures
	v.mu.Unlock()
	v.session.active.Add(-1)
	v.session.iterated(it, failed > 0, message)
}

// iterated counts an iteration and, where an exception is the only sign that
// something went wrong, the failure of the attempt it was part of.
func (s *session) iterated(it *iteration, requestFailed bool, message string) {
	end, fate := time.Now(), measure.OK
	if message != "" {
		fate = measure.Failed
	}
	s.add(measure.Series{Metric: measure.MetricIteration}, it.start, end, fate)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blame.iteration(message, requestFailed)
	if message == "" {
		if !requestFailed {
			s.pace.add(end.Sub(it.start))
		}
		return
	}
	s.example(measure.Example{At: it.start.UnixNano(), Kind: "exception", Message: message})
	if it.accepted != nil {
		s.agg.Ref(s.series(it.accepted.series)).Correct(it.accepted.start.UnixNano(), 1)
		return
	}
	if it.transactions > 0 || requestFailed {
		return // counted there
	}
	ref := s.agg.Ref(s.series(measure.Series{Metric: measure.MetricRequest, Status: "exception"}))
	if it.requests == 0 {
		ref.Count(it.start.UnixNano(), measure.Failed)
		return
	}
	ref.Correct(it.start.UnixNano(), 1)
}

// abandon reports everything this VU has open as unfinished.
func (v *vu) abandon(now time.Time) {
	v.mu.Lock()
	it, open, flights := v.iteration, v.open, v.flights
	v.iteration, v.open, v.flights = nil, nil, nil
	v.mu.Unlock()
	if len(flights) > 0 {
		v.session.waiting.Add(-1)
	}
	for _, f := range flights {
		v.session.unanswered(f, now)
	}
	for _, op := range open {
		v.session.add(op.series, op.start, now, measure.Unfinished)
	}
	if it != nil {
		v.session.active.Add(-1)
		v.session.add(measure.Series{Metric: measure.MetricIteration}, it.start, now, measure.Unfinished)
	}
}

// install puts our transport and dialer into the VU's state, once.
func (v *vu) install() {
	state := v.State()
	if _, done := state.Transport.(*transport); done {
		return
	}
	state.Transport = &transport{next: state.Transport, vu: v}
	state.Dialer = &dialer{DialContexter: state.Dialer, vu: v}
}

// depart notes that a request is under way.
func (v *vu) depart(req *http.Request) *flight {
	f := &flight{
		start: time.Now(), route: route(req.Method, req.URL), request: req.Method + " " + redacted(req.URL),
		trace: traceID(req.Header),
	}
	v.mu.Lock()
	if v.iteration != nil {
		f.closed = v.iteration.closed
		v.iteration.requests++
	}
	if n := len(v.open); n > 0 {
		f.transaction = v.open[0].series.Transaction
	}
	v.flights = append(v.flights, f)
	first := len(v.flights) == 1
	v.mu.Unlock()
	if first {
		v.session.waiting.Add(1)
	}
	return f
}

// arrive notes that a request has its answer, or will not get one.
func (v *vu) arrive(f *flight, accepted, answered bool) {
	now := time.Now()
	v.mu.Lock()
	i := slices.Index(v.flights, f)
	if i < 0 { // abandoned before
		v.mu.Unlock()
		return
	}
	v.flights = slices.Delete(v.flights, i, i+1)
	last := len(v.flights) == 0
	if !accepted {
		v.failures++
	}
	v.mu.Unlock()
	if last {
		v.session.waiting.Add(-1)
	}
	switch {
	case interrupted(v.Context()):
		v.session.unanswered(f, now)
	case !answered:
		v.session.mu.Lock()
		v.session.missing(f, now)
		v.session.mu.Unlock()
	}
}

func interrupted(ctx context.Context) bool { return ctx != nil && ctx.Err() != nil }
