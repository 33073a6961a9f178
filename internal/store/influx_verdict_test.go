package store

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

// TestLimitsAreWrittenOverTheirTime wants a point where each stretch begins, one
// each minute of it and one where it ends, and none of a check without a limit.
func TestLimitsAreWrittenOverTheirTime(t *testing.T) {
	limit := 300.0
	check := gates.Check{Text: "latency p95 <= 300ms", Period: "steady", SLI: "latency p95", Unit: gates.UnitTime, Limit: &limit, Stretches: []gates.Stretch{
		{From: time.Unix(5, 0), To: time.Unix(10, 0)}, {From: time.Unix(23, 0), To: time.Unix(150, 0)},
	}}
	applies := map[int64]any{}
	for _, p := range limitLine(someRun(), "beta", check) {
		r, at := readLine(t, lineOf(p))
		require.Equal(t, json.Number("300"), r["limit"])
		require.Equal(t, "latency p95", r["sli"])
		applies[at.Unix()] = r["applies"]
	}
	one, zero := json.Number("1"), json.Number("0")
	require.Equal(t, map[int64]any{5: one, 10: zero, 23: one, 83: one, 143: one, 150: zero}, applies)

	for _, none := range []*float64{nil, new(float64)} {
		if none != nil {
			*none = math.Inf(1)
		}
		check.Limit = none
		require.Empty(t, limitLine(someRun(), "beta", check))
	}
}

// TestLimitsOfALongRunAreFew wants a bound on the points of a stretch.
func TestLimitsOfALongRunAreFew(t *testing.T) {
	limit := 1.0
	check := gates.Check{Limit: &limit, Stretches: []gates.Stretch{{From: time.Unix(0, 0), To: time.Unix(0, 0).Add(72 * time.Hour)}}}
	require.Len(t, limitLine(someRun(), "beta", check), limitPoints+1)
}

// TestChecksSayWhetherTheyHeld wants what can not be told in no mean.
func TestChecksSayWhetherTheyHeld(t *testing.T) {
	for outcome, want := range map[gates.Outcome]any{gates.Pass: int64(1), gates.Fail: int64(0), gates.Inconclusive: nil} {
		require.Equal(t, want, checkFields(gates.Check{Outcome: outcome})["held"], outcome)
	}
	require.Equal(t, int64(1), checkFields(gates.Check{})["weight"], "0 means 1")
}

func TestVersionOfACandidate(t *testing.T) {
	for want, v := range map[string]gates.Version{
		"":            {Arm: measure.Baseline, Before: "v1", After: "v1"},
		"v1":          {Arm: measure.Candidate, Before: "v1"},
		"v2":          {Arm: measure.Candidate, After: "v2"},
		"v1, then v2": {Arm: measure.Candidate, Before: "v1", After: "v2"},
	} {
		require.Equal(t, want, versionOf([]gates.Version{v}))
	}
}
