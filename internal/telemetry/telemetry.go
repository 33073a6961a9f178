package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// source names this package in what it measures.
const source = "telemetry"

// mostAtATime is how many questions a source gets at the same time.
const mostAtATime = 4

// Telemetry asks the monitoring of one phase.
type Telemetry struct {
	observation plan.Observation
	askers      map[string]asker
	slots       map[string]chan struct{} // of each source
	closers     []func()
}

// New makes what asks for a phase. The error says which source can not be used.
func New(o plan.Observation) (*Telemetry, error) {
	t := &Telemetry{observation: o, askers: map[string]asker{}, slots: map[string]chan struct{}{}}
	for name, s := range o.Sources {
		a, err := newAsker(s, o.Dir)
		if err != nil {
			return nil, fmt.Errorf("telemetry %s: %w", name, err)
		}
		t.askers[name], t.slots[name] = a, make(chan struct{}, mostAtATime)
		if c, ok := a.(interface{ close() }); ok {
			t.closers = append(t.closers, c.close)
		}
	}
	return t, nil
}

// Run asks until over is closed, and then for the last seconds before that, and
// hands on what it learns; emit may be called from several goroutines. It takes
// some seconds to return after over, and returns at once when the context ends.
// Only an error of emit is an error: what a source does not answer is told in
// warnings, and missed by gates.
func (t *Telemetry) Run(ctx context.Context, over <-chan struct{}, emit func(measure.Batch) error) error {
	defer func() {
		for _, done := range t.closers {
			done()
		}
	}()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out := &outlet{phase: t.observation.Phase, emit: emit, stop: stop, said: map[string]int{}}
	var all sync.WaitGroup
	for _, f := range t.followers(out) {
		all.Go(func() { f.run(ctx, over) })
	}
	for name, o := range t.observation.Objectives {
		all.Go(func() { t.count(ctx, over, name, o, out) })
	}
	all.Wait()
	return out.failed()
}

// followers are the questions of the phase: each query on each arm that it is
// about, and the alerts.
func (t *Telemetry) followers(out *outlet) []*follower {
	var all []*follower
	for name, q := range t.observation.Queries {
		arms := t.observation.Arms
		if !q.PerArm() {
			arms = arms[:1] // the candidate
		}
		for _, arm := range arms {
			all = append(all, t.query(name, q, arm, out))
		}
	}
	if from := t.observation.Alerts; from != "" {
		all = append(all, t.alerts(from, out))
	}
	return all
}

// query makes what follows one query on one arm.
func (t *Telemetry) query(name string, q plan.Query, arm plan.Arm, out *outlet) *follower {
	ask := t.askers[q.From]
	f := newFollower(q, ask.after())
	reader := newReader(name, q, arm, t.observation.Phase, f.step, ask.after(), out)
	f.warn = reader.warn
	f.done = func(int64, error) {
		if f.answered {
			reader.done()
		}
	}
	f.ask = func(ctx context.Context, s stretch) error {
		texts, err := q.Ask(t.observation.Phase, arm, s.from, s.to)
		if err != nil {
			return err
		}
		answers := make([][]series, len(texts))
		for i, text := range texts {
			if answers[i], err = t.put(ctx, q.From, text, s, f.stale); err != nil {
				return fmt.Errorf("%s %w", q.From, err)
			}
		}
		reader.take(answers)
		return nil
	}
	return f
}

// put asks a source once it has a place for one more question.
func (t *Telemetry) put(ctx context.Context, source, text string, s stretch, stale int64) ([]series, error) {
	select {
	case t.slots[source] <- struct{}{}:
		defer func() { <-t.slots[source] }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return t.askers[source].ask(ctx, text, s, stale)
}

// outlet hands on windows and events, numbered.
type outlet struct {
	phase string
	emit  func(measure.Batch) error
	stop  func() // ends everything once nothing can be kept any more

	mu   sync.Mutex
	seq  uint64
	part uint32
	said map[string]int // warnings, and how many for each subject
	err  error
}

// maxWarnings is how many different warnings one query may give.
const maxWarnings = 10

// warn tells once that something about a subject went wrong.
func (o *outlet) warn(about, detail string) {
	o.mu.Lock()
	text := about + ": " + detail
	known := o.said[text] > 0 || o.said[about] >= maxWarnings
	o.said[text]++
	if !known {
		o.said[about]++
	}
	o.mu.Unlock()
	if !known {
		o.event(measure.Event{Kind: measure.EventWarning, Name: source, Attrs: map[string]string{"detail": text}})
	}
}

// event hands on events with the time that they have.
func (o *outlet) event(events ...measure.Event) {
	o.hand(func() (batch measure.Batch) {
		for _, e := range events {
			o.seq++
			e.Source, e.Seq, e.Phase = source, o.seq, o.phase
			batch.Events = append(batch.Events, e)
		}
		return batch
	})
}

func (o *outlet) windows(windows []measure.Window) {
	if len(windows) == 0 {
		return
	}
	o.hand(func() measure.Batch {
		for i := range windows {
			o.part++
			windows[i].Source, windows[i].Part = source, o.part
		}
		return measure.Batch{Windows: windows}
	})
}

// hand emits one batch after the other.
func (o *outlet) hand(made func() measure.Batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	if err := o.emit(made()); err != nil {
		o.err = errors.Join(o.err, err)
		o.stop()
	}
}

func (o *outlet) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}
