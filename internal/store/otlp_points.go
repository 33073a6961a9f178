package store

import (
	"math"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"resilience/gates"
	"resilience/internal/measure"
)

// resourceOf is the run: Prometheus makes job and instance of it.
func resourceOf(run gates.Run) *resource.Resource {
	return resource.NewSchemaless(
		attribute.String("service.name", "resilience"), attribute.String("service.instance.id", run.ID),
		attribute.String("service.version", run.Version), attribute.String("resilience.plan", run.Plan),
	)
}

func scopeOf(run gates.Run) instrumentation.Scope {
	return instrumentation.Scope{Name: "resilience", Version: run.Version}
}

// attempted are the metrics of what is counted in attempts and takes time, in
// milliseconds. All others are what scripts and queries of the plan call them.
var attempted = []string{
	measure.MetricTransaction, measure.MetricStep, measure.MetricRequest, measure.MetricOutcome, measure.MetricRetried,
	measure.MetricAssertion, measure.MetricIteration, measure.MetricDependency,
	measure.MetricComparison, measure.MetricStatusChange, measure.MetricUndecided, measure.MetricUndecidedStatus,
	measure.MetricCarried,
}

// counted are the totals of all series: how many attempts there were and what
// became of them, and how long they took.
func counted(run gates.Run, totals map[measure.Series]*measure.Window, now time.Time) []metricdata.Metrics {
	sums := []struct {
		name, description string
		of                func(*measure.Window) uint64
		points            []metricdata.DataPoint[int64]
	}{
		{name: "resilience.attempts", description: "Attempts that began.", of: func(w *measure.Window) uint64 { return w.Count }},
		{name: "resilience.attempts.failed", description: "Attempts that failed; holds the unfinished and the dropped ones.", of: func(w *measure.Window) uint64 { return w.Failed }},
		{name: "resilience.attempts.unfinished", description: "Attempts under way when their test ended.", of: func(w *measure.Window) uint64 { return w.Unfinished }},
		{name: "resilience.attempts.dropped", description: "Attempts that could not start.", of: func(w *measure.Window) uint64 { return w.Dropped }},
	}
	var latencies, others []metricdata.ExponentialHistogramDataPoint[float64]
	for _, w := range inOrder(totals) {
		attributes := attributesOf(w.Series)
		if !slices.Contains(attempted, w.Series.Metric) {
			others = append(others, histogram(run, w, attributes, now))
			continue
		}
		for i := range sums {
			sums[i].points = append(sums[i].points, metricdata.DataPoint[int64]{
				Attributes: attributes, StartTime: run.Started, Time: now, Value: clamped(sums[i].of(w)),
			})
		}
		if w.Sketch.Count() > 0 {
			latencies = append(latencies, histogram(run, w, attributes, now))
		}
	}
	var all []metricdata.Metrics
	for _, s := range sums {
		if len(s.points) > 0 {
			all = append(all, metricdata.Metrics{Name: s.name, Description: s.description, Unit: "{attempt}", Data: metricdata.Sum[int64]{
				DataPoints: s.points, Temporality: metricdata.CumulativeTemporality, IsMonotonic: true,
			}})
		}
	}
	for name, points := range map[string][]metricdata.ExponentialHistogramDataPoint[float64]{"resilience.latency": latencies, "resilience.metric": others} {
		unit := ""
		if name == "resilience.latency" {
			unit = "ms"
		}
		if len(points) > 0 {
			all = append(all, metricdata.Metrics{Name: name, Unit: unit, Data: metricdata.ExponentialHistogram[float64]{
				DataPoints: points, Temporality: metricdata.CumulativeTemporality,
			}})
		}
	}
	return all
}

func inOrder(totals map[measure.Series]*measure.Window) []*measure.Window {
	all := make([]*measure.Window, 0, len(totals))
	for _, w := range totals {
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b *measure.Window) int { return a.Series.Compare(b.Series) })
	return all
}

// attributesOf are the names in a series that are set.
func attributesOf(s measure.Series) attribute.Set {
	var set []attribute.KeyValue
	for _, pair := range [][2]string{
		{"metric", s.Metric},
		{"phase", s.Phase},
		{"test", s.Test},
		{"arm", s.Arm},
		{"transaction", s.Transaction},
		{"step", s.Step},
		{"tenant", s.Tenant},
		{"class", s.Class},
		{"cell", s.Cell},
		{"region", s.Region},
		{"instance_name", s.Instance},
		{"status", s.Status},
	} {
		if pair[1] != "" {
			set = append(set, attribute.String(pair[0], pair[1]))
		}
	}
	return attribute.NewSet(set...)
}

