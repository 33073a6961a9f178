package telemetry

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/servers"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// exporter is what a Prometheus of a test scrapes.
type exporter struct {
	requests, errors atomic.Int64
	frozen           atomic.Int64 // a time in milliseconds; stuck has that one
	*httptest.Server
}

func newExporter(t *testing.T) *exporter {
	e := &exporter{}
	e.frozen.Store(time.Now().UnixMilli())
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "requests_total{code=\"200\"} %d\n", e.requests.Load())
		if n := e.errors.Load(); n > 0 { // as exporters do: not there before the first
			fmt.Fprintf(w, "requests_total{code=\"500\"} %d\n", n)
		}
		fmt.Fprintf(w, "busy{worker=\"a\"} 0.25\nbusy{worker=\"b\"} 0.75\nup_since_seconds 2\n")
		fmt.Fprintf(w, "stuck 1 %d\n", e.frozen.Load())
	}))
	t.Cleanup(e.Close)
	return e
}

const scrapeConfig = `
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs: [{job_name: shop, static_configs: [{targets: [%q]}]}]
`

const alertRules = `
groups: [{name: shop, rules: [{alert: Errors, expr: 'requests_total{code="500"} > 0', labels: {severity: page}}]}]
`

// asking is a Telemetry under way.
type asking struct {
	heard
	over chan struct{}
	end  func()
}

func startAsking(t *testing.T, o plan.Observation) *asking {
	t.Helper()
	o.Phase, o.Arms, o.Dir = "beta", []plan.Arm{{Name: "candidate", Target: "shop"}}, t.TempDir()
	for name, q := range o.Queries {
		q.From, q.Every, q.Delay = "main", plan.Duration(time.Second), plan.Duration(time.Second)
		if q.Stale == 0 {
			q.Stale = plan.Duration(5 * time.Second)
		}
		o.Queries[name] = q
	}
	tele, err := New(o)
	require.NoError(t, err)
	a := &asking{over: make(chan struct{})}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	running.Go(func() {
		if err := tele.Run(ctx, a.over, a.emit); err != nil {
			t.Error(err)
		}
	})
	a.end = sync.OnceFunc(func() { close(a.over); running.Wait() })
	t.Cleanup(a.end)
	return a
}

// of gives the windows of a query so far.
func (h *heard) of(metric string) (list []measure.Window) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.windows {
		if w.Series.Metric == metric {
			list = append(list, w)
		}
	}
	return list
}

func (h *heard) sum(metric string) (sum float64) {
	for _, w := range h.of(metric) {
		sum += w.Sum
	}
	return sum
}

func (a *asking) eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 2*time.Minute, 50*time.Millisecond, "%s; warnings: %v", what, a.details())
}

func TestPrometheusItself(t *testing.T) {
	t.Parallel()
	e := newExporter(t)
	url, stop := servers.Prometheus(t, map[string]string{"prometheus.yml": fmt.Sprintf(scrapeConfig, e.Listener.Addr()), "rules.yml": alertRules})
	a := startAsking(t, plan.Observation{
		Sources: map[string]plan.Source{"main": {Prometheus: url}}, Alerts: "main",
		Queries: map[string]plan.Query{
			"busy":   {Query: "sum(busy)", Type: plan.Gauge},
			"apart":  {Query: "busy", Type: plan.Gauge},
			"uptime": {Query: "up_since_seconds", Type: plan.Gauge, Unit: "s"},
			"wrong":  {Query: "sum(", Type: plan.Gauge},
			"absent": {Query: "no_such_metric", Type: plan.Gauge},
			"stuck":  {Query: "stuck", Type: plan.Gauge},
			"served": {Query: "requests_total", Type: plan.Counter, Stale: plan.Duration(10 * time.Second)},
			"sooner": {Query: "sum(busy)", Type: plan.Gauge, Stale: plan.Duration(4 * time.Second)},
			"ok":     {Good: `requests_total{code!="500"}`, Total: "requests_total", Type: plan.Counter, Stale: plan.Duration(10 * time.Second)},
		},
	})
	a.eventually(t, "it is scraped", func() bool { return len(a.of("busy")) > 3 && len(a.of("served")) > 1 })
	e.frozen.Store(time.Now().UnixMilli())
	e.requests.Add(90)
	e.errors.Add(10)
	a.eventually(t, "what was served is counted", func() bool { return a.sum("served") == 100 })
	a.eventually(t, "the alert fires", func() bool { return a.alert("firing") != nil })
	e.errors.Store(0)
	a.eventually(t, "and ends", func() bool { return a.alert("resolved") != nil })
	frozen := e.frozen.Load()
	a.eventually(t, "what is stuck is old", func() bool { return len(a.of("busy")) > 12 })
	stop()
	a.end()

	for _, w := range a.of("busy") {
		require.Equal(t, 1.0, w.Sum)
		require.Equal(t, measure.Second, w.Width)
	}
	require.Equal(t, 2000.0, a.of("uptime")[0].Sum)
	require.Equal(t, 100.0, a.sum("served"), "whole, none twice")
	var count, failed uint64
	for _, w := range a.of("ok") {
		count, failed = count+w.Count, failed+w.Failed
	}
	require.Equal(t, []uint64{100, 10}, []uint64{count, failed})
	require.NotEmpty(t, a.of("stuck"))
	for _, w := range a.of("stuck") {
		require.LessOrEqual(t, w.Start, (frozen+6000)*1e6, "older than stale: is none")
	}
	for _, metric := range []string{"absent", "wrong", "apart", "sooner"} {
		require.Empty(t, a.of(metric), metric)
	}
	require.Equal(t, "Errors", a.alert("firing").Name)
	said := strings.Join(a.details(), "\n")
	require.Contains(t, said, "query wrong: main answers 400: 1:5: parse error")
	require.Contains(t, said, "query apart: gives 2 series where one value is wanted")
	require.Contains(t, said, "query sooner: main may answer with values that are 5s old: say stale: 5s")
	require.Contains(t, said, "can not be reached", "it was stopped before the end")
	require.True(t, slices.ContainsFunc(a.events, func(e measure.Event) bool {
		return e.Kind == measure.EventListening && e.Attrs["state"] == measure.ListeningLost
	}), "nor is it known what fires")
}

