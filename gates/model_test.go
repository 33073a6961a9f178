package gates

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func leaf(name string) Part { return Part{Name: name} }

func series(parts ...Part) Part { return Part{Series: parts} }

func parallel(need int, common float64, parts ...Part) Part {
	return Part{Parallel: &Parallel{Need: need, Of: parts, Common: common}}
}

func TestCompose(t *testing.T) {
	abc := []Part{leaf("a"), leaf("b"), leaf("c")}
	for name, tt := range map[string]struct {
		model  Part
		leaves []float64
		want   float64
	}{
		"one":                    {leaf("a"), []float64{0.9}, 0.9},
		"series":                 {series(abc...), []float64{0.999, 0.999, 0.99}, 0.98802099},
		"one of two":             {parallel(1, 0, abc[:2]...), []float64{0.99, 0.9}, 0.999},
		"one of three":           {parallel(1, 0, abc...), []float64{0.9, 0.8, 0.7}, 0.994},
		"two of three":           {parallel(2, 0, abc...), []float64{0.9, 0.9, 0.9}, 0.972},
		"two of three, unlike":   {parallel(2, 0, abc...), []float64{0.9, 0.8, 0.7}, 0.902}, // .504 + .216 + .126 + .056
		"copies":                 {Part{Parallel: &Parallel{Need: 2, Copies: 3, Of: abc[:1]}}, []float64{0.9}, 0.972},
		"one of two, 10 % alike": {parallel(1, 0.1, abc[:2]...), []float64{0.99, 0.99}, (1 - 0.001) * (1 - 0.009*0.009)},
		"the best one bounds what is common": {
			parallel(1, 0.1, abc[:2]...), []float64{0.999, 0.9}, (1 - 0.0001) * (1 - 0.0009*0.09),
		},
		"all in common":         {parallel(1, 1, abc...), []float64{0.9, 0.9, 0.9}, 0.9},
		"parallel in series":    {series(leaf("a"), parallel(1, 0, abc[1:]...)), []float64{0.999, 0.99, 0.99}, 0.999 * 0.9999},
		"series in parallel":    {parallel(1, 0, series(abc[:2]...), leaf("c")), []float64{0.9, 0.9, 0.8}, 1 - 0.19*0.2},
		"what is not known":     {series(abc[:2]...), []float64{0.9, math.NaN()}, math.NaN()},
		"one that never works":  {parallel(1, 0.5, abc[:2]...), []float64{0, 1}, 1 - 0.5*0},
		"more than there are":   {parallel(4, 0, abc[:2]...), []float64{1, 1}, 0},
		"none of two ever work": {parallel(1, 0, abc[:2]...), []float64{0, 0}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			require.Len(t, tt.model.Leaves(), len(tt.leaves))
			got := tt.model.Compose(tt.leaves)
			if math.IsNaN(tt.want) {
				require.True(t, math.IsNaN(got))
				return
			}
			require.InDelta(t, tt.want, got, 1e-12)
		})
	}
}

func TestImportances(t *testing.T) {
	// A pair behind one that all need: that one is the weakest, though each of
	// the pair is worse.
	model := series(leaf("front"), parallel(1, 0, leaf("a"), leaf("b")))
	all := model.Importances([]float64{0.99, 0.95, 0.9})
	require.InDelta(t, 0.995, all[0].Birnbaum, 1e-12)
	require.InDelta(t, 0.00995, all[0].Gain, 1e-12)
	require.InDelta(t, 0.99*0.1, all[1].Birnbaum, 1e-12, "a matters while b fails")
	require.InDelta(t, 0.99*0.005, all[1].Gain, 1e-12)
	require.Equal(t, 0, Weakest(all))
	require.Equal(t, -1, Weakest(model.Importances([]float64{1, 1, 1})), "nothing to gain")
	require.Equal(t, -1, Weakest(nil))
	require.Equal(t, 1, Weakest(model.Importances([]float64{1, 0.9, 0.9})), "the first of two that are as weak")
}

// availabilities draws n of them.
func availabilities(t *rapid.T, n int) []float64 {
	return rapid.SliceOfN(rapid.Float64Range(0, 1), n, n).Draw(t, "availabilities")
}

// TestParallelIsCountedOut compares with all 2^n states of the parts.
func TestParallelIsCountedOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 10).Draw(t, "n")
		k := rapid.IntRange(1, n).Draw(t, "k")
		work := availabilities(t, n)
		want := 0.0
		for state := range 1 << n {
			p, up := 1.0, 0
			for i, a := range work {
				if state>>i&1 == 1 {
					p, up = p*a, up+1
				} else {
					p *= 1 - a
				}
			}
			if up >= k {
				want += p
			}
		}
		require.InDelta(t, want, Parallel{Need: k}.of(work), 1e-12)
	})
}

func TestModelProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "n")
		k := rapid.IntRange(1, n).Draw(t, "k")
		common := rapid.Float64Range(0, 1).Draw(t, "common")
		work := availabilities(t, n)
		parts := slices.Repeat([]Part{leaf("")}, n)
		least, most := slices.Min(work), slices.Max(work)
		chain, group, some := series(parts...), parallel(1, 0, parts...), parallel(k, common, parts...)

		require.LessOrEqual(t, chain.Compose(work), least+1e-12, "a chain is no better than its weakest link")
		require.GreaterOrEqual(t, group.Compose(work), most-1e-12, "a group is no worse than its best part")
		require.GreaterOrEqual(t, parallel(1, common, parts...).Compose(work), most-1e-12, "whatever they have in common")
		require.InDelta(t, chain.Compose(work), parallel(n, 0, parts...).Compose(work), 1e-12, "all of n are a chain")

		got := some.Compose(work)
		require.True(t, got >= 0 && got <= 1, got)
		shuffled := rapid.Permutation(work).Draw(t, "shuffled")
		require.InDelta(t, got, some.Compose(shuffled), 1e-12, "the order does not matter")
		if k < n {
			require.GreaterOrEqual(t, got, parallel(k+1, common, parts...).Compose(work)-1e-12, "to need more is no better")
		}
		i := rapid.IntRange(0, n-1).Draw(t, "i")
		better := slices.Clone(work)
		better[i] = rapid.Float64Range(work[i], 1).Draw(t, "better")
		require.GreaterOrEqual(t, some.Compose(better), got-1e-12, "a better part makes nothing worse")
		for _, one := range some.Importances(work) {
			require.GreaterOrEqual(t, one.Birnbaum, one.Gain-1e-12)
		}
	})
}
