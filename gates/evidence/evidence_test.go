package evidence

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

func TestSamplesFor(t *testing.T) {
	for p, want := range map[float64]uint64{0.99: 299, 0.995: 598, 0.999: 2995, 0.95: 59, 0: 1} {
		n, ok := SamplesFor(p, 0.95)
		require.True(t, ok)
		require.Equal(t, want, n, p)
	}
	_, ok := SamplesFor(1, 0.95)
	require.False(t, ok)
}

func TestShareByDefinition(t *testing.T) {
	i := Share(3, 2400, 0.95) // by definition, summed up term by term
	require.InDelta(t, 0.025, binomialSum(0, 3, 2400, i.High), 1e-6)
	require.InDelta(t, 0.975, binomialSum(0, 2, 2400, i.Low), 1e-6)
	require.InDelta(t, 1-math.Pow(0.05, 1.0/40), ShareHigh(0, 40, 0.95), 1e-12)
	require.Equal(t, Interval{0, 1}, Share(0, 0, 0.95))
	require.Equal(t, 1.0, Share(9, 9, 0.95).High)
}

func binomialSum(from, to, n int, p float64) (sum float64) {
	for k := from; k <= to; k++ {
		sum += distuv.Binomial{N: float64(n), P: p}.Prob(float64(k))
	}
	return sum
}

func TestFailsAtIsTheFirstToExclude(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, 100_000).Draw(t, "n")
		p := rapid.Float64Range(0, 0.5).Draw(t, "p")
		k, ok := FailsAt(n, p, 0.95)
		if !ok {
			require.False(t, Excludes(n, n, p, 0.95))
			return
		}
		require.True(t, Excludes(k, n, p, 0.95))
		require.False(t, Excludes(k-1, n, p, 0.95))
		require.Greater(t, shareLow(k, n, 0.95), p-1e-9)
	})
}

func TestQuantileRanksCover(t *testing.T) {
	for _, n := range []uint64{20, 59, 300, 5000} {
		for _, q := range []float64{0.5, 0.95, 0.99} {
			low, high := QuantileRanks(n, q, 0.95)
			require.Less(t, low, high)
			if low > 0 {
				require.LessOrEqual(t, atMost(low-1, n, q), 0.025+1e-9)
			}
			require.Greater(t, atMost(low, n, q), 0.025, "the next rank is too high: n %d q %v", n, q)
			if high <= n {
				require.LessOrEqual(t, atLeast(high, n, q), 0.025+1e-9)
			}
		}
	}
	_, high := QuantileRanks(71, 0.95, 0.95)
	require.Equal(t, uint64(72), high, "0.95^71 is over 2.5 %: the upper side is open")
	_, high = QuantileRanks(72, 0.95, 0.95)
	require.Equal(t, uint64(72), high, "0.95^72 is under 2.5 %")
}

func TestAllowedErrorExactlyExcludesNothing(t *testing.T) {
	require.False(t, Excludes(1, 1, 1-0.95, 0.95), "one sample over p95 has the probability 5 %")
	require.False(t, Excludes(1, 1, 0.05, 0.95))
	require.True(t, Excludes(1, 1, 0.0499, 0.95))
}

func TestBatchesOfZeros(t *testing.T) {
	var a, b Batches
	for _, x := range []float64{3, 5, 0, 0, 0} {
		a.Add(x)
	}
	b.Add(3)
	b.Add(5)
	b.AddZeros(3)
	b.Add(math.NaN())
	want, got := a.Interval(1.6, 0.95), b.Interval(1.6, 0.95)
	require.InDelta(t, want.Low, got.Low, 1e-9)
	require.Equal(t, a.Count(), b.Count())
	require.True(t, math.IsInf((&Batches{}).Interval(0, 0.9).High, 1))
}

func TestRatioAndSplit(t *testing.T) {
	i := Ratio(200, 100, 0.95)
	require.Less(t, i.Low, 2.0)
	require.Greater(t, i.Low, 1.5)
	require.Greater(t, i.High, 2.0)
	require.True(t, math.IsInf(Ratio(5, 0, 0.95).High, 1))
	require.InDelta(t, 0.99, Split(0.95, 5), 1e-12)
	require.Equal(t, 0.95, Split(0.95, 0))
}
