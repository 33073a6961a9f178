package shadow

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Bounds of what one replay measures.
const (
	replaySeries = 2000 // routes times statuses times arms
	replayKinds  = 50   // of failures of which examples are kept

	// Where tenants are told apart: how many are, and how many series there may be then.
	replayTenants      = 50
	replayTenantSeries = 20_000
	otherTenants       = "(other)"
)

// replayRecord collects what a replay measures until it is handed on. It is safe
// for concurrent use.
type replayRecord struct {
	source, phase, test string
	arms                []string

	mu         sync.Mutex
	aggregator *measure.Aggregator
	seq        uint64
	batch      measure.Batch
	kinds      map[string]int
	overflowed bool
	all        *measure.Sketch // of lag, in milliseconds
	watch      lagSpan
	blamed     map[string]bool
	carriedAll map[string]uint64 // values put into requests to the candidate, by where they came from
	tenants    map[string]bool   // that are told apart; nil where none are
	crowded    bool              // there were more
}

func newReplayRecord(s plan.Stream) *replayRecord {
	source := "shadow/" + s.Phase + "/" + s.Test.Name
	r := &replayRecord{
		source: source, phase: s.Phase, test: s.Test.Name, arms: []string{measure.Candidate},
		aggregator: measure.NewAggregator(source, replaySeries), kinds: map[string]int{}, all: measure.NewSketch(), blamed: map[string]bool{}, carriedAll: map[string]uint64{},
	}
	if s.ByTenant {
		r.tenants = map[string]bool{}
		r.aggregator = measure.NewAggregator(source, replayTenantSeries)
	}
	if s.Beside != nil {
		r.arms = append(r.arms, measure.Baseline)
	}
	return r
}

// begin says that the test sends from now on.
func (r *replayRecord) begin(at time.Time, test plan.Shadow) {
	for _, arm := range r.arms {
		r.eventOf(arm, at, measure.EventTest, "", map[string]string{
			"kind": plan.KindShadow, "warmup": time.Duration(test.Warmup).String(), "engine": "replay",
		})
	}
}

// end says that it sends no more.
func (r *replayRecord) end(at time.Time, reason string) {
	r.mu.Lock()
	evidence := r.watch.finish()
	r.mu.Unlock()
	r.blame("lag", evidence)
	for _, arm := range r.arms {
		r.eventOf(arm, at, measure.EventTestEnd, "", map[string]string{"complete": strconv.FormatBool(reason == ""), "reason": reason})
	}
}

// tenantOf is under which name a tenant is measured: its own while there is room.
func (r *replayRecord) tenantOf(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tenant(name)
}

// tenant is tenantOf when the record is locked.
func (r *replayRecord) tenant(name string) string {
	switch {
	case r.tenants == nil || name == "":
		return ""
	case r.tenants[name]:
		return name
	case len(r.tenants) >= replayTenants:
		r.crowded = true
		return otherTenants
	}
	r.tenants[name] = true
	return name
}

// tellTenants warns of tenants that were not told apart.
func (r *replayRecord) tellTenants() {
	r.mu.Lock()
	crowded := r.crowded
	r.mu.Unlock()
	if crowded {
		r.warn("at most %d tenants are told apart; what others asked is that of the tenant %s: name those that matter under tenants:", replayTenants, otherTenants)
	}
}

// add counts something; value is in milliseconds.
func (r *replayRecord) add(metric, arm, step, status, tenant string, at time.Time, value float64, fate measure.Fate) {
	series := measure.Series{Metric: metric, Phase: r.phase, Test: r.test, Arm: arm, Step: step, Status: status}
	r.mu.Lock()
	defer r.mu.Unlock()
	series.Tenant = r.tenant(tenant)
	r.aggregator.Ref(series).Add(at.UnixNano(), value, fate)
}

// compared counts pairs of answers of one second and route.
func (r *replayRecord) compared(route, tenant string, second int64, n uint64, v comparedVerdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count := func(metric string, failed bool) {
		fate := measure.OK
		if failed {
			fate = measure.Failed
		}
		ref := r.aggregator.Ref(measure.Series{Metric: metric, Phase: r.phase, Test: r.test, Arm: measure.Candidate, Step: route, Tenant: tenant})
		for range n {
			ref.Count(second, fate)
		}
	}
	count(measure.MetricComparison, v.mismatched)
	count(measure.MetricStatusChange, v.status)
	if v.undecided {
		count(measure.MetricUndecided, false)
	}
	if v.undecidedStatus {
		count(measure.MetricUndecidedStatus, false)
	}
}

func (r *replayRecord) event(at time.Time, kind, name string, attrs map[string]string) {
	r.eventOf(measure.Candidate, at, kind, name, attrs)
}

func (r *replayRecord) eventOf(arm string, at time.Time, kind, name string, attrs map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seq++
	r.batch.Events = append(r.batch.Events, measure.Event{
		Source: r.source, Seq: r.seq, At: at.UnixNano(), Kind: kind, Phase: r.phase, Test: r.test, Arm: arm, Name: name, Attrs: attrs,
	})
}

