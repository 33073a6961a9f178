package traffic

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Ten arrivals a second meet one worker that is stuck from 0.0 to 1.0 s and
// then takes 10 ms for each.
func TestArrivalsBehindAStuckWorkerAreDelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newSchedule(curve{{2, 10, 10}}, "", 0)
		require.NoError(t, err)
		a := &arrivals{sending: t.Context(), began: time.Now(), schedule: s, workers: 1}
		var delayed []bool
		for i := range uint64(20) {
			_, stop := a.Pace(0, i)
			require.False(t, stop)
			if i == 1 {
				time.Sleep(900 * time.Millisecond) // vegeta waits for the worker
				a.done()
			}
			got, ok := a.take()
			require.True(t, ok)
			require.Equal(t, time.Duration(i)*100*time.Millisecond, got.at)
			delayed = append(delayed, got.delayed)
			if i > 0 {
				time.Sleep(10 * time.Millisecond)
				a.done()
			}
		}
		for i, d := range delayed {
			require.Equal(t, i >= 1 && i <= 11, d, "arrival %d", i)
		}
		_, stop := a.Pace(0, 20)
		require.True(t, stop)
		require.Empty(t, a.missed(time.Hour))
	})
}

func TestMissedArrivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		s, err := newSchedule(curve{{1, 10, 10}}, "", 0)
		require.NoError(t, err)
		a := &arrivals{sending: ctx, began: time.Now(), schedule: s, workers: 1}
		a.Pace(0, 0)
		a.Pace(0, 1)
		_, _ = a.take()
		_, stop := a.Pace(0, 2)
		require.True(t, stop, "interrupted while it waited")
		require.Equal(t, 150*time.Millisecond, time.Since(a.began))
		require.Equal(t, []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond}, a.missed(350*time.Millisecond))
	})
}
