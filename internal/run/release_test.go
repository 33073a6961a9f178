package run

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// holding is a fault that holds something from Prepare on.
type holding struct {
	fault
	released atomic.Int32
	err      error
	hang     bool
}

func (h *holding) Release(ctx context.Context) error {
	h.mu.Lock()
	over := h.injected.IsZero() || !h.lifted.IsZero()
	h.mu.Unlock()
	if !over {
		return errors.New("the fault is in effect")
	}
	if err := ctx.Err(); err != nil {
		return err // it must get a context of its own
	}
	h.released.Add(1)
	if h.hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return h.err
}

func TestWhatIsHeldIsGivenBack(t *testing.T) {
	tests := map[string]struct {
		change  func(h *holding)
		stopped bool
		warning string
	}{
		"after the fault":                  {},
		"when preparing failed":            {change: func(h *holding) { h.prepareErr = errors.New("no rights") }},
		"when it was skipped":              {change: func(h *holding) { h.injectErr = errors.New("no answer") }},
		"when the run was interrupted":     {stopped: true},
		"and it is told if it can not be":  {change: func(h *holding) { h.err = errors.New("the API server is away") }, warning: "disruption slow: the API server is away"},
		"and it is not waited for forever": {change: func(h *holding) { h.hang = true }, warning: "disruption slow: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &holding{}
				if tt.change != nil {
					tt.change(h)
				}
				s := quickStage(t, h)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.stopped {
					time.AfterFunc(10*time.Millisecond, cancel)
				}
				began := time.Now()
				err := s.Run(ctx, "beta")
				require.Equal(t, h.prepareErr != nil || tt.stopped, err != nil, "%v", err)
				require.EqualValues(t, 1, h.released.Load())
				require.Less(t, time.Since(began), 10*time.Second)
				if tt.warning == "" {
					require.NotContains(t, s.record.told(), measure.EventWarning+" slow")
				} else {
					require.Contains(t, s.record.find(t, measure.EventWarning, "slow").Attrs["detail"], tt.warning)
				}
			})
		})
	}
}
