package evidence

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/measure"
)

// strangeCounts are counts that nothing sane counts.
var strangeCounts = rapid.Custom(func(t *rapid.T) Counts {
	n := rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64Range(0, 500), rapid.Uint64()).Draw(t, "n")
	k := rapid.OneOf(rapid.Just(uint64(0)), rapid.Just(n), rapid.Uint64Range(0, 3), rapid.Uint64()).Draw(t, "failed")
	return Counts{N: n, Failed: k}
})

var strangeFloats = rapid.SampledFrom([]float64{
	0, 1, -1, 0.5, 1e-300, 1e300, -1e300, math.MaxFloat64, math.Inf(1), math.Inf(-1), math.NaN(), math.SmallestNonzeroFloat64,
})

func requireFinding(t require.TestingT, f Finding) {
	require.False(t, math.IsNaN(f.Log), "%+v", f)
	require.GreaterOrEqual(t, f.Inflation, 1.0)
	require.NotEmpty(t, f.String())
	require.False(t, f.Certain(0) || f.Certain(math.NaN()) || f.Certain(-1) || f.Certain(1))
}

func TestStrangeCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		watch, bake := NewShareWatch(strangeFloats.Draw(t, "allowed")), NewShareBake(Margin{strangeFloats.Draw(t, "ratio"), strangeFloats.Draw(t, "difference")})
		objective, err := NewObjectiveWatch(strangeFloats.Draw(t, "objective"))
		for range rapid.IntRange(0, 40).Draw(t, "blocks") {
			b := Block{strangeCounts.Draw(t, "candidate"), strangeCounts.Draw(t, "baseline")}
			watch.Add(b)
			bake.Add(b)
			if err == nil {
				objective.Add(b.Candidate)
			}
		}
		requireFinding(t, watch.Finding())
		if err == nil {
			requireFinding(t, objective.Finding())
		}
		require.NotEmpty(t, bake.Decide(strangeFloats.Draw(t, "bound")).String())
	})
}

func TestStrangeLatencies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		watch := NewLatencyWatch(newSketch, strangeFloats.Draw(t, "allowed"))
		bake := NewLatencyBake(newSketch, Margin{Ratio: strangeFloats.Draw(t, "ratio")})
		for range rapid.IntRange(0, 40).Draw(t, "blocks") {
			var arms [2]*measure.Sketch
			for i := range arms {
				if values := rapid.SliceOfN(strangeFloats, 0, 5).Draw(t, "values"); len(values) > 0 {
					arms[i] = measure.NewSketch(values...)
				}
			}
			watch.Add(arms[0], arms[1])
			bake.Add(arms[0], arms[1])
		}
		f := watch.Finding()
		require.False(t, math.IsNaN(f.Log))
		require.NotEmpty(t, f.String())
		for _, e := range f.Exceeded {
			requireFinding(t, e.Finding)
		}
		require.NotEmpty(t, bake.Decide(strangeFloats.Draw(t, "bound")).String())
	})
}

// TestNothingIsNoEvidence: no data, one arm, equal arms, and all failing in both.
func TestNothingIsNoEvidence(t *testing.T) {
	require.False(t, NewShareBake(Margin{Ratio: 2}).Decide(-1).Worse, "no data do not reach any bound")
	for name, b := range map[string]Block{
		"nothing":            {},
		"no baseline":        {Candidate: Counts{100, 100}},
		"no candidate":       {Baseline: Counts{100, 1}},
		"no failures":        {Counts{100, 0}, Counts{100, 0}},
		"all failed":         {Counts{100, 100}, Counts{100, 100}},
		"equal":              {Counts{100, 3}, Counts{100, 3}},
		"better":             {Counts{100, 1}, Counts{100, 3}},
		"failures of nobody": {Candidate: Counts{0, 9}, Baseline: Counts{100, 0}},
	} {
		watch, bake := NewShareWatch(1), NewShareBake(Margin{Ratio: 1})
		for range 600 {
			watch.Add(b)
			bake.Add(b)
		}
		require.LessOrEqual(t, watch.Finding().Log, 1e-9, name)
		d := bake.Decide(1.645)
		require.False(t, d.Worse, name)
		require.NotEqual(t, Inferior, d.Outcome, name)
		if name != "better" {
			require.Equal(t, Undecided, d.Outcome, name)
		}
	}
}

func TestObjectiveRefuses(t *testing.T) {
	for _, objective := range []float64{0, 1, -1, 2, math.NaN(), math.Inf(1)} {
		_, err := NewObjectiveWatch(objective)
		require.ErrorContains(t, err, "is not between 0 and 1")
	}
	for _, q := range []float64{0, 1, math.NaN()} {
		_, err := NewQuantileBake(newSketch, Margin{Ratio: 1.1}, q)
		require.ErrorContains(t, err, "is not between 0 and 1")
	}
}
