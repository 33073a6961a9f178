package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// scripted answers by what is asked.
type scripted struct {
	mu     sync.Mutex
	asked  []string
	most   atomic.Int64 // at the same time
	now    atomic.Int64
	answer func(text string, s stretch) ([]series, error)
}

func (a *scripted) after() bool { return false }

func (a *scripted) ask(_ context.Context, text string, s stretch, _ int64) ([]series, error) {
	a.mu.Lock()
	a.asked = append(a.asked, text)
	a.mu.Unlock()
	a.most.Store(max(a.most.Load(), a.now.Add(1)))
	defer a.now.Add(-1)
	time.Sleep(10 * time.Millisecond) // as an answer takes
	return a.answer(text, s)
}

// observed are some queries of two arms, put to a source.
func observed(a asker, queries map[string]plan.Query, alerts string) *Telemetry {
	for name, q := range queries {
		q.From, q.Every, q.Stale = "main", plan.Duration(time.Second), plan.Duration(10*time.Second)
		queries[name] = q
	}
	return &Telemetry{
		observation: plan.Observation{
			Phase: "beta", Queries: queries, Alerts: alerts,
			Arms: []plan.Arm{{Name: "candidate", Target: "new", Host: "127.0.0.1:1"}, {Name: "baseline", Target: "old", Host: "127.0.0.1:2"}},
		},
		askers: map[string]asker{"main": a}, slots: map[string]chan struct{}{"main": make(chan struct{}, mostAtATime)},
	}
}

func runFor(ctx context.Context, t *Telemetry, length time.Duration, h *heard) error {
	over := make(chan struct{})
	time.AfterFunc(length, func() { close(over) })
	return t.Run(ctx, over, h.emit)
}

func TestAQueryIsPutForEachArmThatItIsAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &scripted{answer: func(_ string, s stretch) ([]series, error) {
			return []series{{points: []point{{s.from, 1}}}}, nil
		}}
		h := &heard{}
		queries := map[string]plan.Query{
			"plain": {Query: "up", Type: plan.Gauge}, "host": {Query: `up{instance="${query.host}"}`, Type: plan.Gauge},
			"words": {Query: "${query.arm} ${query.target} ${query.phase} ${query.step}", Type: plan.Gauge},
		}
		require.NoError(t, runFor(t.Context(), observed(a, queries, ""), 3*time.Second, h))
		for _, want := range []string{"up", `up{instance="127.0.0.1:1"}`, `up{instance="127.0.0.1:2"}`, "candidate new beta 1s", "baseline old beta 1s"} {
			require.Contains(t, a.asked, want)
		}
		arms := map[string]bool{}
		for _, w := range h.windows {
			arms[w.Series.Metric+" "+w.Series.Arm] = true
		}
		require.Len(t, arms, 5)
		require.False(t, arms["plain baseline"])
	})
}

func TestASourceGetsFewQuestionsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &scripted{answer: func(string, stretch) ([]series, error) { return nil, nil }}
		queries := map[string]plan.Query{}
		for i := range 20 {
			queries[fmt.Sprint("q", i)] = plan.Query{Query: "up", Type: plan.Gauge}
		}
		require.NoError(t, runFor(t.Context(), observed(a, queries, ""), 3*time.Second, &heard{}))
		require.Equal(t, int64(mostAtATime), a.most.Load())
	})
}

func TestWhatGoesWrongIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		a := &scripted{answer: func(text string, _ stretch) ([]series, error) {
			if text == "many" {
				n++
				return nil, fmt.Errorf("answers %d", n)
			}
			return nil, errors.New("answers 422: parse error")
		}}
		h := &heard{}
		queries := map[string]plan.Query{"wrong": {Query: "up{", Type: plan.Gauge}, "many": {Query: "many", Type: plan.Gauge}}
		require.NoError(t, runFor(t.Context(), observed(a, queries, ""), 2000*time.Second, h))
		count := map[string]int{}
		for _, d := range h.details() {
			count[d]++
		}
		require.Equal(t, 1, count["query wrong: main answers 422: parse error"])
		require.Len(t, count, 1+maxWarnings)
		require.Empty(t, h.windows)
	})
}

func TestARecordThatFailsEndsTheQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &scripted{answer: func(_ string, s stretch) ([]series, error) { return []series{{points: []point{{s.from, 1}}}}, nil }}
		begun := time.Now()
		err := runFor(t.Context(), observed(a, map[string]plan.Query{"q": {Query: "up", Type: plan.Gauge}}, "main"), time.Hour, &heard{fail: io.ErrShortWrite})
		require.ErrorIs(t, err, io.ErrShortWrite)
		require.Less(t, time.Since(begun), 10*time.Second)
	})
}

func TestNothingIsLeftOfIt(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	url := web(t, modern(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)
	}))
	q := plan.Query{From: "main", Query: "up", Type: plan.Gauge, Every: plan.Duration(time.Second), Stale: plan.Duration(10 * time.Second)}
	tele, err := New(plan.Observation{Phase: "beta", Sources: map[string]plan.Source{"main": sourceAt("prometheus", url)}, Queries: map[string]plan.Query{"q": q}, Arms: []plan.Arm{{Name: "candidate"}}, Alerts: "main"})
	require.NoError(t, err)
	h := &heard{}
	over := make(chan struct{})
	close(over)
	require.NoError(t, tele.Run(t.Context(), over, h.emit))
	require.True(t, slices.ContainsFunc(h.events, func(e measure.Event) bool { return e.Kind == measure.EventListening }))
	require.Equal(t, []string{"query q: never gave a series: nothing matches it"}, h.details())
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, ignore, goleak.IgnoreAnyFunction("net/http/httptest.(*Server).goServe.func1"), goleak.IgnoreAnyFunction("net/http.(*conn).serve"))
}

func TestASourceThatCanNotBeUsed(t *testing.T) {
	_, err := New(plan.Observation{Sources: map[string]plan.Source{"main": {Prometheus: "https://127.0.0.1:1", TLS: &plan.TLS{CA: "missing.pem"}}}, Dir: t.TempDir()})
	require.ErrorContains(t, err, "telemetry main: tls: ca:")
}
