package run

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// TestAFaultIsOverWhenItsDriverSays: care for those whom it touched is not a
// part of its period, unless lifting could not be confirmed.
func TestAFaultIsOverWhenItsDriverSays(t *testing.T) {
	tests := map[string]struct {
		gone time.Duration // after the beginning; 0 when the driver does not say
		err  error
		want time.Duration
	}{
		"said":                 {25 * time.Second, nil, 25 * time.Second},
		"not said":             {0, nil, 26 * time.Second},
		"later than now":       {time.Hour, nil, 26 * time.Second},
		"said, but not lifted": {25 * time.Second, errors.New("no answer"), 26 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, plan.Phase{
					Tests:       []plan.Test{test("checkout", 5*time.Second, 30*time.Second)},
					Disruptions: []plan.Disruption{disruption("slow", 10*time.Second, 8*time.Second)},
				})
				s.load.startup = 3 * time.Second
				began := time.Now()
				s.fault.touch, s.fault.liftErr = measure.Touch{Matched: 1, Touched: 1}, tt.err
				if tt.gone > 0 {
					s.fault.touch.Gone = began.Add(tt.gone).UnixNano()
				}
				_ = s.Run(t.Context(), "beta") // an error when it could not be lifted
				at := time.Unix(0, s.record.find(t, measure.EventLifted, "slow").At)
				require.Equal(t, tt.want, at.Sub(began))
			})
		})
	}
}
