package run

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// While a script's fault is in effect failures are no sickness; before it and
// after it they are.
func TestFaultsOfScriptsAreNoSickness(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	second := func(n int) time.Time { return now.Add(time.Duration(n-8) * time.Second) }
	failing := func(n int) measure.Batch {
		return measure.Batch{Windows: []measure.Window{{
			Series: measure.Series{Metric: measure.MetricRequest, Arm: measure.Candidate}, Start: second(n).UnixNano(), Width: int64(time.Second), Count: 20, Failed: 20,
		}}}
	}
	event := func(kind string, n int, test, problem string) measure.Batch {
		return measure.Batch{Events: []measure.Event{{Kind: kind, At: second(n).UnixNano(), Test: test, Name: "slow", Attrs: map[string]string{"error": problem}}}}
	}
	h := newHealth(plan.Phase{})
	h.heard(event(measure.EventDisruption, 1, "browse", ""))
	for n := 2; n < 5; n++ {
		h.heard(failing(n))
	}
	require.Empty(t, h.sick(now), "the fault is in effect")
	h.heard(event(measure.EventLifted, 5, "browse", "the API server is away"))
	h.heard(failing(5))
	require.Empty(t, h.sick(now), "and may still be")
	h.heard(event(measure.EventLifted, 6, "browse", ""))
	require.Empty(t, h.sick(now))
	h.heard(failing(7))
	require.Contains(t, h.sick(now), "20 of the last 20 requests failed")

	h = newHealth(plan.Phase{})
	h.heard(event(measure.EventDisruption, 1, "", "")) // the conductor's own, which notes it otherwise
	h.heard(failing(2))
	require.NotEmpty(t, h.sick(now))
}

func TestControlForScripts(t *testing.T) {
	yes := true
	tests := map[string]struct {
		change func(p *plan.Phase)
		want   bool
	}{
		"a script":                 {func(*plan.Phase) {}, true},
		"no script":                {func(p *plan.Phase) { p.Tests[0].Load.Script = "" }, false},
		"production":               {func(p *plan.Phase) { p.Production = &yes }, false},
		"production that is meant": {func(p *plan.Phase) { p.Production, p.Disrupt = &yes, true }, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			phase := plan.Phase{Tests: []plan.Test{test("browse", 0, time.Millisecond)}}
			phase.Tests[0].Load.Script = "browse.js"
			tt.change(&phase)
			s := newStage(t, phase)
			s.ID = "run-1"
			var stream plan.Stream
			traffic := s.Adapters.Traffic
			s.Adapters.Traffic = func(st plan.Stream) (Traffic, error) {
				stream = st
				return traffic(st)
			}
			where, stops := plan.Control{URL: "http://127.0.0.1:9", Token: "t"}, 0
			s.Adapters.Control = func(proxies map[string]Dependency) (plan.Control, func() error, error) {
				require.Contains(t, proxies, "payments")
				return where, func() error {
					require.False(t, s.proxy.closed, "faults are lifted before the proxies are closed")
					stops++
					return nil
				}, nil
			}
			require.NoError(t, s.Run(t.Context(), "beta"))
			require.Equal(t, "run-1", stream.Run)
			require.Equal(t, phase.Disrupt, stream.Disrupt)
			if !tt.want {
				require.Nil(t, stream.Control)
				require.Zero(t, stops)
				return
			}
			require.Equal(t, &where, stream.Control)
			require.Equal(t, 1, stops)
		})
	}
}
