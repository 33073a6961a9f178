package xk6resilience

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.k6.io/k6/v2/js/modules"
	"go.k6.io/k6/v2/lib"

	"resilience/internal/measure"
)

// vu is what the extension keeps for one virtual user: what is open now. Where
// its lock and the session's are both held, the session's was taken first.
type vu struct {
	modules.VU
	session *session
	metrics *bareMetrics
	random  *rand.PCG

	tags *grown // that its tags belong to

	lastAddress atomic.Pointer[addressOf]

	mu        sync.Mutex
	iteration *span
	open      []*span   // transactions and steps, innermost last
	flights   []*flight // requests that have not been measured
	quiet     bool      // in setup or teardown
	tenant    *tenant   // whom this iteration acts as; nil for nobody
	probe     *probing  // that it carries out; nil for none
	cut       time.Time // when k6 stopped the VU in the middle, if it did

	looks   int       // functions under way that only look at an outcome
	pending int       // requests without an answer
	stalled time.Time // since when there have been some
	unheard bool      // one of them got none
	waits   bool      // counted among the session's waiting VUs
}

// beginIteration begins the iteration whose turn it is.
func (v *vu) beginIteration() *span {
	around := v.session.around.Load()
	number := around.stream.First + v.State().GetScenarioGlobalVUIter()
	return v.iterate(around.turn(number), uint64(around.stream.Seed), number) //nolint:gosec // any bits do
}

// iterate prepares the VU and notes the start. What an earlier iteration left open
// was cut off.
func (v *vu) iterate(as *tenant, seed, number uint64) *span {
	now := time.Now()
	v.abandon(now, false)
	v.install()
	state := v.State()
	it := &span{vu: v, series: &iterationSeries, start: now, run: state.Iteration}
	if sc := lib.GetScenarioState(v.Context()); sc != nil {
		it.loops = looping[sc.Executor]
		v.session.begin(sc.StartTime)
	}
	v.random.Seed(seed, number)
	v.label(as)
	v.mu.Lock()
	v.iteration, v.quiet, v.tenant, v.probe = it, false, as, nil
	v.mu.Unlock()
	v.session.active.Add(1)
	return it
}

// iterationSeries is the series of all iterations but for the names of their
// surroundings.
var iterationSeries = measure.Series{Metric: measure.MetricIteration}

// looping are the executors whose VUs go on and on, so that one that hangs
// keeps others from being made. The rest have an arrival rate, whose drops k6
// counts, or a fixed number of iterations.
var looping = map[string]bool{"constant-vus": true, "ramping-vus": true, "externally-controlled": true}

// endIteration counts an iteration that ran to its end.
func (v *vu) endIteration(it *span, threw bool, message string) {
	v.mu.Lock()
	if v.iteration != it {
		v.mu.Unlock()
		return
	}
	if interrupted(v.Context()) { // k6 does not count it as a full one either
		v.stop(time.Now())
		v.mu.Unlock()
		return
	}
	v.iteration = nil
	it.ended, it.end, it.threw, it.message = true, time.Now(), threw, message
	complete := it.complete()
	v.mu.Unlock()
	v.session.active.Add(-1)
	if complete {
		v.session.count(it)
	}
}

// abandon reports everything this VU has open as unfinished; at the end of the
// test that includes answers whose measurement k6 threw away.
func (v *vu) abandon(now time.Time, final bool) {
	v.mu.Lock()
	if v.iteration == nil && len(v.open) == 0 && v.pending == 0 && !final {
		v.unwait()
		v.mu.Unlock()
		return
	}
	if !v.cut.IsZero() {
		now, v.cut = v.cut, time.Time{}
	}
	it, spans, flights := v.iteration, v.open, append([]*flight(nil), v.flights...)
	if it != nil {
		spans = append([]*span{it}, spans...)
	}
	for _, s := range spans {
		s.counted = true
	}
	lost, from := v.pending > 0 && v.loops(), v.stalled
	v.iteration, v.open, v.pending, v.looks = nil, nil, 0, 0
	v.unwait()
	v.mu.Unlock()
	if it != nil {
		v.session.active.Add(-1)
	}
	if lost {
		v.session.missing(from, now)
	}
	v.giveUp(flights, now, final)
	v.session.keep(func() {
		for _, s := range spans {
			if s.series.Metric == measure.MetricIteration || !v.session.starvation.spoils(s.start, now) {
				v.session.tally(*s.series, s.start, now, measure.Unfinished)
			}
		}
	})
}

// giveUp counts requests that will not be measured any more.
func (v *vu) giveUp(flights []*flight, now time.Time, final bool) {
	for _, f := range flights {
		v.mu.Lock()
		arrived := f.arrived
		f.arrived = true
		v.mu.Unlock()
		switch {
		case !arrived:
			v.unanswered(f, now)
		case final:
			v.unmeasured(f)
		}
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
	if v.session.around.Load().names.Test != "" { // not before: k6 sets its own once the script is loaded
		v.Runtime().SetRandSource(rand.New(v.random).Float64) //nolint:gosec // repeatable on purpose
	}
}

// The rest is called with the VU's lock held.

// innermost is the span that a request or transaction begins in.
func (v *vu) innermost() *span {
	if n := len(v.open); n > 0 {
		return v.open[n-1]
	}
	return v.iteration
}

// forget takes a span from the open ones.
func (v *vu) forget(s *span) {
	for i, o := range v.open {
		if o == s {
			v.open = append(v.open[:i:i], v.open[i+1:]...)
			return
		}
	}
}

// loops reports whether the VU would begin another iteration if this ended.
func (v *vu) loops() bool { return v.iteration != nil && v.iteration.loops }

// stop notes when k6 stopped the VU.
func (v *vu) stop(now time.Time) {
	if v.cut.IsZero() {
		v.cut = now
	}
}

func (v *vu) wait() {
	if !v.waits && !v.quiet {
		v.waits = true
		v.session.waiting.Add(1)
	}
}

func (v *vu) unwait() {
	if v.waits {
		v.waits = false
		v.session.waiting.Add(-1)
	}
}

func interrupted(ctx context.Context) bool { return ctx != nil && ctx.Err() != nil }
