package disrupt

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/plan"
)

// heldFor tells how long a latency holds back one request, on virtual time.
func heldFor(l effect, r *http.Request, t turn) time.Duration {
	start := time.Now()
	var took time.Duration
	l.touch(httptest.NewRecorder(), r, &chance{turn: t}, func(http.ResponseWriter, *http.Request) { took = time.Since(start) })
	return took
}

func late(t testing.TB, delay, jitter time.Duration, distribution string) latency {
	t.Helper()
	l, err := readLatency(plan.Disruption{Latency: &plan.Latency{
		Delay: plan.Duration(delay), Jitter: plan.Duration(jitter), Distribution: distribution,
	}})
	require.NoError(t, err)
	return l.(latency)
}

func TestLatencyIsDelayPlusOrMinusJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := httptest.NewRequest("GET", "/", nil)
		l := late(t, 400*time.Millisecond, 50*time.Millisecond, "")
		require.Equal(t, 350*time.Millisecond, heldFor(l, r, turn{draw: 0}))
		require.Equal(t, 400*time.Millisecond, heldFor(l, r, turn{draw: 0.5}))
		require.Equal(t, 425*time.Millisecond, heldFor(l, r, turn{draw: 0.75}))
	})
}

// Every distribution has the mean and, as far as it can, the spread that were
// asked for, and is never below 0.
func TestDistributions(t *testing.T) {
	const delay, jitter, n = 100 * time.Millisecond, 20 * time.Millisecond, 200_000
	for name, spread := range map[string]float64{"uniform": 20 / math.Sqrt(3), "normal": 20, "pareto": 20} {
		t.Run(name, func(t *testing.T) {
			l := late(t, delay, jitter, name)
			var sum, squares float64
			for i := range n {
				v := float64(l.of((float64(i)+0.5)/n)) / float64(time.Millisecond)
				sum += v
				squares += v * v
			}
			mean := sum / n
			require.InDelta(t, 100, mean, 0.2)
			require.InDelta(t, spread, math.Sqrt(squares/n-mean*mean), 0.5)
		})
	}
	normal, pareto := late(t, delay, jitter, "normal"), late(t, delay, jitter, "pareto")
	require.InDelta(t, 132.9, normal.of(0.95).Seconds()*1000, 0.1, "mean + 1.645 standard deviations")
	require.Less(t, pareto.of(0.5), delay, "most are a little below the mean")
	require.Greater(t, pareto.of(0.999), 2*delay, "a few are far above it")
}

func TestDelaysAreNeverNegative(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		delay := rapid.Int64Range(1, int64(plan.MaxDelay)).Draw(rt, "delay")
		jitter := rapid.Int64Range(0, delay).Draw(rt, "jitter")
		draw := rapid.Float64Range(0, 1-1.0/(1<<53)).Draw(rt, "draw")
		for _, name := range []string{"uniform", "normal", "pareto"} {
			d := late(t, time.Duration(delay), time.Duration(jitter), name).of(draw)
			require.True(rt, d >= 0 && d <= time.Duration(plan.MaxDelay), d)
		}
	})
}

func TestLatencyReleasesWhatItHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := late(t, time.Hour, 0, "")
		lifted := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(lifted) })
		require.Equal(t, time.Second, heldFor(l, httptest.NewRequest("GET", "/", nil), turn{lifted: lifted}))

		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		require.Equal(t, 2*time.Second, heldFor(l, httptest.NewRequest("GET", "/", nil).WithContext(ctx), turn{}))
	})
}
