package evidence

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func equalLooks(k int) []float64 {
	fractions := make([]float64, k)
	for i := range fractions {
		fractions[i] = float64(i+1) / float64(k)
	}
	return fractions
}

// crossing gives the chance to exceed any of the bounds.
func crossing(fractions, bounds []float64) (sum float64) {
	w := walk{}
	for i, f := range fractions {
		sum += w.exceeds(f, bounds[i])
		w.step(f, bounds[i])
	}
	return sum
}

// TestPublishedConstants checks the recursive integration against the constants
// of classical O'Brien-Fleming boundaries (Jennison and Turnbull, Group
// Sequential Methods, 2000, table 2.3) and of Pocock's (table 2.1): two-sided
// tests of alpha, whose chance to be significant to one side is alpha/2 up to
// what happens once in a million.
func TestPublishedConstants(t *testing.T) {
	for _, c := range []struct {
		alpha  float64
		looks  int
		obf    float64
		pocock float64
	}{
		{0.05, 1, 1.960, 1.960},
		{0.05, 2, 1.977, 2.178},
		{0.05, 3, 2.004, 2.289},
		{0.05, 4, 2.024, 2.361},
		{0.05, 5, 2.040, 2.413},
		{0.05, 10, 2.087, 2.555},
		{0.01, 2, 2.580, 2.772},
		{0.01, 5, 2.621, 2.986},
		{0.10, 5, 1.751, 2.122},
	} {
		fractions := equalLooks(c.looks)
		falling, level := make([]float64, c.looks), make([]float64, c.looks)
		for i := range fractions {
			falling[i], level[i] = c.obf*math.Sqrt(1/fractions[i]), c.pocock
		}
		require.InEpsilon(t, c.alpha/2, crossing(fractions, falling), 0.005, "O'Brien-Fleming %+v", c)
		require.InEpsilon(t, c.alpha/2, crossing(fractions, level), 0.02, "Pocock %+v", c)
	}
}

// TestPublishedBoundary checks the spending boundary against the published one
// of five looks (Reboussin, DeMets, Kim and Lan, Controlled Clinical Trials 21,
// 2000; the same numbers stand in the manuals of ldbounds, rpact and gsDesign).
func TestPublishedBoundary(t *testing.T) {
	bounds, err := Boundary(0.025, equalLooks(5))
	require.NoError(t, err)
	for i, want := range []float64{4.8769, 3.3569, 2.6803, 2.2898, 2.0310} {
		require.InDelta(t, want, bounds[i], 0.0006, "look %d", i+1)
	}
	require.InDelta(t, 0.025, crossing(equalLooks(5), bounds), 1e-7)
}

func TestBoundaryRefuses(t *testing.T) {
	for _, fractions := range [][]float64{{0}, {0.5, 0.5}, {0.5, 0.4}, {1.1}, {math.NaN()}} {
		_, err := Boundary(0.05, fractions)
		require.ErrorContains(t, err, "do not grow")
	}
	for _, alpha := range []float64{0, 1, -1, math.NaN(), math.Inf(1)} {
		_, err := Boundary(alpha, []float64{1})
		require.ErrorContains(t, err, "alpha")
	}
	require.Zero(t, Spent(math.NaN(), 0.5))
	require.Zero(t, Spent(0.05, math.NaN()))
	require.Equal(t, 0.05, Spent(0.05, 2))
}
