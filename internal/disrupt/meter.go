package disrupt

import (
	"sync"
	"time"

	"resilience/internal/measure"
)

// meter measures the requests of one proxy and hands out windows.
type meter struct {
	mu         sync.Mutex
	aggregator *measure.Aggregator
	series     measure.Series // without a status
	refs       map[int]*measure.Ref

	emit func(measure.Batch) error
	err  error // the first of emit
	stop chan struct{}
	done chan struct{}
}

// statuses is more than there can be: three digits, or a code of gRPC.
const statuses = grpcBase + 100

// newMeter begins to measure; it emits at each tick and once more when closed.
func newMeter(name, phase string, emit func(measure.Batch) error, ticks <-chan time.Time) *meter {
	m := &meter{
		aggregator: measure.NewAggregator("proxy "+name, statuses),
		series:     measure.Series{Metric: measure.MetricDependency, Phase: phase, Step: name},
		refs:       map[int]*measure.Ref{},
		emit:       emit,
		stop:       make(chan struct{}),
		done:       make(chan struct{}),
	}
	go m.run(ticks)
	return m
}

func (m *meter) run(ticks <-chan time.Time) {
	defer close(m.done)
	for {
		select {
		case <-ticks:
			m.flush()
		case <-m.stop:
			m.flush()
			return
		}
	}
}

// add counts one request. Status 0 is none, as k6 has it; those of gRPC begin
// at grpcBase.
func (m *meter) add(start time.Time, took time.Duration, status int, fate measure.Fate) {
	at, value := start.UnixNano(), float64(took)/float64(time.Millisecond)
	m.mu.Lock()
	defer m.mu.Unlock()
	ref, ok := m.refs[status]
	if !ok {
		series := m.series
		series.Status = statusName(status)
		ref = m.aggregator.Ref(series)
		m.refs[status] = ref
	}
	ref.Add(at, value, fate)
}

func (m *meter) flush() {
	m.mu.Lock()
	windows := m.aggregator.Take()
	m.mu.Unlock()
	if len(windows) == 0 {
		return
	}
	if err := m.emit(measure.Batch{Windows: windows}); err != nil && m.err == nil {
		m.err = err
	}
}

// close emits what is left and returns the first error of emitting.
func (m *meter) close() error {
	close(m.stop)
	<-m.done
	return m.err
}
