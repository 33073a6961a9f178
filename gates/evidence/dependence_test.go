package evidence

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// autoregressive gives the scores of episodes of an AR(1), each the sum of n
// standard normal values with the correlation rho to the one before.
func autoregressive(rng *rand.Rand, rho float64, n int) func() scored {
	z := rng.NormFloat64()
	return func() scored {
		s := scored{variance: float64(n)}
		for range n {
			s.score += z
			z = rho*z + math.Sqrt(1-rho*rho)*rng.NormFloat64()
		}
		return s
	}
}

func TestInflationOfKnownDependence(t *testing.T) {
	for _, c := range []struct {
		rho      float64
		requests int // of an episode
		episodes int
		want     float64 // (1 + rho) / (1 - rho)
		delta    float64
	}{
		{0, 200, 60, 1, 0.15},
		{0, 20, 1000, 1, 0.15},
		{0.5, 20, 1000, 3, 0.3},
		{0.9, 200, 200, 19, 2},
		{0.9, 20, 1000, 19, 2},
		{0.9, 20, 60, 15, 2}, // a batch is as short as the dependence: most of it is in the next one
	} {
		t.Run(fmt.Sprint(c.rho, " ", c.requests), func(t *testing.T) {
			var estimates []float64
			for seed := range uint64(101) {
				var d dependence
				next := autoregressive(rand.New(rand.NewPCG(seed, 1)), c.rho, c.requests)
				for range c.episodes {
					d.add(next())
				}
				require.LessOrEqual(t, len(d.batches), maxBatches)
				estimates = append(estimates, d.spread(1).ratio)
			}
			slices.Sort(estimates)
			require.InDelta(t, c.want, estimates[50], c.delta)
		})
	}
}

// TestTrendIsNoDependence: a regression is not held for noise, however clear.
func TestTrendIsNoDependence(t *testing.T) {
	var d dependence
	next := autoregressive(rand.New(rand.NewPCG(1, 1)), 0, 20)
	for range 200 {
		s := next()
		s.score += 30
		d.add(s)
	}
	require.Less(t, d.spread(1).ratio, 1.5)
}

func TestFearWithoutData(t *testing.T) {
	var d dependence
	require.Equal(t, 1.0, d.spread(1).feared(), "nothing happened: nothing to deflate")
	d.add(scored{score: 0.5, variance: 0.25})
	require.Equal(t, 1.0, d.spread(1).feared(), "one failure can not come in a burst")
	d.add(scored{score: 50, variance: 25})
	require.Greater(t, d.spread(1).feared(), 3.0, "a hundred in one episode can")
	require.Less(t, d.spread(1).seen(), d.spread(1).feared())
}

// undeflated is the watch on latencies as it would be if requests were taken to
// be independent.
func undeflated(w *LatencyWatch[*measure.Sketch]) float64 {
	sum := 0.0
	for i := range w.parts {
		for a, l := range w.parts[i].mixture.logs {
			sum += stakes[a] * math.Exp(l) / float64(len(watched))
		}
	}
	return sum
}

// TestDeflationIsNeeded: without it, requests that depend on each other raise
// more false alarms than promised; with it they do not.
func TestDeflationIsNeeded(t *testing.T) {
	const rollouts = 150
	naive, ours := 0, 0
	for seed := range uint64(rollouts) {
		system := latencies(slowing{rho: 0.9})(rand.New(rand.NewPCG(seed, 3)))
		w := NewLatencyWatch(newSketch, 1)
		early, certain := false, false
		var s second
		for range 30 * 60 {
			system.next(&s)
			sums := s.sketches()
			w.Add(sums[0], sums[1])
			if w.blocks == 0 {
				early = early || undeflated(w) >= 20
				certain = certain || w.Finding().Certain(0.05)
			}
		}
		if early {
			naive++
		}
		if certain {
			ours++
		}
	}
	require.Greater(t, float64(naive)/rollouts, 0.4)
	require.False(t, Excludes(uint64(ours), rollouts, 0.05, 0.99), "%d of %d", ours, rollouts)
}
