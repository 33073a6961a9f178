package canary

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

func TestPlay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n, lost atomic.Int64
		w := &world{vus: 3, tries: func(measure.Probe, plan.Identity, time.Time) (measure.Finding, time.Duration) {
			n.Add(1)
			return fine, 100 * time.Millisecond
		}}
		w.dies = func(time.Time) bool { return lost.Add(1)%10 == 0 }
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tasks := []Task{task("order", 10*time.Second, tenants(20))}
		require.NoError(t, Play(ctx, NewScheduler(tasks, "shop", time.Now().UnixNano(), never), w))
		require.InDelta(t, 120, n.Load(), 3)
	})
	gone := &world{}
	require.ErrorContains(t, Play(t.Context(), NewScheduler(nil, "shop", 0, never), gone), "ended by itself")
}
