package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/boards"
	"resilience/fixtures/servers"
	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/store"
)

// someRun is a run that has something for each panel: it is streamed as
// `resilience run` does.
type someRun struct {
	id   string
	from time.Time
}

const seconds = 20

// fill writes a run into an InfluxDB.
func fill(t *testing.T, to store.Influx) someRun {
	t.Helper()
	from := time.Now().Add(-time.Minute).Truncate(time.Second)
	run := someRun{store.NewID(from, rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))), from}
	dir := t.TempDir()
	info := gates.Run{ID: run.id, Plan: "dashboards " + run.id, Started: from}
	db, err := store.Create(filepath.Join(dir, "r.db"), info)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	stream, err := store.NewStream(to, filepath.Join(dir, "spool"), info)
	require.NoError(t, err)

	batch := run.batch()
	require.NoError(t, db.Append(batch))
	require.NoError(t, stream.Append(batch))
	value := 0.98
	budget := gates.Budget{Objective: "pages", Share: 0.99, Over: 60, Left: &value, Burns: []gates.Burn{{Run: true, Rate: 2}}}
	for i, outcome := range []gates.Outcome{gates.Pass, gates.Fail, gates.Inconclusive} {
		verdict := gates.Verdict{Phase: fmt.Sprint("beta", i), Outcome: outcome, Reason: "because", Checks: run.checks(&value), Objectives: []gates.Budget{budget}}
		require.NoError(t, stream.Verdict(verdict, from.Add(seconds*time.Second).UnixNano()))
	}
	require.NoError(t, stream.Finish(db))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	sent, err := stream.Close(ctx)
	require.NoError(t, err)
	require.True(t, sent.Complete(), sent)
	return run
}

// checks are of every outcome, unit and SLI that boards draw.
func (r someRun) checks(value *float64) (list []gates.Check) {
	looked := []gates.Stretch{{From: r.from, To: r.from.Add(seconds * time.Second)}}
	for _, outcome := range []gates.Outcome{gates.Pass, gates.Fail, gates.Inconclusive} {
		for sli, unit := range map[string]string{
			"availability": gates.UnitShare, "reliability of checkout": gates.UnitShare, "mismatch of GET /quote": gates.UnitShare,
			"latency p50": gates.UnitTime, "latency p95": gates.UnitTime, "latency p99": gates.UnitTime,
		} {
			list = append(list, gates.Check{
				Text: sli + " is well", Period: "steady", SLI: sli, Unit: unit, Outcome: outcome, Value: value, Limit: value, Samples: 99, Failed: 2,
				Waiver: &gates.Waiver{Owner: "jane", Expires: r.from}, Stretches: looked,
			})
		}
	}
	return list
}

// batch has every metric and kind of event that boards ask for.
func (r someRun) batch() measure.Batch {
	a := measure.NewAggregator("k6", 100)
	for second := range seconds {
		at := r.from.Add(time.Duration(second) * time.Second).UnixNano()
		for _, name := range []string{"transaction", "step", "request", "outcome", "assertion", "iteration", "dependency", "queue"} {
			s := measure.Series{Metric: name, Phase: "beta", Test: "checkout", Arm: measure.Candidate, Transaction: "checkout", Step: "payments", Tenant: "acme"}
			for i := range 10 {
				a.Ref(s).Add(at, float64(10*i+second), measure.Fate(i/8)*measure.Failed)
			}
			s.Status = measure.StatusGenerator
			a.Ref(s).Count(at, measure.Dropped)
		}
		a.Ref(measure.Series{Metric: "users-ok", Phase: "beta", Arm: measure.Candidate}).Count(at, measure.OK)
	}
	batch := measure.Batch{Windows: a.Take()}
	kinds := []string{measure.EventPhase, measure.EventTest, measure.EventDisruption, measure.EventGenerator, measure.EventService, measure.EventLifted, measure.EventPhaseEnd}
	for i, kind := range kinds {
		batch.Events = append(batch.Events, measure.Event{
			Source: r.id, Seq: uint64(i), At: r.from.Add(time.Duration(i) * time.Second).UnixNano(), Kind: kind, Phase: "beta", Name: "payments-slow",
			Attrs: map[string]string{"state": "died"},
		})
	}
	return r.withCanary(r.withShadow(batch))
}

