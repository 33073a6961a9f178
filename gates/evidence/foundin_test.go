package evidence

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// foundWithin gives the share of rollouts in which a watch finds a regression
// in time.
func foundWithin(c cell, seconds float64) float64 {
	const rollouts = 200
	c.minutes = int(seconds/60) + 1
	found := 0
	for _, s := range simulate(c, rollouts, 1)[0][0].seconds {
		if s <= seconds {
			found++
		}
	}
	return float64(found) / rollouts
}

func TestFoundInTheTimeThatIsTold(t *testing.T) {
	seen := newSketch()
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		seen.Add(100 * math.Exp(0.5*rng.NormFloat64()))
	}
	even := Traffic{Candidate: 20, Baseline: 20}
	for name, c := range map[string]struct {
		traffic func(*rand.Rand) traffic
		told    func() (float64, bool)
	}{
		"doubled": {
			shares([2]int{20, 20}, 0.002, 0.001, 0),
			func() (float64, bool) { return even.ShareFoundIn(0.001, 2, 0.05, 0.9) },
		},
		"tenfold": {
			shares([2]int{20, 20}, 0.001, 0.0001, 0),
			func() (float64, bool) { return even.ShareFoundIn(0.0001, 10, 0.05, 0.9) },
		},
		"little traffic to the candidate": {
			shares([2]int{4, 36}, 0.003, 0.001, 0),
			func() (float64, bool) { return Traffic{Candidate: 4, Baseline: 36}.ShareFoundIn(0.001, 3, 0.05, 0.9) },
		},
		"a fifth slower": {
			latencies(slowing{factor: 1.2}),
			func() (float64, bool) {
				return LatencyFoundIn(Traffic{Candidate: 2, Baseline: 2}, seen, 1.2, 0.05, 0.9)
			},
		},
	} {
		seconds, ok := c.told()
		require.True(t, ok, name)
		require.InDelta(t, 0.9, foundWithin(cell{traffic: c.traffic}, seconds), 0.11, "%s in %v s", name, seconds)
	}
}

// TestObjectivesAreMissedInTheTimeThatIsTold simulates watches of one arm.
func TestObjectivesAreMissedInTheTimeThatIsTold(t *testing.T) {
	const rollouts = 200
	for _, c := range []struct{ rate, objective, ratio float64 }{{50, 0.01, 2}, {20, 0.001, 3}, {50, 0.05, 1.5}, {20, 0.01, 20}} {
		seconds, ok := Traffic{Candidate: c.rate}.ObjectiveFoundIn(c.objective, c.ratio, 0.05, 0.9)
		require.True(t, ok)
		found := 0
		for seed := range uint64(rollouts) {
			rng := rand.New(rand.NewPCG(seed, 9))
			w, err := NewObjectiveWatch(c.objective)
			require.NoError(t, err)
			for second := 0.0; second < seconds && !w.Finding().Certain(0.05); second++ {
				counts := Counts{N: uint64(c.rate)}
				for range counts.N {
					if rng.Float64() < c.objective*c.ratio {
						counts.Failed++
					}
				}
				w.Add(counts)
			}
			if w.Finding().Certain(0.05) {
				found++
			}
		}
		require.InDelta(t, 0.9, float64(found)/rollouts, 0.11, "%+v in %v s", c, seconds)
	}
}

func TestPlanningOfNonsense(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) float64 { return strangeFloats.Draw(t, name) }
		traffic := Traffic{draw("candidate"), draw("baseline"), draw("inflation")}
		margin := Margin{draw("ratio"), draw("difference")}
		seen := newSketch()
		seen.Add(draw("latency"))
		for _, plan := range []func() (float64, bool){
			func() (float64, bool) {
				return traffic.ShareFoundIn(draw("base"), draw("times"), draw("alpha"), draw("power"))
			},
			func() (float64, bool) {
				return traffic.ShareShownIn(draw("base"), margin, draw("alpha"), draw("power"))
			},
			func() (float64, bool) {
				return traffic.ObjectiveFoundIn(draw("objective"), draw("times"), draw("alpha"), draw("power"))
			},
			func() (float64, bool) {
				return QuantileShownIn(traffic, seen, draw("quantile"), margin, draw("alpha"), draw("power"))
			},
			func() (float64, bool) {
				return LatencyFoundIn(traffic, seen, draw("times"), draw("alpha"), draw("power"))
			},
			func() (float64, bool) { return LatencyShownIn(traffic, seen, margin, draw("alpha"), draw("power")) },
		} {
			if seconds, ok := plan(); ok {
				require.Greater(t, seconds, 0.0)
				require.LessOrEqual(t, seconds, float64(foundForever)+Episode)
			}
		}
	})
	// All of one fails and nothing of the other, which has next to no traffic: the answer
	// matters less than that there is one.
	for _, baseline := range []float64{1e-6, 1e-8, 1e-9, 1e-300} {
		seconds, _ := Traffic{Candidate: 1e8, Baseline: baseline}.found(0, 1, 3, 0.9)
		require.Positive(t, seconds, baseline)
	}
	_, ok := Traffic{Candidate: 20, Baseline: 20}.ShareFoundIn(0.001, 1, 0.05, 0.9)
	require.False(t, ok, "there is nothing to find")
	_, ok = Traffic{Candidate: 20, Baseline: 20}.ShareShownIn(0, Margin{Ratio: 2}, 0.05, 0.9)
	require.False(t, ok, "twice none is none")
}