// warn records what a reader of the verdict should know.
func (r *replayRecord) warn(format string, args ...any) {
	r.event(time.Now(), measure.EventWarning, "shadow", map[string]string{"detail": fmt.Sprintf(format, args...)})
}

// blame records evidence against the generator, "" being none.
func (r *replayRecord) blame(what, detail string) {
	if detail == "" {
		return
	}
	r.mu.Lock()
	again := what == "files" && r.blamed[what]
	r.blamed[what] = true
	r.mu.Unlock()
	if !again {
		r.event(time.Now(), measure.EventGenerator, what, map[string]string{"detail": detail})
	}
}

// example keeps a failure if it is among the first of its kind and arm. The
// request is made only then.
func (r *replayRecord) example(e measure.Example, request func() string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := e.Arm + " " + e.Kind
	seen, known := r.kinds[key]
	if seen >= measure.MaxExamples || !known && len(r.kinds) >= replayKinds {
		return
	}
	r.kinds[key]++
	e.Phase, e.Test = r.phase, r.test
	e.Request, e.Message = request(), cutText(e.Message, measure.MaxMessage)
	r.batch.Examples = append(r.batch.Examples, e)
}

// carried counts the values that were put into a request of an arm, "" being none.
func (r *replayRecord) carried(arm string, j *job, n carriedCounts) {
	if arm == "" || n == (carriedCounts{}) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, from := range carriedFrom {
		series := measure.Series{Metric: measure.MetricCarried, Phase: r.phase, Test: r.test, Arm: arm, Step: j.Route, Status: from.status}
		for range from.of(n) {
			r.aggregator.Ref(series).Count(j.due.UnixNano(), measure.OK)
		}
		if arm == measure.Candidate {
			r.carriedAll[from.status] += uint64(from.of(n))
		}
	}
}

// carriedFrom are the places where values come from.
var carriedFrom = []struct {
	status string
	of     func(carriedCounts) int
}{
	{measure.CarriedFound, func(n carriedCounts) int { return n.found }},
	{measure.CarriedByRule, func(n carriedCounts) int { return n.ruled }},
	{measure.CarriedCookie, func(n carriedCounts) int { return n.cookies }},
}

// carriedText tells how many values were put into requests to the candidate.
func (r *replayRecord) carriedText() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := map[string]string{}
	for _, from := range carriedFrom {
		text["carried "+from.status] = strconv.FormatUint(r.carriedAll[from.status], 10)
	}
	return text
}

// late counts by how much a request that was due at a time was sent after it could
// have been.
func (r *replayRecord) late(due time.Time, lag time.Duration) {
	ms := milliseconds(max(lag, 0))
	r.mu.Lock()
	r.all.Add(ms)
	r.aggregator.Ref(measure.Series{Metric: measure.MetricSendLag, Phase: r.phase, Test: r.test, Arm: measure.Candidate}).Add(due.UnixNano(), ms, measure.OK)
	evidence := r.watch.see(time.Now(), lag)
	r.mu.Unlock()
	r.blame("lag", evidence)
}

// lag is by how much requests were sent late, in milliseconds.
func (r *replayRecord) lag() *measure.Sketch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.Clone()
}

// flush gives what came together since the last time.
func (r *replayRecord) flush() measure.Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aggregator.Overflowed() > 0 && !r.overflowed {
		r.overflowed = true
		r.seq++
		r.batch.Events = append(r.batch.Events, measure.Event{
			Source: r.source, Seq: r.seq, At: time.Now().UnixNano(), Kind: measure.EventOverflow, Phase: r.phase, Test: r.test,
			Arm: measure.Candidate, Attrs: map[string]string{"limit": strconv.Itoa(replaySeries)},
		})
	}
	batch := r.batch
	batch.Windows = r.aggregator.Take()
	r.batch = measure.Batch{}
	return batch
}

// cutText cuts a text to so many bytes, between characters.
func cutText(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const more = "..."
	return strings.ToValidUTF8(text[:most-len(more)], "") + more
}

// What counts as evidence that this machine sent late: as in package traffic.
const (
	lagMost  = 50 * time.Millisecond
	lagPart  = 0.01
	lagFew   = 3
	lagEvery = 10 * time.Second
)

// lagSpan looks for requests that were sent late although a worker was free.
type lagSpan struct {
	ends    time.Time
	n, late int
	worst   time.Duration
}

// see counts a request. When that begins another span, it gives the evidence of
// the one before, if any.
func (w *lagSpan) see(now time.Time, lag time.Duration) (evidence string) {
	if w.ends.IsZero() || !now.Before(w.ends) {
		evidence = w.finish()
		w.ends = now.Add(lagEvery)
	}
	w.n++
	if lag > lagMost {
		w.late++
		w.worst = max(w.worst, lag)
	}
	return evidence
}

// finish judges what was counted and begins anew.
func (w *lagSpan) finish() (evidence string) {
	if w.late >= lagFew && float64(w.late) > lagPart*float64(w.n) {
		evidence = fmt.Sprintf("%d of %d exchanges in %s were sent more than %s late although workers were free; the worst was %s late",
			w.late, w.n, lagEvery, lagMost, w.worst.Round(time.Millisecond))
	}
	*w = lagSpan{ends: w.ends}
	return evidence
}
