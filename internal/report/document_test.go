package report

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/gates"
)

func TestDocumentOutcome(t *testing.T) {
	evidence := inconclusive(gates.Evidence, "too few")
	disruption := inconclusive(gates.Disruption, "did not bite")
	generator := inconclusive(gates.Generator, "starved")
	stays := passing()
	stays.FaultActive = true
	tests := map[string]struct {
		verdicts []gates.Verdict
		code     int
		outcome  gates.Outcome
		cause    gates.Cause
		exit     int
		reason   string
	}{
		"pass":                         {[]gates.Verdict{passing()}, 0, gates.Pass, gates.None, 0, "all 4 gates hold"},
		"several pass":                 {[]gates.Verdict{passing(), passing()}, 0, gates.Pass, gates.None, 0, "all 2 phases passed"},
		"a failure decides":            {[]gates.Verdict{generator, failing(), passing()}, 99, gates.Fail, gates.System, 99, "beta: availability during payments-slow is 91.2 %, below the objective of 99 %"},
		"generator before disruption":  {[]gates.Verdict{disruption, generator, evidence}, 5, gates.Inconclusive, gates.Generator, 5, "beta: starved"},
		"disruption before evidence":   {[]gates.Verdict{evidence, disruption}, 4, gates.Inconclusive, gates.Disruption, 4, "beta: did not bite"},
		"nothing judged":               {nil, 0, gates.Inconclusive, gates.Evidence, 3, "no phase was judged"},
		"not a pass is never 0":        {[]gates.Verdict{generator}, 0, gates.Inconclusive, gates.Generator, 5, "starved"},
		"a failure is never 0":         {[]gates.Verdict{failing()}, 0, gates.Fail, gates.System, 99, "availability during payments-slow is 91.2 %, below the objective of 99 %"},
		"interrupted is not a pass":    {[]gates.Verdict{passing()}, 130, gates.Inconclusive, gates.None, 130, "the run was interrupted; all 4 gates hold"},
		"a fault stays":                {[]gates.Verdict{failing()}, 6, gates.Fail, gates.System, 6, "a fault may still be active; availability during payments-slow is 91.2 %, below the objective of 99 %"},
		"a fault stays, unsaid":        {[]gates.Verdict{stays}, 0, gates.Inconclusive, gates.None, 6, "a fault may still be active; all 4 gates hold"},
		"a code that explains no pass": {[]gates.Verdict{passing()}, 4, gates.Inconclusive, gates.Disruption, 4, "a disruption did not bite; all 4 gates hold"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			doc := NewDocument(testRun(), test.verdicts, nil, test.code)
			require.Equal(t, test.outcome, doc.Outcome)
			require.Equal(t, test.cause, doc.Cause)
			require.Equal(t, test.exit, doc.ExitCode)
			require.Equal(t, test.reason, doc.Reason)
		})
	}
}

func TestDocumentLeavesItsPartsAlone(t *testing.T) {
	v := failing()
	v.Checks[0].Value = number(math.NaN())
	v.Traffic[0].P95 = math.Inf(1)
	doc := NewDocument(testRun(), []gates.Verdict{v}, nil, 99)
	require.Nil(t, doc.Phases[0].Checks[0].Value)
	require.Zero(t, doc.Phases[0].Traffic[0].P95)
	require.True(t, math.IsNaN(*v.Checks[0].Value))
	require.True(t, math.IsInf(v.Traffic[0].P95, 1))
}
