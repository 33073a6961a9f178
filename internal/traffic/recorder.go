package traffic

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// maxSeries bounds the series of one test and arm: routes times statuses.
const maxSeries = 1000

// maxKinds bounds the kinds of failures of which examples are kept.
const maxKinds = 50

// recorder collects what a test measures until it is handed on. It is safe for
// concurrent use.
type recorder struct {
	source, phase, test, arm string

	mu         sync.Mutex
	aggregator *measure.Aggregator
	seq        uint64
	batch      measure.Batch
	kinds      map[string]int
	overflowed bool
}

func newRecorder(s plan.Stream) *recorder {
	source := sourceOf("requests", s)
	return &recorder{
		source: source, phase: s.Phase, test: s.Test.Name, arm: s.Arm,
		aggregator: measure.NewAggregator(source, maxSeries), kinds: map[string]int{},
	}
}

// add counts one attempt; value is in milliseconds, at in Unix nanoseconds.
func (r *recorder) add(metric, step, status string, at int64, value float64, fate measure.Fate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aggregator.Ref(measure.Series{
		Metric: metric, Phase: r.phase, Test: r.test, Arm: r.arm, Step: step, Status: status,
	}).Add(at, value, fate)
}

func (r *recorder) event(at time.Time, kind, name string, attrs map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.eventLocked(at, kind, name, attrs)
}

func (r *recorder) eventLocked(at time.Time, kind, name string, attrs map[string]string) {
	r.seq++
	r.batch.Events = append(r.batch.Events, measure.Event{
		Source: r.source, Seq: r.seq, At: at.UnixNano(), Kind: kind,
		Phase: r.phase, Test: r.test, Arm: r.arm, Name: name, Attrs: attrs,
	})
}

// blame records evidence against the generator, "" being none.
func (r *recorder) blame(what, detail string) {
	if detail != "" {
		r.event(time.Now(), measure.EventGenerator, what, map[string]string{"detail": detail})
	}
}

// example keeps a failure if it is among the first of its kind. The request is
// made only then.
func (r *recorder) example(e measure.Example, request func() string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, known := r.kinds[e.Kind]
	if seen >= measure.MaxExamples || (!known && len(r.kinds) >= maxKinds) {
		return
	}
	r.kinds[e.Kind]++
	e.Phase, e.Test, e.Arm = r.phase, r.test, r.arm
	e.Request, e.Message = request(), bounded(e.Message)
	r.batch.Examples = append(r.batch.Examples, e)
}

// flush gives what came together since the last time.
func (r *recorder) flush() measure.Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aggregator.Overflowed() > 0 && !r.overflowed {
		r.overflowed = true
		r.eventLocked(time.Now(), measure.EventOverflow, "", map[string]string{"limit": strconv.Itoa(maxSeries)})
	}
	batch := r.batch
	batch.Windows = r.aggregator.Take()
	r.batch = measure.Batch{}
	return batch
}

// sourceOf names the engine of a stream in what it measures. A test that goes on
// does so under another name: its windows and events are numbered anew.
func sourceOf(engine string, s plan.Stream) string {
	name := engine + "/" + s.Phase + "/" + s.Test.Name + "/" + s.Arm
	if s.First > 0 {
		name += fmt.Sprintf("/from %d", s.First)
	}
	return name
}
