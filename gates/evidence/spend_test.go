package evidence

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSpend(t *testing.T) {
	wave, left := Spend(RolloutError, nil, 5)
	require.InDelta(t, 0.01/6, wave, 1e-15)
	require.InDelta(t, 0.05/6, left, 1e-15)

	var spent []float64
	for ahead := 5; ahead > 0; ahead-- {
		wave, left = Spend(RolloutError, spent, ahead)
		require.InDelta(t, 0.01/6, wave, 1e-15, "all waves get the same")
		spent = append(spent, wave)
	}
	require.InDelta(t, 0.01/6, left, 1e-15, "and one part is kept back")

	again, _ := Spend(RolloutError, spent[:3], 3)
	require.InDelta(t, 0.03/6/4, again, 1e-15, "the third of five is repeated")
	fewer, _ := Spend(RolloutError, spent[:2], 2)
	require.InDelta(t, 0.04/6/3, fewer, 1e-15, "one was skipped")

	wave, left = Spend(0.01, nil, 0)
	require.Zero(t, wave)
	require.Equal(t, 0.01, left)
}

func TestSpendNeverMoreThanThereIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64().Draw(t, "rate")
		var spent []float64
		sum := 0.0
		for range rapid.IntRange(0, 50).Draw(t, "waves") {
			wave, left := Spend(rate, spent, rapid.IntRange(-1, 6).Draw(t, "ahead"))
			require.GreaterOrEqual(t, wave, 0.0)
			require.GreaterOrEqual(t, left, 0.0)
			sum += wave
			require.LessOrEqual(t, sum, max(0, min(1, rate))+1e-12)
			spent = append(spent, wave)
		}
	})
	for _, spent := range []float64{math.NaN(), math.Inf(1), 1} {
		wave, _ := Spend(0.01, []float64{spent}, 3)
		require.Zero(t, wave)
	}
	wave, _ := Spend(math.NaN(), nil, 3)
	require.Zero(t, wave)
}
