package evidence

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// meansOf simulates latencies, of which the share fast takes about 100 ms and the
// others ten times as long, in seconds, and gives the share of their 95 %
// intervals that hold the true mean. Each latency depends on the one before with
// the correlation.
func meansOf(rounds, samples, perSecond int, fast, correlation float64) float64 {
	const sigma = 0.5
	truth := 100 * math.Exp(sigma*sigma/2) * (fast + 10*(1-fast))
	inside := 0
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 11))
		var b Batches
		z, sum, all := rng.NormFloat64(), 0.0, 0.0
		for i := range samples {
			z = correlation*z + math.Sqrt(1-correlation*correlation)*rng.NormFloat64()
			x := 100 * math.Exp(sigma*z)
			if rng.Float64() >= fast {
				x *= 10
			}
			sum, all = sum+x, all+x
			if (i+1)%perSecond == 0 {
				b.Add(sum / float64(perSecond))
				sum = 0
			}
		}
		if i := b.Interval(all/float64(samples), 0.975); i.Low <= truth && truth <= i.High {
			inside++
		}
	}
	return float64(inside) / float64(rounds)
}

// TestMeansCover: of means no interval is exact, because there always could be
// something that is rare and great. Where some thirty of what is slow are among
// the samples, and there are seconds enough to hold what depends on each other,
// it is near the nominal 95 %.
func TestMeansCover(t *testing.T) {
	for _, c := range []struct {
		samples, perSecond, rounds int
		fast                       []float64 // shares
		correlation, least         float64
	}{
		{10, 1, 1000, []float64{1, 0.5}, 0, 0.88},
		{100, 10, 1000, []float64{1, 0.5}, 0.5, 0.91},
		{1000, 20, 500, []float64{1, 0.5, 0.9, 0.95}, 0, 0.91},
		{1000, 20, 500, []float64{1, 0.5, 0.9, 0.95}, 0.9, 0.88},
		{100_000, 100, 100, []float64{1, 0.5, 0.9, 0.99, 0.999}, 0.5, 0.86},
	} {
		for _, fast := range c.fast {
			got := meansOf(c.rounds, c.samples, c.perSecond, fast, c.correlation)
			require.GreaterOrEqual(t, got, c.least, "%d samples, %v fast, correlation %v", c.samples, fast, c.correlation)
		}
	}
}

// TestMeansDoNotSeeWhatIsRare: no interval of a mean tells of what has not been
// met; quantiles say how many samples they want.
func TestMeansDoNotSeeWhatIsRare(t *testing.T) {
	require.Less(t, meansOf(1000, 10, 1, 0.9, 0), 0.8)
	require.Less(t, meansOf(1000, 100, 10, 0.999, 0.9), 0.9)
}

// TestNeighboursTellOfDependence: without them, a mean of seconds that depend on
// each other would be taken for more certain than it is.
func TestNeighboursTellOfDependence(t *testing.T) {
	var alike, apart, zeros Batches
	for i := range 60 {
		alike.Add(float64(i / 10)) // in runs of ten
		apart.Add(float64(i % 2))
		zeros.Add(100)
	}
	zeros.AddZeros(60)
	require.InDelta(t, 2.8, alike.inflation(), 0.15)
	require.Equal(t, 1.0, apart.inflation())
	require.Equal(t, 1.0, (&Batches{}).inflation())
	require.GreaterOrEqual(t, zeros.inflation(), 1.0)
	require.LessOrEqual(t, zeros.inflation(), 3.0)
}
