package shadow

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// TestPace wants the first exchange at once, and the others after it.
func TestPace(t *testing.T) {
	var fast plan.Speed
	require.NoError(t, fast.UnmarshalText([]byte("max")))
	recorded := []time.Duration{5 * time.Second, 5500 * time.Millisecond, 5200 * time.Millisecond, 7 * time.Second}
	for name, c := range map[string]struct {
		pace pace
		want []time.Duration // in milliseconds
	}{
		"as recorded":     {pace{speed: 1}, []time.Duration{0, 500, 500, 2000}},
		"twice as fast":   {pace{speed: 2}, []time.Duration{0, 250, 250, 1000}},
		"half as fast":    {pace{speed: 0.5}, []time.Duration{0, 1000, 1000, 4000}},
		"at a rate":       {pace{rate: 4}, []time.Duration{0, 250, 500, 750}},
		"as fast as goes": {pace{speed: fast}, []time.Duration{0, 0, 0, 0}},
	} {
		for i, at := range recorded {
			require.Equal(t, c.want[i]*time.Millisecond, c.pace.due(taped.Add(at)), "%s, %d", name, i)
		}
	}
	ended, end := context.WithCancel(t.Context())
	require.True(t, awaitMoment(ended, time.Now()))
	end()
	require.False(t, awaitMoment(ended, time.Now().Add(-time.Hour)), "what is late is not sent after the end")
	require.False(t, awaitMoment(ended, time.Now().Add(time.Hour)))
}
