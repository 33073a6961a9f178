package telemetry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/servers"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// one answers with a value at the beginning of what is asked for.
func one(value float64) func(string, stretch) ([]series, error) {
	return func(_ string, s stretch) ([]series, error) { return []series{{points: []point{{s.from, value}}}}, nil }
}

// counting runs a Telemetry with one objective, over 28 days, and gives its event.
func counting(ctx context.Context, t *testing.T, answer func(text string, s stretch) ([]series, error)) []measure.Event {
	tele := observed(&scripted{answer: answer}, nil, "")
	tele.observation.Objectives = map[string]plan.Objective{"orders": {
		Share: 0.999, Over: plan.Duration(28 * 24 * time.Hour), From: "main", Good: "good[${query.window}]", Total: "total[${query.window}]",
	}}
	h := &heard{}
	require.NoError(t, runFor(ctx, tele, time.Minute, h))
	return h.events
}

func TestEventsAreCountedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		events := counting(t.Context(), t, func(text string, s stretch) ([]series, error) {
			require.GreaterOrEqual(t, s.from, began.Add(time.Minute).UnixNano())
			hours := map[string]float64{"5m": 1, "30m": 6, "1h": 12, "6h": 72, "3d": 864, "28d": 8064}[text[strings.Index(text, "[")+1:len(text)-1]]
			require.NotZero(t, hours, text)
			if strings.HasPrefix(text, "good") {
				return one(99.4*hours)(text, s)
			}
			return one(100*hours)(text, s)
		})
		require.Len(t, events, 1)
		e := events[0]
		require.Equal(t, []any{measure.EventObjective, "orders", "beta"}, []any{e.Kind, e.Name, e.Phase})
		require.Equal(t, map[string]string{
			"share": "0.999", "over": "672h0m0s", "from": "main",
			"5m0s": "99/100", "30m0s": "596/600", "1h0m0s": "1193/1200", "6h0m0s": "7157/7200", "72h0m0s": "85882/86400", "672h0m0s": "801562/806400",
		}, e.Attrs)
	})
}

// Extrapolation may make good a little more than total; nothing else may.
func TestCountsThatAreNone(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(text string, s stretch) ([]series, error)
		want   string // the error, or what is counted over 5 minutes
	}{
		"a little more": {func(text string, s stretch) ([]series, error) {
			return one(map[bool]float64{true: 1005, false: 1000}[text[0] == 'g'])(text, s)
		}, "1000/1000"},
		"much more": {func(text string, s stretch) ([]series, error) {
			return one(map[bool]float64{true: 1012, false: 1000}[text[0] == 'g'])(text, s)
		}, "over 5m: good is 1012 and total is 1000: more than all can not be good"},
		"nothing":  {func(string, stretch) ([]series, error) { return nil, nil }, "over 5m: good: the answer is empty"},
		"no value": {func(string, stretch) ([]series, error) { return []series{{}}, nil }, "over 5m: good: the answer is empty"},
		"several":  {func(string, stretch) ([]series, error) { return make([]series, 3), nil }, "over 5m: good: the answer has 3 series: aggregate them in the query"},
		"negative": {one(-1), "over 5m: good: the answer is -1: a count can not be negative"},
		"huge":     {one(1e20), "over 5m: good: the answer is 1e+20: that is no count"},
		"an error": {func(text string, s stretch) ([]series, error) {
			if strings.Contains(text, "1h") {
				return nil, errors.New("answers 503")
			}
			return one(7)(text, s)
		}, "over 1h: good: main answers 503"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				events := counting(t.Context(), t, tc.answer)
				require.Len(t, events, 1)
				if strings.Contains(tc.want, ":") {
					require.Equal(t, tc.want, events[0].Attrs["error"])
				} else {
					require.Equal(t, tc.want, events[0].Attrs["5m0s"])
				}
			})
		})
	}
}

func TestNothingIsCountedOfAnInterruptedPhase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 62*time.Second) // while it waits
		defer cancel()
		require.Empty(t, counting(ctx, t, one(1)))
	})
}

// TestServersCountEvents asks real servers for counts.
func TestServersCountEvents(t *testing.T) {
	t.Parallel()
	count := func(t *testing.T, s plan.Source, o plan.Objective) map[string]string {
		o.Share, o.Over, o.From = 0.99, plan.Duration(28*24*time.Hour), "main"
		a := startAsking(t, plan.Observation{Sources: map[string]plan.Source{"main": s}, Objectives: map[string]plan.Objective{"orders": o}})
		a.end()
		a.mu.Lock()
		defer a.mu.Unlock()
		require.Len(t, a.events, 1)
		return a.events[0].Attrs
	}
	t.Run("prometheus", func(t *testing.T) {
		t.Parallel()
		e := newExporter(t)
		e.requests.Store(990)
		e.errors.Store(10)
		address, stop := servers.Prometheus(t, map[string]string{"prometheus.yml": fmt.Sprintf(scrapeConfig, e.Listener.Addr()), "rules.yml": alertRules})
		defer stop()
		s := plan.Source{Prometheus: address}
		require.Eventually(t, func() bool {
			a, err := newAsker(s, "")
			require.NoError(t, err)
			defer a.(*prometheus).close()
			now := floor(time.Now().UnixNano(), int64(time.Second))
			all, err := a.ask(t.Context(), "sum(requests_total)", stretch{now, now + 1e9, 1e9}, 0)
			return err == nil && len(all) == 1 && len(all[0].points) == 1
		}, 2*time.Minute, 100*time.Millisecond, "it is scraped")
		attrs := count(t, s, plan.Objective{
			Good: `sum(max_over_time(requests_total{code!="500"}[${query.window}]))`, Total: "sum(max_over_time(requests_total[${query.window}]))",
		})
		require.Empty(t, attrs["error"])
		for _, window := range []string{"5m0s", "72h0m0s", "672h0m0s"} {
			require.Equal(t, "990/1000", attrs[window])
		}
	})
	t.Run("influxdb", func(t *testing.T) {
		t.Parallel()
		db := servers.InfluxDB(t)
		name := fmt.Sprintf("orders%d", time.Now().UnixNano())
		now := time.Now()
		db.Write(t, fmt.Sprintf("%s good=7i,total=8i %d\n%s good=90i,total=92i %d", name, now.Add(-10*time.Second).UnixMilli(), name, now.Add(-2*time.Hour).UnixMilli()))
		sum := func(field string) string {
			return fmt.Sprintf(`SELECT sum(%s) FROM "%s" WHERE time >= ${query.from} AND time < ${query.to}`, field, name)
		}
		attrs := count(t, plan.Source{InfluxDB: db.URL, Database: db.Bucket, Token: db.Token}, plan.Objective{Good: sum("good"), Total: sum("total")})
		require.Empty(t, attrs["error"])
		require.Equal(t, []string{"7/8", "7/8", "97/100", "97/100"}, []string{attrs["5m0s"], attrs["1h0m0s"], attrs["6h0m0s"], attrs["672h0m0s"]})
	})
}
