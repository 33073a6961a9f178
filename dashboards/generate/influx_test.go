package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
	check := gates.Check{Text: "availability >= 99%", Period: "steady", SLI: "availability", Unit: gates.UnitShare, Value: &value, Samples: 99, Failed: 2}
	var list []gates.Check
	for _, outcome := range []gates.Outcome{gates.Pass, gates.Fail, gates.Inconclusive} {
		for _, unit := range []string{gates.UnitShare, gates.UnitTime} {
			check.Outcome, check.Unit = outcome, unit
			list = append(list, check)
		}
	}
	for i, outcome := range []gates.Outcome{gates.Pass, gates.Fail, gates.Inconclusive} {
		verdict := gates.Verdict{Phase: fmt.Sprint("beta", i), Outcome: outcome, Reason: "because", Checks: list}
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

// batch has every metric and kind of event that boards ask for.
func (r someRun) batch() measure.Batch {
	a := measure.NewAggregator("k6", 100)
	for second := range seconds {
		at := r.from.Add(time.Duration(second) * time.Second).UnixNano()
		for _, name := range []string{"transaction", "step", "request", "outcome", "iteration", "dependency"} {
			s := measure.Series{Metric: name, Phase: "beta", Test: "checkout", Arm: measure.Candidate, Transaction: "checkout", Step: "payments", Tenant: "acme"}
			for i := range 10 {
				a.Ref(s).Add(at, float64(10*i+second), measure.Fate(i/8)*measure.Failed)
			}
			s.Status = measure.StatusGenerator
			a.Ref(s).Count(at, measure.Dropped)
		}
	}
	batch := measure.Batch{Windows: a.Take()}
	kinds := []string{measure.EventPhase, measure.EventDisruption, measure.EventGenerator, measure.EventService, measure.EventLifted, measure.EventPhaseEnd}
	for i, kind := range kinds {
		batch.Events = append(batch.Events, measure.Event{
			Source: r.id, Seq: uint64(i), At: r.from.Add(time.Duration(i) * time.Second).UnixNano(), Kind: kind, Phase: "beta", Name: "payments-slow",
			Attrs: map[string]string{"state": "died"},
		})
	}
	return batch
}

var (
	variableIn = regexp.MustCompile(`\$\{(\w+):regex\}`)
	leftIn     = regexp.MustCompile(`\$[{\w]`)
)

// asGrafana puts values in the place of variables, as Grafana does.
func (r someRun) asGrafana(query string) string {
	query = strings.NewReplacer("$timeFilter", fmt.Sprintf("time >= %dms and time <= %dms", r.from.UnixMilli(), r.from.Add(time.Minute).UnixMilli()), "$__interval", "2s").Replace(query)
	return variableIn.ReplaceAllStringFunc(query, func(variable string) string {
		switch name := variableIn.FindStringSubmatch(variable)[1]; name {
		case "run":
			return r.id
		case "plan":
			return "dashboards " + r.id
		case "metric":
			return "transaction"
		case "arm":
			return measure.Candidate
		}
		return ".*"
	})
}

// TestQueriesAnswer asks a real InfluxDB every query of every board: each gives
// rows with a value.
func TestQueriesAnswer(t *testing.T) {
	i := servers.InfluxDB(t)
	to := store.Influx{URL: i.URL, Token: i.Token, Org: i.Org, Bucket: i.Bucket}
	run := fill(t, to)
	require.Zero(t, answer(t, to, `SELECT "count" FROM "resilience_windows" WHERE "run" = 'no such run'`), "a query that finds nothing")
	for _, q := range allQueries(t) {
		text := run.asGrafana(q.text)
		require.NotRegexp(t, leftIn, text, q.where)
		require.Positive(t, answer(t, to, text), "%s has nothing to show: %s", q.where, text)
	}
}

// answer counts the values, times aside, that a query gives.
func answer(t *testing.T, to store.Influx, query string) (values int) {
	t.Helper()
	form := url.Values{"db": {to.Bucket}, "q": {query}, "epoch": {"ms"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to.URL+"/query?"+form.Encode(), http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Token "+to.Token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	var got struct {
		Error   string
		Results []struct {
			Error  string
			Series []struct{ Values [][]any }
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&got))
	require.Empty(t, got.Error, query)
	for _, result := range got.Results {
		require.Empty(t, result.Error, query)
		for _, series := range result.Series {
			for _, row := range series.Values {
				for _, value := range row[1:] {
					if value != nil {
						values++
					}
				}
			}
		}
	}
	return values
}
