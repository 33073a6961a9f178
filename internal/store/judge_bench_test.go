package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

// BenchmarkJudgeMillion judges a record of 1,000,000 windows and compares that
// with merely reading them, in the same run: judge/read should be at most 2.
func BenchmarkJudgeMillion(b *testing.B) {
	db := million(b)
	rec, err := db.Record("beta")
	require.NoError(b, err)
	list := []gates.Gate{}
	for _, text := range []string{
		"availability >= 99.5%", "latency p95 <= 300ms", "errors <= 1%", "latency p99 of \"GET /7\" <= 1s",
		"availability >= 99% during slow", "latency p95 <= 400ms during slow", "recovery <= 5s after slow",
	} {
		g, err := gates.Parse(text)
		require.NoError(b, err)
		list = append(list, g)
	}
	var reading, judging time.Duration
	for b.Loop() {
		begin := time.Now()
		windows := 0
		for _, err := range rec.Windows {
			require.NoError(b, err)
			windows++
		}
		require.Equal(b, 1_000_000, windows)
		reading += time.Since(begin)
		begin = time.Now()
		require.Equal(b, gates.Pass, gates.Judge(list, rec).Outcome)
		judging += time.Since(begin)
	}
	b.ReportMetric(reading.Seconds()/float64(b.N), "s/read")
	b.ReportMetric(judging.Seconds()/float64(b.N), "s/judge")
	b.ReportMetric(float64(judging)/float64(reading), "judge/read")
	b.ReportMetric(0, "ns/op") // the two above say it better
}

// million is a record of an hour with 250 routes and more, one fault in it.
func million(b *testing.B) *DB {
	const seconds, routes = 4000, 250
	start := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	db, err := Create(b.TempDir(), gates.Run{ID: "20260102T030000Z-0000", Started: start})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	at := func(second int) int64 { return start.Add(time.Duration(second) * time.Second).UnixNano() }
	event := func(seq uint64, second int, kind, name string, attrs map[string]string) measure.Event {
		return measure.Event{Source: "bench", Seq: seq, At: at(second), Kind: kind, Phase: "beta", Test: "load", Arm: measure.Candidate, Name: name, Attrs: attrs}
	}
	require.NoError(b, db.Append(measure.Batch{Events: []measure.Event{
		event(1, 0, measure.EventTest, "", map[string]string{"kind": "load", "warmup": "10s"}),
		event(2, 1000, measure.EventDisruption, "slow", map[string]string{"fault": "latency", "on": "payments", "settle": "10s"}),
		event(3, 1060, measure.EventLifted, "slow", map[string]string{"matched": "100", "touched": "100"}),
		event(4, seconds, measure.EventTestEnd, "", map[string]string{"complete": "true"}),
	}}))
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // repeatable on purpose
	agg := measure.NewAggregator("bench", routes)
	for second := range seconds {
		for route := range routes {
			ref := agg.Ref(measure.Series{Metric: measure.MetricRequest, Phase: "beta", Test: "load", Arm: measure.Candidate, Step: fmt.Sprintf("GET /%d", route), Status: "200"})
			for range 5 {
				ref.Add(at(second), 20+20*random.ExpFloat64(), measure.OK)
			}
		}
		if second%10 == 9 {
			require.NoError(b, db.Append(measure.Batch{Windows: agg.Take()}))
		}
	}
	return db
}
