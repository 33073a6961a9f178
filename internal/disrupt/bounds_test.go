package disrupt

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// A fault that flaps is on first, lets go of what it holds when its turn is
// over, and counts only what came while it was on.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := readBounds(plan.Disruption{Flap: &plan.Flap{On: plan.Duration(2 * time.Second), Off: plan.Duration(3 * time.Second)}}, 1)
		require.NoError(t, err)
		tally := b.begin()
		var on []bool
		for second := range 12 {
			turn, touched := tally.take()
			on = append(on, touched)
			if second == 5 {
				start := time.Now()
				require.False(t, turn.wait(t.Context(), time.Hour))
				require.Equal(t, 2*time.Second, time.Since(start), "the end of its turn")
			}
			<-time.After(time.Second)
		}
		require.Equal(t, []bool{true, true, false, false, false, true, false, false, true, true, false, false}, on)
		require.Equal(t, measure.Touch{Matched: 5, Touched: 5}, tally.end())
		_, touched := tally.take()
		require.False(t, touched)
	})
}

// What the share could not pick from any more was not matched.
func TestFirstOfAShare(t *testing.T) {
	b, err := readBounds(plan.Disruption{Share: 0.5, First: 10}, 1)
	require.NoError(t, err)
	tally := b.begin()
	for range 1000 {
		tally.take()
	}
	count := tally.end()
	require.EqualValues(t, 10, count.Touched)
	require.Less(t, count.Matched, uint64(40))
}

// What had nothing in it to harm was neither matched nor touched.
func TestSpared(t *testing.T) {
	for spared, want := range []measure.Touch{{Matched: 3, Touched: 3}, {Matched: 2, Touched: 2}, {Matched: 1, Touched: 1}, {}} {
		tally := bounds{share: 1}.begin()
		for range 3 {
			tally.take()
		}
		for range spared {
			tally.spare()
		}
		require.Equal(t, want, tally.soFar())
		require.Equal(t, want, tally.end())
		tally.spare()
		require.Equal(t, want, tally.end(), "counts no longer move")
	}
}
