package store

import (
	"compress/gzip"
	"context"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collecting "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"resilience/gates"
	"resilience/internal/measure"
)

// receiver takes exports, with a status that a test may set.
type receiver struct {
	mu      sync.Mutex
	status  int
	refused int
	paths   []string
	key     string
	last    map[string]*metrics.Metric // of the last export, by name
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths, r.key = append(r.paths, req.URL.Path), req.Header.Get("X-Key")
	if r.status != 0 {
		r.refused++
		w.WriteHeader(r.status)
		return
	}
	unzipped, err := gzip.NewReader(req.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	body, _ := io.ReadAll(unzipped)
	var export collecting.ExportMetricsServiceRequest
	if err := proto.Unmarshal(body, &export); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.last = map[string]*metrics.Metric{}
	for _, m := range export.ResourceMetrics[0].ScopeMetrics[0].Metrics {
		r.last[m.Name] = m
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (r *receiver) set(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

var requests = measure.Series{Metric: measure.MetricRequest, Phase: "beta", Test: "browse", Arm: "candidate", Step: "GET /", Status: "200"}

func otlpWindow(second int64, values ...float64) measure.Window {
	w := measure.Window{Series: requests, Source: "k6", Start: second * measure.Second, Width: measure.Second, Count: uint64(len(values)) + 1, Failed: 1, Sketch: measure.NewSketch(values...)}
	w.Min, w.Max = math.Inf(1), 0
	for _, v := range values {
		w.Sum, w.Min, w.Max = w.Sum+v, min(w.Min, v), max(w.Max, v)
	}
	return w
}

func newOTLP(t *testing.T, to *receiver) *OTLP {
	t.Helper()
	server := httptest.NewServer(to)
	t.Cleanup(server.Close)
	o, err := NewOTLP(t.Context(), OTLPTarget{URL: server.URL + "/otlp/", Headers: map[string]string{"X-Key": "k"}}, gates.Run{ID: "20260102T150405Z-abcd", Plan: "shop", Started: time.Unix(1, 0)})
	require.NoError(t, err)
	return o
}

// What could not be sent is in what is sent next.
func TestOTLPOutage(t *testing.T) {
	to := &receiver{}
	o := newOTLP(t, to)
	o.Append(measure.Batch{Windows: []measure.Window{otlpWindow(10, 10, 20)}, Events: []measure.Event{{Kind: measure.EventDisruption, Phase: "beta", Name: "slow"}}})
	o.once(t.Context())
	require.EqualValues(t, 3, to.last["resilience.attempts"].GetSum().DataPoints[0].GetAsInt())
	require.True(t, to.last["resilience.attempts"].GetSum().IsMonotonic)
	require.InDelta(t, 1.0, to.last["resilience.disruption.active"].GetGauge().DataPoints[0].GetAsDouble(), 0)
	require.Equal(t, []string{"/otlp/v1/metrics"}, to.paths)
	require.Equal(t, "k", to.key)

	to.set(http.StatusServiceUnavailable)
	o.Append(measure.Batch{Windows: []measure.Window{otlpWindow(11, 30)}, Events: []measure.Event{{Kind: measure.EventLifted, Phase: "beta", Name: "slow"}}})
	o.once(t.Context())
	require.Equal(t, 1, to.refused)
	to.set(0)

	value, limit := 0.99, math.Inf(1)
	require.NoError(t, o.Close(t.Context(), []gates.Verdict{{Phase: "beta", Outcome: gates.Pass, Checks: []gates.Check{
		{Outcome: gates.Pass, Text: "availability >= 99%", Value: &value, Limit: &limit, Unit: "share"},
	}}}))
	require.Equal(t, "told 2 times, and 1 in vain", o.String())
	require.EqualValues(t, 5, to.last["resilience.attempts"].GetSum().DataPoints[0].GetAsInt())
	require.EqualValues(t, 2, to.last["resilience.attempts.failed"].GetSum().DataPoints[0].GetAsInt())
	latency := to.last["resilience.latency"].GetExponentialHistogram()
	require.Equal(t, metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE, latency.AggregationTemporality)
	require.EqualValues(t, 3, latency.DataPoints[0].Count)
	require.InDelta(t, 60, latency.DataPoints[0].GetSum(), 0)
	require.Zero(t, to.last["resilience.disruption.active"].GetGauge().DataPoints[0].GetAsDouble())
	require.InDelta(t, 0.99, to.last["resilience.check.observed"].GetGauge().DataPoints[0].GetAsDouble(), 0)
	require.NotContains(t, to.last, "resilience.check.objective", "infinity says nothing")
}

func TestOTLPNeverAccepted(t *testing.T) {
	to := &receiver{status: http.StatusServiceUnavailable}
	o := newOTLP(t, to)
	o.Append(measure.Batch{Windows: []measure.Window{otlpWindow(10, 10)}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, o.Close(ctx, nil), "the last totals were not accepted")
}

func TestOTLPTargets(t *testing.T) {
	secret := map[string]string{"Authorization": "Bearer x"}
	for _, c := range []struct {
		to   OTLPTarget
		want string
	}{
		{OTLPTarget{URL: "http://127.0.0.1:4318", Headers: secret}, ""},
		{OTLPTarget{URL: "http://collector:4318"}, ""},
		{OTLPTarget{URL: "https://collector:4318", Headers: secret}, ""},
		{OTLPTarget{URL: "http://collector:4318", Headers: secret}, "unencrypted"},
		{OTLPTarget{URL: "http://me:secret@collector:4318"}, "never written in the URL"},
		{OTLPTarget{URL: "collector:4318"}, "is like http://"},
	} {
		err := c.to.Validate()
		if c.want == "" {
			require.NoError(t, err, c.to.URL)
			continue
		}
		require.ErrorContains(t, err, c.want)
		require.NotContains(t, err.Error(), "secret")
	}
}

// Every value is in a bucket whose limits are near it, whatever the values are.
func TestHistogramHoldsTheSketch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Float64Range(-1e6, 1e6), 1, 200).Draw(t, "values")
		w := &measure.Window{Sketch: measure.NewSketch(values...)}
		h := histogram(gates.Run{}, w, attributesOf(requests), time.Unix(0, 0))
		n := h.ZeroCount
		for _, b := range [][]uint64{h.PositiveBucket.Counts, h.NegativeBucket.Counts} {
			require.LessOrEqual(t, len(b), mostBuckets)
			for _, count := range b {
				n += count
			}
		}
		require.EqualValues(t, len(values), n)
		for value, count := range w.Sketch.All() {
			if value == 0 {
				continue
			}
			bucket := h.PositiveBucket
			if value < 0 {
				bucket = h.NegativeBucket
			}
			i := bucketOf(math.Abs(value), h.Scale)
			require.GreaterOrEqual(t, bucket.Counts[i-bucket.Offset], count)
			lower, upper := math.Exp2(math.Ldexp(float64(i), -int(h.Scale))), math.Exp2(math.Ldexp(float64(i+1), -int(h.Scale)))
			require.GreaterOrEqual(t, math.Abs(value), lower*(1-1e-12))
			require.LessOrEqual(t, math.Abs(value), upper*(1+1e-12))
		}
	})
}

// Latencies from 1 ms to 1 s keep the finest buckets.
func TestHistogramIsFine(t *testing.T) {
	require.EqualValues(t, finestScale, scaleOf(measure.NewSketch(1, 1000)))
	require.EqualValues(t, 0, scaleOf(measure.NewSketch(1e-90, 1e90)))
}
