package gates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// TestChecksTellWhenTheyLooked wants the stretches of each period of a test that
// warms up for 5 s and is disturbed from its 10th to its 20th second.
func TestChecksTellWhenTheyLooked(t *testing.T) {
	at := func(second int64) int64 { return second * measure.Second }
	events := []measure.Event{
		{Kind: measure.EventTest, At: at(0), Phase: "beta", Test: "browse", Arm: measure.Candidate, Attrs: map[string]string{"kind": "load", "warmup": "5s"}},
		{Kind: measure.EventDisruption, At: at(10), Phase: "beta", Name: "slow", Attrs: map[string]string{"fault": "latency", "settle": "3s"}},
		{Kind: measure.EventLifted, At: at(20), Phase: "beta", Name: "slow", Attrs: map[string]string{"touched": "1", "matched": "1"}},
		{Kind: measure.EventTestEnd, At: at(40), Phase: "beta", Test: "browse", Arm: measure.Candidate, Attrs: map[string]string{"complete": "true"}},
	}
	for text, want := range map[string][][2]int64{
		"availability >= 99%":               {{5, 10}, {23, 40}},
		"availability >= 99% overall":       {{5, 40}},
		"availability >= 99% during slow":   {{10, 20}},
		"availability >= 99% after slow":    {{20, 40}},
		"availability >= 99% during absent": nil,
	} {
		verdict := Judge([]Gate{{Text: text}}, Record{Phase: "beta", Events: events})
		var got [][2]int64
		for _, s := range verdict.Checks[0].Stretches {
			got = append(got, [2]int64{s.From.UnixNano() / int64(time.Second), s.To.UnixNano() / int64(time.Second)})
		}
		require.Equal(t, want, got, text)
	}
}
