package run

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// memory is a recorder that keeps everything.
type memory struct {
	mu      sync.Mutex
	events  []measure.Event
	batches []measure.Batch
	fail    error
}

func (m *memory) Append(batch measure.Batch) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, batch.Events...)
	m.batches = append(m.batches, batch)
	return m.fail
}

// told gives the events as words, in order: "disruption slow".
func (m *memory) told() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, e := range m.events {
		out = append(out, strings.TrimSpace(e.Kind+" "+e.Name))
	}
	return out
}

func (m *memory) find(t *testing.T, kind, name string) measure.Event {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.events {
		if e.Kind == kind && e.Name == name {
			return e
		}
	}
	require.Failf(t, "no such event", "%s %s among %v", kind, name, m.events)
	return measure.Event{}
}

// load is traffic that lasts its plan's length, with the windows given.
type load struct {
	stream  plan.Stream
	startup time.Duration        // until it begins to send
	failed  uint64               // of 10 requests in each second
	faulty  func(time.Time) bool // seconds in which all fail
	late    time.Duration        // how long after a second its window comes in
	err     error
	stopped *time.Time // when its context ended
}

func (l load) Run(ctx context.Context, emit func(measure.Batch) error) error {
	if wait(ctx, l.startup) != nil {
		return nil
	}
	_, p := l.stream.Test.Kind()
	begun := measure.Event{Source: "load", At: time.Now().UnixNano(), Kind: measure.EventTest, Test: l.stream.Test.Name, Arm: l.stream.Arm, Attrs: map[string]string{"warmup": time.Duration(p.Warmup).String()}}
	if err := emit(measure.Batch{Events: []measure.Event{begun}}); err != nil {
		return err
	}
	var under sync.WaitGroup // windows on their way: none comes in after Run
	defer under.Wait()
	for range int(p.Length() / time.Second) {
		begin := time.Now().Truncate(time.Second)
		if wait(ctx, time.Second) != nil {
			if l.stopped != nil {
				*l.stopped = time.Now()
			}
			return nil
		}
		failed := l.failed
		if l.faulty != nil && l.faulty(begin) {
			failed = 10
		}
		w := measure.Window{Series: measure.Series{Metric: measure.MetricRequest, Test: l.stream.Test.Name, Arm: l.stream.Arm}, Start: begin.UnixNano(), Width: int64(time.Second), Count: 10, Failed: failed}
		under.Go(func() {
			_ = wait(context.WithoutCancel(ctx), l.late)
			_ = emit(measure.Batch{Windows: []measure.Window{w}})
		})
		if l.err != nil {
			return l.err
		}
	}
	return nil
}

// fault is a disruption that remembers when it was in effect; all of a phase
// share it.
type fault struct {
	mu               sync.Mutex
	injected, lifted time.Time
	prepareErr       error
	injectErr        error
	liftErr          error
	touch            measure.Touch
}

func (f *fault) Prepare(context.Context) (measure.Reach, error) { return measure.Reach{}, f.prepareErr }

func (f *fault) Inject(context.Context, func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	if f.injectErr != nil {
		return nil, f.injectErr
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.injected = time.Now()
	return func(ctx context.Context) (measure.Touch, error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.lifted = time.Now()
		if err := ctx.Err(); err != nil {
			return measure.Touch{}, err // lifting must get a context of its own
		}
		return f.touch, f.liftErr
	}, nil
}

type proxy struct{ closed bool }

func (p *proxy) URL() string  { return "http://127.0.0.1:1" }
func (p *proxy) Port() int    { return 1 }
func (p *proxy) Close() error { p.closed = true; return nil }

// stage is a conductor with doubles for everything outside.
type stage struct {
	*Conductor
	record *memory
	fault  *fault
	proxy  *proxy
	load   load
}

func newStage(t *testing.T, phase plan.Phase) *stage {
	t.Helper()
	s := &stage{record: &memory{}, fault: &fault{}, proxy: &proxy{}}
	phase.Name, phase.Candidate = "beta", "shop"
	settle := plan.Duration(time.Second)
	for i := range phase.Disruptions {
		phase.Disruptions[i].Dependency, phase.Disruptions[i].Settle = "payments", &settle
		phase.Disruptions[i].Share, phase.Disruptions[i].Latency = 0.5, &plan.Latency{Delay: 1}
	}
	s.Conductor = &Conductor{
		Plan: plan.Plan{
			Targets:      map[string]plan.Target{"shop": {URL: "http://127.0.0.1:1"}},
			Dependencies: map[string]plan.Dependency{"payments": {Upstream: "http://127.0.0.1:2"}},
			Phases:       []plan.Phase{phase},
			Dir:          t.TempDir(),
		},
		Recorder: s.record,
		Logs:     t.TempDir(),
		Getenv:   func(string) (string, bool) { return "", false },
		Adapters: Adapters{
			Traffic: func(st plan.Stream) (Traffic, error) {
				l := s.load
				l.stream = st
				return l, nil
			},
			Dependency: func(context.Context, string, plan.Dependency, string, func(measure.Batch) error) (Dependency, error) {
				return s.proxy, nil
			},
			Disruption: func(plan.Disruption, Site) (Disruption, error) { return s.fault, nil },
		},
	}
	return s
}

func test(name string, warmup, duration time.Duration) plan.Test {
	return plan.Test{Name: name, Load: &plan.Profile{Rate: 10, Warmup: plan.Duration(warmup), Duration: plan.Duration(duration)}}
}

func disruption(name string, at, length time.Duration) plan.Disruption {
	return plan.Disruption{Name: name, At: plan.Duration(at), For: plan.Duration(length)}
}
