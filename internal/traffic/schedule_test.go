package traffic

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/plan"
)

func secs(s float64) plan.Duration { return plan.Duration(s * float64(time.Second)) }

func anyCurve(t *rapid.T) curve {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) line {
		value := rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0.01, 300))
		return line{rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(0.01, 20)).Draw(t, "seconds"), value.Draw(t, "from"), value.Draw(t, "to")}
	}), 1, 6).Draw(t, "curve")
}

// integrate sums up a rate in small steps, knowing nothing of upTo.
func integrate(c curve, t float64) float64 {
	var sum, done float64
	for _, l := range c {
		part := min(l.seconds, max(t-done, 0))
		const steps = 50
		for i := range steps {
			x := (float64(i) + 0.5) / steps * part
			if l.seconds > 0 {
				sum += (l.from + (l.to-l.from)*x/l.seconds) * part / steps
			}
		}
		done += l.seconds
	}
	return sum
}

func TestHitsFollowTheIntegralOfTheRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCurve(t)
		s, err := newSchedule(c, "constant", 0)
		require.NoError(t, err)
		var times []float64
		for {
			at, ok := s.take()
			if !ok {
				break
			}
			times = append(times, at.Seconds())
			if n := len(times); n > 1 {
				require.GreaterOrEqual(t, times[n-1], times[n-2])
			}
		}
		moment := rapid.Float64Range(0, c.length()).Draw(t, "moment")
		hits := 0
		for _, at := range times {
			if at < moment {
				hits++
			}
		}
		require.InDelta(t, integrate(c, moment), float64(hits), 1.01, "by %v s", moment)
		require.InDelta(t, integrate(c, c.length()), float64(len(times)), 1.01)
	})
}

func TestWhenInvertsUpTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyCurve(t)
		n := rapid.Float64Range(0, 1).Draw(t, "share") * c.upTo(c.length())
		if at, ok := c.when(n); ok {
			require.InDelta(t, n, c.upTo(at), 1e-6*max(n, 1))
		}
	})
}

func TestCurveOfProfile(t *testing.T) {
	for name, test := range map[string]struct {
		profile plan.Profile
		want    curve
	}{
		"rate":               {plan.Profile{Rate: 50, Warmup: secs(10), Duration: secs(60)}, curve{{70, 50, 50}}},
		"ramp within warmup": {plan.Profile{Rate: 50, Ramp: secs(4), Warmup: secs(10), Duration: secs(60)}, curve{{4, 0, 50}, {66, 50, 50}}},
		"ramp beyond warmup": {plan.Profile{Rate: 50, Ramp: secs(14), Warmup: secs(10), Duration: secs(60)}, curve{{14, 0, 50}, {60, 50, 50}}},
		"stages":             {plan.Profile{Stages: []plan.Stage{{Duration: secs(2), Rate: 3}, {Duration: secs(4), Rate: 3}}}, curve{{2, 0, 3}, {4, 3, 3}}},
		"stages and warmup":  {plan.Profile{Warmup: secs(9), Stages: []plan.Stage{{Duration: secs(2), Rate: 3}}}, curve{{9, 3, 3}, {2, 3, 3}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := curveOf(test.profile)
			require.NoError(t, err)
			require.Equal(t, test.want, got)
		})
	}
}

func TestCurveOfNothing(t *testing.T) {
	_, err := curveOf(plan.Profile{Rate: 5})
	require.ErrorContains(t, err, "needs a duration or stages")
	for _, p := range []plan.Profile{
		{Duration: secs(5)},
		{Duration: secs(5), VUs: 5},
		{Stages: []plan.Stage{{Duration: secs(5)}, {Rate: 5}}},
	} {
		_, err = curveOf(p)
		require.ErrorContains(t, err, "needs a rate above zero")
	}
}

func TestEvenScheduleIsExact(t *testing.T) {
	c, err := curveOf(plan.Profile{Rate: 50, Duration: secs(2)})
	require.NoError(t, err)
	times := allOf(t, c, "", 0)
	require.Len(t, times, 100)
	require.Zero(t, times[0])
	require.InDelta(t, 1.98, times[99].Seconds(), 1e-6)
}

func TestPoissonArrivals(t *testing.T) {
	c := curve{{100, 0, 100}, {100, 100, 100}}
	first := allOf(t, c, "poisson", 7)
	require.Equal(t, first, allOf(t, c, "poisson", 7), "the same seed")
	require.NotEqual(t, first, allOf(t, c, "poisson", 8), "another seed")
	require.InDelta(t, 15000, float64(len(first)), 5*math.Sqrt(15000))

	// Gaps in the flat part are exponential: their deviation is their mean.
	var gaps []float64
	for i := 1; i < len(first); i++ {
		if first[i-1] > 100*time.Second {
			gaps = append(gaps, (first[i] - first[i-1]).Seconds())
		}
	}
	var mean, square float64
	for _, g := range gaps {
		mean += g / float64(len(gaps))
		square += g * g / float64(len(gaps))
	}
	require.InDelta(t, 0.01, mean, 0.0005)
	require.InDelta(t, mean, math.Sqrt(square-mean*mean), 0.0007)
}

func allOf(t *testing.T, c curve, arrival string, seed int64) []time.Duration {
	s, err := newSchedule(c, arrival, seed)
	require.NoError(t, err)
	var times []time.Duration
	for {
		at, ok := s.take()
		if !ok {
			return times
		}
		times = append(times, at)
	}
}