// withShadow adds what a shadow test writes: both arms, what was compared, and
// what it tells at its end.
func (r someRun) withShadow(batch measure.Batch) measure.Batch {
	const source, route = "shadow/beta/users", "GET /quote"
	a := measure.NewAggregator(source, 100)
	for _, arm := range []string{measure.Candidate, measure.Baseline} {
		for _, name := range []string{measure.MetricRequest, measure.MetricComparison, measure.MetricStatusChange, measure.MetricUndecided, measure.MetricCarried, measure.MetricSendLag} {
			s := measure.Series{Metric: name, Phase: "beta", Test: "users", Arm: arm, Step: route, Status: "200"}
			for i := range 10 {
				a.Ref(s).Add(r.from.Add(time.Duration(i)*time.Second).UnixNano(), float64(i), measure.Fate(i/8)*measure.Failed)
			}
		}
	}
	batch.Windows = append(batch.Windows, a.Take()...)
	count := map[string]string{"pairs": "9", "differing": "8", "noise pairs": "9", "noise differing": "1"}
	for i, e := range []measure.Event{
		{Kind: measure.EventDifference, Name: route, Attrs: map[string]string{"class": "regression", "place": "body.total", "kind": "changed", "baseline": "1", "candidate": "2"}},
		{Kind: measure.EventDifference, Name: route, Attrs: map[string]string{"class": "undecided", "place": "status", "kind": "changed"}},
		{Kind: measure.EventDifference, Name: route, Attrs: map[string]string{"class": "noise", "place": "body.load", "kind": "changed"}},
		{Kind: measure.EventReplay, Attrs: map[string]string{"read": "9", "sent": "8", "withheld": "1", "carried found": "4", "carried rule": "0", "carried cookie": "2", "lag p99": "1.5ms"}},
		{Kind: measure.EventWithheld, Name: "POST /checkout", Attrs: map[string]string{"count": "1", "reason": "it may change data"}},
	} {
		maps.Copy(e.Attrs, count)
		e.Source, e.Seq, e.At, e.Phase, e.Test = source, uint64(i), r.from.UnixNano(), "beta", "users"
		batch.Events = append(batch.Events, e)
	}
	return batch
}

// withCanary adds what a canary writes: windows that are in no phase, and an
// incident from its beginning to its end.
func (r someRun) withCanary(batch measure.Batch) measure.Batch {
	a := measure.NewAggregator("canary", 100)
	for _, name := range []string{measure.MetricTransaction, measure.MetricOutcome, measure.MetricRetried} {
		s := measure.Series{Metric: name, Test: "canary", Arm: measure.Candidate, Transaction: "order", Tenant: "acme", Class: "gold", Cell: "eu-1", Region: "eu"}
		for i := range 10 {
			a.Ref(s).Add(r.from.Add(time.Duration(i)*time.Second).UnixNano(), float64(i), measure.Fate(i/8)*measure.Failed)
		}
	}
	batch.Windows = append(batch.Windows, a.Take()...)
	when := func(after time.Duration) string { return r.from.Add(after).UTC().Format(time.RFC3339Nano) }
	for i, attrs := range []map[string]string{
		{"state": "opened", "start": when(0), "detected": when(time.Second)},
		{"state": "acknowledged", "detected": when(time.Second), "acked": when(2 * time.Second)},
		{"state": "closed", "start": when(0), "end": when(3 * time.Second)},
	} {
		attrs["id"], attrs["severity"], attrs["evidence"] = "i", "page", "3 in a row: order in cell eu-1"
		batch.Events = append(batch.Events, measure.Event{
			Source: r.id, Seq: uint64(100 + i), At: r.from.Add(time.Duration(i) * time.Second).UnixNano(), Kind: measure.EventIncident, Test: "canary", Arm: measure.Candidate, Name: "orders", Attrs: attrs,
		})
	}
	batch.Events = append(batch.Events, measure.Event{
		Source: r.id, Seq: 200, At: r.from.UnixNano(), Kind: measure.EventGenerator, Test: "canary", Name: "ended", Attrs: map[string]string{"detail": "killed"},
	})
	return batch
}

// TestQueriesAnswer asks a real InfluxDB every query of every board: each gives
// rows with a value.
func TestQueriesAnswer(t *testing.T) {
	i := servers.InfluxDB(t)
	run := fill(t, store.Influx{URL: i.URL, Token: i.Token, Org: i.Org, Bucket: i.Bucket})
	ask := func(query string) ([][]any, error) { return i.Query(t.Context(), query) }
	require.Zero(t, answer(t, ask, `SELECT "count" FROM "resilience_windows" WHERE "run" = 'no such run'`), "a query that finds nothing")
	at := boards.Range{From: run.from, To: run.from.Add(time.Minute), Interval: 2 * time.Second}
	for name, b := range readBoards(t) {
		values, err := b.Fill(ask, at, map[string]string{
			"run": run.id, "plan": "dashboards " + run.id, "metric": "transaction", "arm": measure.Candidate, "compare": run.id,
		})
		require.NoError(t, err, name)
		for _, q := range b.Queries() {
			text := values.Apply(q.Text)
			require.NotRegexp(t, `\$[{\w]`, text, q.Where)
			require.Positive(t, answer(t, ask, text), "%s has nothing to show: %s", q.Where, text)
		}
	}
}

// answer counts the values, times aside, that a query gives.
func answer(t *testing.T, ask boards.Ask, query string) (values int) {
	t.Helper()
	rows, err := ask(query)
	require.NoError(t, err)
	for _, row := range rows {
		for _, value := range row[1:] {
			if value != nil {
				values++
			}
		}
	}
	return values
}
