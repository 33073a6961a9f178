package xk6resilience

import (
	"time"

	"resilience/internal/measure"
)

// span is a stretch of a script: an iteration, a transaction in it, or a step
// of that. It is counted when it has ended and all of its requests have been
// measured: only k6's trails know which statuses a script expects. The lock of
// its VU guards it until then.
type span struct {
	vu     *vu
	parent *span
	series *measure.Series
	start  time.Time
	end    time.Time
	run    int64 // k6's number of the VU's iteration

	open     int // requests that have not been measured
	requests int
	failures int // requests that were not accepted
	ended    bool
	counted  bool // or given up

	tries   int // that the script allows; 0 where it does not say
	try     int // the number of this one, from 0
	refused int // requests of this try that were not accepted, as far as their status tells

	probe *probing // that asked for it; nil for none
	inner *bool    // of a probe: what the transactions in it said of their outcomes
	broke string   // of a probe: what the function of its transaction threw, though the one around it did not

	threw     bool
	message   string // what it threw
	accepted  *bool  // what the script said, if it did
	completed *bool  // the same

	// Of an iteration only.
	loops        bool // the VU begins the next when this one has ended
	transactions int
	order        int   // of a transaction in its iteration
	lastOrder    int   // of the last transaction that was counted
	last         *span // that transaction, if it went well
	lastRef      *measure.Ref
	lastStart    int64 // of the last request that went well
}

// complete reports, once, that a span can be counted.
func (s *span) complete() bool {
	if !s.ended || s.counted || s.open > 0 {
		return false
	}
	s.counted = true
	return true
}

// root is the iteration, or the outermost transaction where k6 runs the script
// itself.
func (s *span) root() *span {
	for s.parent != nil {
		s = s.parent
	}
	return s
}

// fate of a span that ran to its end.
func (s *span) fate() measure.Fate {
	failed := s.threw || s.failures > 0
	if s.accepted != nil && !s.threw {
		failed = !*s.accepted
	}
	if failed {
		return measure.Failed
	}
	return measure.OK
}

// outcome is what was said of it; nil when nobody looked.
func (s *span) outcome() *bool {
	if s.completed != nil {
		return s.completed
	}
	return s.inner
}

// looked hands on what a transaction within a probe said of its outcome: a probe
// is wrong when anything in it is.
func (s *span) looked() {
	if s.completed == nil || s.series.Metric != measure.MetricTransaction {
		return
	}
	for x := s.parent; x != nil; x = x.parent {
		if x.probe != nil && (x.inner == nil || *x.inner) {
			x.inner = s.completed
		}
	}
}

// open begins a transaction, or a step in one.
func (v *vu) openSpan(parent *span, series measure.Series) *span {
	state := v.State()
	series = labelled(series, state.Tags.GetCurrentValues().Tags)
	v.mu.Lock()
	defer v.mu.Unlock()
	if parent == nil {
		parent = v.innermost()
	}
	s := &span{vu: v, parent: parent, series: &series, start: time.Now(), run: state.Iteration}
	if root := s.root(); root != s && series.Metric == measure.MetricTransaction {
		root.transactions++
		s.order = root.transactions
	}
	v.open = append(v.open, s)
	return s
}

// closeSpan ends a span that ran to its end, unless it was given up before.
func (v *vu) closeSpan(s *span, threw bool, message string) {
	v.mu.Lock()
	if s.ended || s.counted {
		v.mu.Unlock()
		return
	}
	if !threw && s.broke != "" {
		threw, message = true, s.broke
	}
	s.ended, s.end, s.threw, s.message = true, time.Now(), threw, message
	s.looked()
	v.forget(s)
	bare := !v.session.attached.Load()
	complete := s.complete() || bare
	v.mu.Unlock()
	switch {
	case bare:
		v.metrics.emit(v, s)
	case complete:
		v.session.count(s)
	}
}

// closeAll counts spans that are complete. The caller holds the lock.
func (s *session) closeAll(spans []*span) {
	for _, x := range spans {
		s.close(x)
	}
}

// count counts one span that is complete.
func (s *session) count(x *span) {
	if !s.attached.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.close(x)
	}
}

func (s *session) close(x *span) {
	if x.series.Metric == measure.MetricIteration {
		s.iterated(x)
		return
	}
	s.tally(*x.series, x.start, x.end, x.fate())
	if x.series.Metric == measure.MetricTransaction {
		s.transacted(x)
	}
}

// transacted counts the outcome of a transaction, if the script looked, and
// remembers the last that went well, in case an exception follows.
func (s *session) transacted(x *span) {
	if root := x.root(); root != x && x.order > root.lastOrder {
		root.lastOrder, root.last = x.order, nil
		if x.fate() == measure.OK {
			root.last = x
		}
	}
	completed := x.outcome()
	if good := completed == nil && x.fate() == measure.OK || completed != nil && *completed; good && x.tries > 0 {
		s.retried(x)
	}
	if x.probe != nil {
		s.probed(x)
	}
	if completed == nil {
		return
	}
	outcome, fate := *x.series, measure.OK
	outcome.Metric = measure.MetricOutcome
	if !*completed {
		fate = measure.Failed
		s.example(measure.Example{At: x.start.UnixNano(), Kind: "not completed: " + x.series.Transaction})
	}
	s.agg.Ref(s.around.Load().series(outcome)).Count(x.start.UnixNano(), fate)
}

// retried counts a transaction that came to good, at once or not: it was completed
// or, where the script does not look, accepted.
func (s *session) retried(x *span) {
	series, fate := *x.series, measure.OK
	series.Metric = measure.MetricRetried
	if x.try > 0 {
		fate = measure.Failed
	}
	s.agg.Ref(s.around.Load().series(series)).Count(x.start.UnixNano(), fate)
}

// iterated counts an iteration and, where an exception is the only sign that
// something went wrong, the failure of the attempt it was part of.
func (s *session) iterated(it *span) {
	fate := measure.OK
	if it.threw {
		fate = measure.Failed
	}
	s.iterationRef().Add(it.start.UnixNano(), milliseconds(it.end.Sub(it.start)), fate)
	if !it.threw {
		s.blame.iterations++
		if it.failures == 0 {
			s.pace.add(it.end.Sub(it.start))
		}
		return
	}
	message := s.around.Load().said(it.message)
	s.blame.exception(message, it.failures > 0)
	s.example(measure.Example{At: it.start.UnixNano(), Kind: "exception", Message: message})
	around := s.around.Load()
	switch {
	case it.last != nil:
		s.agg.Ref(around.series(*it.last.series)).Correct(it.last.start.UnixNano(), 1)
	case it.transactions > 0 || it.failures > 0: // counted there
	case it.lastRef != nil:
		it.lastRef.Correct(it.lastStart, 1)
	default:
		s.agg.Ref(around.series(measure.Series{Metric: measure.MetricRequest, Status: "exception"})).Count(it.start.UnixNano(), measure.Failed)
	}
}