// alert gives the first event of an alert in a state.
func (h *heard) alert(state string) *measure.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Kind == measure.EventAlert && e.Attrs["state"] == state {
			return &e
		}
	}
	return nil
}

func TestInfluxDBItself(t *testing.T) {
	t.Parallel()
	db := servers.InfluxDB(t)
	measurement := fmt.Sprintf("shop%d", time.Now().UnixNano())
	from := func(what, rest string) string {
		return fmt.Sprintf(`SELECT %s FROM "%s" WHERE time >= ${query.from} AND time < ${query.to} %s`, what, measurement, rest)
	}
	step := "GROUP BY time(${query.step}) fill(none)"
	a := startAsking(t, plan.Observation{
		Sources: map[string]plan.Source{"main": {InfluxDB: db.URL, Database: db.Bucket, Token: db.Token}, "stranger": {InfluxDB: db.URL, Database: db.Bucket, Token: "guessed"}},
		Queries: map[string]plan.Query{
			"busy":   {Query: from("mean(busy)", step), Type: plan.Gauge, Unit: "%"},
			"orders": {Query: from("count(busy)", step), Type: plan.Count},
			"served": {Query: from("last(served)", "GROUP BY time(${query.step}), host fill(none)"), Type: plan.Counter},
			"two":    {Query: from("mean(busy), max(busy)", step), Type: plan.Gauge},
			"wrong":  {Query: "SELECT FROM", Type: plan.Gauge},
		},
	})
	served := map[string]int{"a": 1000, "b": 5000}
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	written := 0
	for range 40 {
		at := (<-ticker.C).UnixMilli()
		var lines []string
		for host := range served {
			served[host] += 3
			lines = append(lines, fmt.Sprintf("%s,host=%s busy=50,served=%di %d", measurement, host, served[host], at))
			written++
		}
		db.Write(t, lines...) // together: a host that comes later has counted from 0
	}
	a.end()
	require.Greater(t, len(a.of("busy")), 5)
	for _, w := range a.of("busy") {
		require.Equal(t, 0.5, w.Sum)
		require.Equal(t, measure.Second, w.Width)
	}
	require.InDelta(t, written, a.sum("orders"), 24, "all but the edges")
	require.Greater(t, a.sum("orders"), 0.0)
	require.InDelta(t, 3*a.sum("orders"), a.sum("served"), 3*24)
	said := strings.Join(a.details(), "\n")
	require.Contains(t, said, "query two: main gives the columns [time mean max]")
	require.Contains(t, said, "query wrong: main answers 400")

	_, err := askOnce(t, plan.Source{InfluxDB: db.URL, Database: db.Bucket, Token: "guessed-token"})
	require.ErrorContains(t, err, "answers 401")
	require.NotContains(t, err.Error(), "guessed")
}

func askOnce(t *testing.T, s plan.Source) ([]series, error) {
	a, err := newAsker(s, "")
	require.NoError(t, err)
	return a.ask(t.Context(), "SELECT x FROM y", stretch{1000e9, 1020e9, 5e9}, 0)
}
