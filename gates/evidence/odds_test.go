package evidence

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// outcomes gives the probability of each possible number of the candidate's
// failures, by definition.
func outcomes(nc, nb, m uint64, ratio float64) (least uint64, p []float64) {
	least, greatest := Block{Counts{nc, 0}, Counts{nb, m}}.support()
	choose := func(n, k uint64) float64 {
		a, _ := math.Lgamma(float64(n) + 1)
		b, _ := math.Lgamma(float64(k) + 1)
		c, _ := math.Lgamma(float64(n-k) + 1)
		return a - b - c
	}
	var logs []float64
	for k := least; k <= greatest; k++ {
		logs = append(logs, choose(nc, k)+choose(nb, m-k)+float64(k)*math.Log(ratio))
	}
	all := logSum(logs)
	for _, l := range logs {
		p = append(p, math.Exp(l-all))
	}
	return least, p
}

func split(nc, nb, m, k uint64) Block {
	return Block{Counts{nc, k}, Counts{nb, m - k}}
}

// TestBetsAreFair is what all the rest stands on: on average over what can
// happen, no bet gains where the candidate is just as bad as allowed, and each
// loses where it is better.
func TestBetsAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nc, nb := rapid.Uint64Range(1, 60).Draw(t, "candidate"), rapid.Uint64Range(1, 60).Draw(t, "baseline")
		m := rapid.Uint64Range(0, nc+nb).Draw(t, "failures")
		allowed := rapid.Float64Range(1, 5).Draw(t, "allowed")
		for _, better := range []float64{1, 0.9, 0.3} {
			least, p := outcomes(nc, nb, m, allowed*better)
			var expected ratios
			for i := range p {
				for a, l := range split(nc, nb, m, least+uint64(i)).ratios(allowed) {
					expected[a] += p[i] * math.Exp(l)
				}
			}
			for a := range expected {
				if better == 1 {
					require.InDelta(t, 1, expected[a], 1e-9)
				}
				require.LessOrEqual(t, expected[a], 1+1e-9)
			}
		}
	})
}

func TestBetsOnManyAreFair(t *testing.T) {
	for _, c := range [][3]uint64{{9000, 9000, 9000}, {20_000, 60_000, 5000}, {60_000, 20_000, 5000}, {5000, 40_000, 9000}} {
		for _, allowed := range []float64{1, 1.5} {
			least, p := outcomes(c[0], c[1], c[2], allowed)
			require.Greater(t, len(p), exactSupport)
			for a := range alternatives {
				expected := math.Inf(-1)
				for i := range p {
					l := split(c[0], c[1], c[2], least+uint64(i)).ratios(allowed)
					expected = logSum([]float64{expected, math.Log(p[i]) + l[a]})
				}
				require.LessOrEqual(t, expected, 1e-9, "%v times %v", c, alternatives[a])
			}
		}
	}
}

func TestMoments(t *testing.T) {
	for _, c := range []struct {
		nc, nb, m uint64
		ratio     float64
	}{{5, 7, 4, 1}, {50, 10, 30, 3}, {200, 200, 200, 1.2}, {3, 900, 5, 20}, {9000, 9000, 9000, 1.3}, {20_000, 60_000, 6000, 2}} {
		least, p := outcomes(c.nc, c.nb, c.m, c.ratio)
		var mean, second float64
		for i := range p {
			k := float64(least) + float64(i)
			mean, second = mean+p[i]*k, second+p[i]*k*k
		}
		gotMean, gotVariance := split(c.nc, c.nb, c.m, least).moments(c.ratio)
		require.InEpsilon(t, mean, gotMean, 1e-4, "%+v", c)
		require.InEpsilon(t, second-mean*mean, gotVariance, 1e-3, "%+v", c)
	}
}

func TestNothingToTellApart(t *testing.T) {
	for _, b := range []Block{
		{},
		{Candidate: Counts{10, 10}},
		{Baseline: Counts{10, 3}},
		{Counts{10, 0}, Counts{10, 0}},
		{Counts{10, 10}, Counts{7, 7}},
	} {
		require.Equal(t, ratios{}, b.ratios(1), "%+v", b)
		_, variance := b.moments(1)
		require.Zero(t, variance)
	}
}
