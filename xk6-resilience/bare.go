package xk6resilience

import (
	"go.k6.io/k6/v2/metrics"

	"resilience/internal/measure"
)

// bareMetrics are what transactions become in a k6 without our output, so that
// its summary and thresholds know them.
type bareMetrics struct{ duration, accepted, completed *metrics.Metric }

// registerBareMetrics makes the metrics known; k6 allows that in the init
// context only. A script that has taken a name for something else wins.
func registerBareMetrics(registry *metrics.Registry) *bareMetrics {
	metric := func(name string, kind metrics.MetricType, contains metrics.ValueType) *metrics.Metric {
		m, err := registry.NewMetric(name, kind, contains)
		if err != nil {
			return nil
		}
		return m
	}
	return &bareMetrics{
		duration:  metric("transaction_duration", metrics.Trend, metrics.Time),
		accepted:  metric("transaction_accepted", metrics.Rate, metrics.Default),
		completed: metric("transaction_completed", metrics.Rate, metrics.Default),
	}
}

// emit tells k6 about a transaction that has ended.
func (b *bareMetrics) emit(v *vu, s *span) {
	if b == nil || s.series.Metric != measure.MetricTransaction {
		return
	}
	tags := v.State().Tags.GetCurrentValues()
	tags.SetTag("transaction", s.series.Transaction)
	push := func(m *metrics.Metric, value float64) {
		if m == nil {
			return
		}
		metrics.PushIfNotDone(v.Context(), v.State().Samples, metrics.Sample{
			TimeSeries: metrics.TimeSeries{Metric: m, Tags: tags.Tags}, Time: s.end, Value: value, Metadata: tags.Metadata,
		})
	}
	push(b.duration, milliseconds(s.end.Sub(s.start)))
	push(b.accepted, metrics.B(s.fate() == measure.OK))
	if s.completed != nil {
		push(b.completed, metrics.B(*s.completed))
	}
}
