package evidence

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	coveredSizes  = []uint64{10, 100, 1000, 100_000}
	coveredShares = []float64{0.5, 0.9, 0.99, 0.999, 0.9999}
)

// covered gives the probability that a binomial count lies where an
// interval covers: from the first count with covers true to the last. The
// intervals here move up with the count, so those in between cover too.
func covered(n uint64, p float64, tooHigh, tooLow func(k uint64) bool) float64 {
	first := uint64(sort.Search(int(n)+1, func(k int) bool { return !tooLow(uint64(k)) }))
	after := uint64(sort.Search(int(n)+1, func(k int) bool { return tooHigh(uint64(k)) }))
	if after <= first {
		return 0
	}
	return atLeast(first, n, p) - atLeast(after, n, p)
}

// TestSharesCover computes the exact probability that the interval holds the
// true share; Clopper and Pearson promise that it is never below the nominal
// one. The shares are those of successes and, mirrored, of failures.
func TestSharesCover(t *testing.T) {
	for _, n := range coveredSizes {
		for _, p := range coveredShares {
			for _, p := range []float64{p, 1 - p} {
				for _, confidence := range []float64{0.9, 0.95, 0.99} {
					got := covered(n, p,
						func(k uint64) bool { return Share(k, n, confidence).Low > p },
						func(k uint64) bool { return Share(k, n, confidence).High < p })
					require.GreaterOrEqual(t, got, confidence-1e-9, "n %d p %v", n, p)
				}
			}
		}
	}
}

// TestCoveredIsWhatIsSummedUp checks the shortcut of the test above on all
// counts, where there are few.
func TestCoveredIsWhatIsSummedUp(t *testing.T) {
	for _, n := range []uint64{10, 100} {
		for _, p := range coveredShares {
			sum := 0.0
			for k := uint64(0); k <= n; k++ {
				if i := Share(k, n, 0.95); i.Low <= p && p <= i.High {
					sum += binomialSum(int(k), int(k), int(n), p)
				}
			}
			require.InDelta(t, sum, covered(n, p,
				func(k uint64) bool { return Share(k, n, 0.95).Low > p },
				func(k uint64) bool { return Share(k, n, 0.95).High < p }), 1e-9)
		}
	}
}

// TestRanksCover: of n samples, those below the quantile q are binomial; the
// ranks enclose it when at least low and fewer than high of them are.
func TestRanksCover(t *testing.T) {
	for _, n := range coveredSizes {
		for _, q := range coveredShares {
			for _, confidence := range []float64{0.9, 0.95, 0.99} {
				low, high := QuantileRanks(n, q, confidence)
				got := atLeast(low, n, q) - atLeast(high, n, q)
				require.GreaterOrEqual(t, got, confidence-1e-9, "n %d q %v", n, q)
			}
		}
	}
}

// TestRatiosCover: given the sum, the first of two counts is binomial.
func TestRatiosCover(t *testing.T) {
	for _, n := range coveredSizes {
		for _, p := range coveredShares {
			ratio := odds(p)
			got := covered(n, p,
				func(k uint64) bool { return Ratio(k, n-k, 0.95).Low > ratio*(1+1e-12) },
				func(k uint64) bool { return Ratio(k, n-k, 0.95).High < ratio*(1-1e-12) })
			require.GreaterOrEqual(t, got, 0.95-1e-9, "n %d p %v", n, p)
		}
	}
}

// TestBatchesCover simulates means: of independent values, where Student's t is
// exact, and of batches of an AR(1) that are long against what they depend on.
func TestBatchesCover(t *testing.T) {
	for name, c := range map[string]struct {
		batches int
		next    func(rng *rand.Rand) func() float64
	}{
		"10 independent":  {10, func(rng *rand.Rand) func() float64 { return rng.NormFloat64 }},
		"100 independent": {100, func(rng *rand.Rand) func() float64 { return rng.NormFloat64 }},
		"1,000 independent": {
			1000, func(rng *rand.Rand) func() float64 { return rng.NormFloat64 },
		},
		"30 of 200 dependent": {30, func(rng *rand.Rand) func() float64 {
			next := autoregressive(rng, 0.5, 200)
			return func() float64 { return next().score / 200 }
		}},
	} {
		rounds, inside := 1000, 0
		for seed := range uint64(rounds) {
			var b Batches
			next, sum := c.next(rand.New(rand.NewPCG(seed, 4))), 0.0
			for range c.batches {
				x := 100 + 10*next()
				sum += x
				b.Add(x)
			}
			if i := b.Interval(sum/float64(c.batches), 0.975); i.Low <= 100 && 100 <= i.High {
				inside++
			}
		}
		require.InDelta(t, 0.95, float64(inside)/float64(rounds), 0.022, name)
	}
	require.True(t, math.IsInf((&Batches{}).Interval(0, 0.9).High, 1))
}
