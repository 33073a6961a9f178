package measure

import (
	"math"
	"slices"

	"github.com/stretchr/testify/require"
)

// quantiles that every check of a sketch looks at.
var quantiles = []float64{0, 0.001, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9999, 1}

// checkSketch is the oracle that property tests and fuzz targets share: it
// holds a sketch against the very values that it summarises.
func checkSketch(t require.TestingT, s *Sketch, values []float64) {
	sorted := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	slices.Sort(sorted)
	require.Equal(t, uint64(len(sorted)), s.Count())
	for _, q := range quantiles {
		got, ok := s.Quantile(q)
		require.Equal(t, len(sorted) > 0, ok)
		if !ok {
			continue
		}
		want := sorted[nearestRank(q, len(sorted))]
		requireClose(t, want, got)
		above := float64(s.CountAbove(got))
		require.LessOrEqual(t, above, (1-q)*float64(len(sorted))+1e-6, "CountAbove and Quantile(%v) disagree", q)
	}
	for _, v := range sorted {
		checkCountAbove(t, s, sorted, v)
	}
}

// checkCountAbove allows for the sketch's error: the count must be the true
// one of some limit within 1 %.
func checkCountAbove(t require.TestingT, s *Sketch, sorted []float64, limit float64) {
	margin := math.Abs(limit)*0.01 + 3e-308
	least := countAbove(sorted, limit+margin)
	most := countAbove(sorted, limit-margin)
	got := s.CountAbove(limit)
	if math.Abs(limit) < 1e308 { // what is above is not told apart
		require.GreaterOrEqual(t, got, least, "above %v", limit)
	}
	if math.Abs(limit) < 1e300 {
		require.LessOrEqual(t, got, most, "above %v", limit)
	}
}

func countAbove(sorted []float64, limit float64) uint64 {
	var n uint64
	for _, v := range sorted {
		if v > limit {
			n++
		}
	}
	return n
}

// nearestRank finds the zero-based rank by definition, not by the formula of
// the sketch: the least rank with at least the share q at or below it.
func nearestRank(q float64, n int) int {
	for i := range n {
		if float64(i+1)/float64(n) >= q {
			return i
		}
	}
	return n - 1
}

func requireClose(t require.TestingT, want, got float64) {
	switch {
	case math.Abs(want) < 3e-308: // below what is told apart from zero
		require.InDelta(t, want, got, 3e-308)
	case math.Abs(want) > 1.2e308: // above what is told apart
		require.Equal(t, math.Signbit(want), math.Signbit(got))
		require.Greater(t, math.Abs(got), 1.2e308)
	default:
		require.LessOrEqual(t, math.Abs(got/want-1), 0.01, "want %v got %v", want, got)
	}
}

// checkRoundTrip encodes and decodes a sketch both ways.
func checkRoundTrip(t require.TestingT, s *Sketch) {
	data, err := s.MarshalBinary()
	require.NoError(t, err)
	var binary Sketch
	require.NoError(t, binary.UnmarshalBinary(data))
	requireSame(t, s, &binary)
	text, err := s.MarshalJSON()
	require.NoError(t, err)
	var fromText Sketch
	require.NoError(t, fromText.UnmarshalJSON(text))
	requireSame(t, s, &fromText)
}

func requireSame(t require.TestingT, want, got *Sketch) {
	require.Equal(t, want.count, got.count)
	require.True(t, slices.Equal(want.bins, got.bins), "want %v got %v", want.bins, got.bins)
}