// told are the disruptions, and the verdicts once there are any.
func told(active map[fault]bool, judged []gates.Verdict, now time.Time) []metricdata.Metrics {
	var faults, verdicts, checks, observed, limits []metricdata.DataPoint[float64]
	for f, in := range active {
		faults = append(faults, gauge(now, oneIf(in), "phase", f.phase, "disruption", f.name))
	}
	for _, v := range judged {
		verdicts = append(verdicts, gauge(now, oneIf(v.Outcome == gates.Pass), "phase", v.Phase, "outcome", v.Outcome.String()))
		for _, c := range v.Checks {
			about := []string{"phase", v.Phase, "gate", c.Text, "period", c.Period, "sli", c.SLI}
			checks = append(checks, gauge(now, oneIf(c.Outcome == gates.Pass), append(about, "outcome", c.Outcome.String())...))
			about = append(about, "unit", c.Unit)
			if said(c.Value) {
				observed = append(observed, gauge(now, *c.Value, about...))
			}
			if said(c.Limit) {
				limits = append(limits, gauge(now, *c.Limit, about...))
			}
		}
	}
	var all []metricdata.Metrics
	for _, m := range []struct {
		name, description string
		points            []metricdata.DataPoint[float64]
	}{
		{"resilience.disruption.active", "1 while a disruption is in effect.", faults},
		{"resilience.verdict", "1 when the phase passed.", verdicts},
		{"resilience.check", "1 when the gate passed.", checks},
		{"resilience.check.observed", "What a gate was judged by.", observed},
		{"resilience.check.objective", "What a gate wants.", limits},
	} {
		if len(m.points) > 0 {
			all = append(all, metricdata.Metrics{Name: m.name, Description: m.description, Data: metricdata.Gauge[float64]{DataPoints: m.points}})
		}
	}
	return all
}

func gauge(now time.Time, value float64, about ...string) metricdata.DataPoint[float64] {
	var set []attribute.KeyValue
	for i := 0; i+1 < len(about); i += 2 {
		set = append(set, attribute.String(about[i], about[i+1]))
	}
	return metricdata.DataPoint[float64]{Attributes: attribute.NewSet(set...), Time: now, Value: value}
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func said(value *float64) bool {
	return value != nil && !math.IsNaN(*value) && !math.IsInf(*value, 0)
}

// finestScale has buckets 1.1 % wide, so that a quantile is within 0.6 % of that
// of the sketch, and mostBuckets of it reach over three decades and more. What
// is spread wider has a coarser scale.
const (
	finestScale = 6
	mostBuckets = 640
)

// histogram is a sketch as an exponential histogram.
// https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
func histogram(run gates.Run, w *measure.Window, attributes attribute.Set, now time.Time) metricdata.ExponentialHistogramDataPoint[float64] {
	point := metricdata.ExponentialHistogramDataPoint[float64]{
		Attributes: attributes, StartTime: run.Started, Time: now, Count: w.Sketch.Count(), Sum: w.Sum, Scale: scaleOf(w.Sketch),
	}
	if point.Count > 0 {
		point.Min, point.Max = metricdata.NewExtrema(w.Min), metricdata.NewExtrema(w.Max)
	}
	positive, negative := map[int32]uint64{}, map[int32]uint64{}
	for value, count := range w.Sketch.All() {
		switch {
		case value > 0:
			positive[bucketOf(value, point.Scale)] += count
		case value < 0:
			negative[bucketOf(-value, point.Scale)] += count
		default:
			point.ZeroCount += count
		}
	}
	point.PositiveBucket, point.NegativeBucket = dense(positive), dense(negative)
	return point
}

// scaleOf is the finest scale at which all values are within mostBuckets.
func scaleOf(s *measure.Sketch) int32 {
	least, greatest := math.Inf(1), 0.0
	for value := range s.All() {
		if value != 0 {
			least, greatest = min(least, math.Abs(value)), max(greatest, math.Abs(value))
		}
	}
	scale := int32(finestScale)
	for greatest > 0 && int(bucketOf(greatest, scale)-bucketOf(least, scale)) >= mostBuckets {
		scale--
	}
	return scale
}

// bucketOf is the index of the bucket that a positive value is in: greater than
// base^index, and at most base^(index+1), where base is 2^(2^-scale).
func bucketOf(value float64, scale int32) int32 {
	return int32(math.Ceil(math.Ldexp(math.Log2(value), int(scale)))) - 1
}

func dense(counts map[int32]uint64) metricdata.ExponentialBucket {
	if len(counts) == 0 {
		return metricdata.ExponentialBucket{}
	}
	first, last := int32(math.MaxInt32), int32(math.MinInt32)
	for i := range counts {
		first, last = min(first, i), max(last, i)
	}
	all := make([]uint64, last-first+1)
	for i, n := range counts {
		all[i-first] = n
	}
	return metricdata.ExponentialBucket{Offset: first, Counts: all}
}
