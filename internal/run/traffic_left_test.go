package run

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// leftBehind is an error of a test that came to its end.
type leftBehind struct{}

func (leftBehind) Error() string { return "it left something behind" }
func (leftBehind) Ended() bool   { return true }

// TestOnlyWhatBrokeStopsTheOthers wants the tests beside one that came to its end to go
// on, whatever it left behind, and that to be an error of the run.
func TestOnlyWhatBrokeStopsTheOthers(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		runs bool
	}{
		"it left something": {fmt.Errorf("test first: %w", leftBehind{}), true},
		"it broke":          {errors.New("it broke"), false},
		"both":              {errors.Join(leftBehind{}, errors.New("it broke")), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				phase := quick()
				second := phase.Tests[0]
				second.Name = "second"
				phase.Tests = append(phase.Tests, second)
				s := newStage(t, phase)
				ended := false
				s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) {
					return trafficFunc(func(ctx context.Context) error {
						if st.Test.Name != "second" {
							return c.err
						}
						ended = wait(ctx, time.Second) == nil
						return nil
					}), nil
				}
				require.ErrorIs(t, s.Run(t.Context(), "beta"), c.err)
				require.Equal(t, c.runs, ended)
				require.Equal(t, c.runs, s.record.find(t, measure.EventPhaseEnd, "beta").Attrs["reason"] == "", "no phase ends early for it")
			})
		})
	}
}
