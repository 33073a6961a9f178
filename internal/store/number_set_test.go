package store

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNumberSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, model := numberSet{}, map[uint64]bool{}
		for _, n := range rapid.SliceOf(rapid.OneOf(rapid.Uint64Range(0, 200), rapid.Uint64Range(numberPage-2, numberPage+2), rapid.Uint64Min(math.MaxUint64-70))).Draw(t, "numbers") {
			require.Equal(t, !model[n], set.add(n), n)
			model[n] = true
		}
		require.EqualValues(t, len(model), set.count())
	})
}
