package report

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
)

// modeVerdict is a phase with two parts of a sweep and one other disruption.
func modeVerdict() gates.Verdict {
	disrupted := func(name string) gates.Disrupted {
		return gates.Disrupted{Name: name, Injected: at(10), Lifted: at(20), Matched: 9, Touched: 9, Bit: true}
	}
	check := func(period string) gates.Check {
		return gates.Check{Text: "availability >= 99% " + period, Period: period, Outcome: gates.Pass}
	}
	return gates.Verdict{
		Phase: "beta", Outcome: gates.Pass,
		Disruptions: []gates.Disrupted{disrupted("deps.a"), disrupted("deps.b"), disrupted("slow")},
		Checks: []gates.Check{
			check("steady"), check("during deps.a"), check("during deps.b"), check("during slow"), check("after slow"),
		},
	}
}

func TestAssess(t *testing.T) {
	tests := map[string]struct {
		change      func(v *gates.Verdict)
		disruptions []string
		outcome     gates.Outcome
		reason      string
	}{
		"withstood":            {nil, []string{"slow"}, gates.Pass, ""},
		"each part of a sweep": {nil, []string{"deps.*"}, gates.Pass, ""},
		"a part failed": {
			func(v *gates.Verdict) { v.Checks[2].Outcome = gates.Fail },
			[]string{"deps.*"},
			gates.Fail,
			`"availability >= 99%" failed during deps.b`,
		},
		"a part did not bite": {
			func(v *gates.Verdict) { v.Disruptions[0].Bit, v.Disruptions[0].Reason = false, "no request came by" },
			[]string{"deps.*"},
			gates.Inconclusive, "deps.a did not bite: no request came by",
		},
		"a failure decides": {
			func(v *gates.Verdict) { v.Disruptions[0].Bit = false; v.Checks[4].Outcome = gates.Fail },
			[]string{"deps.*", "slow"},
			gates.Fail, `"availability >= 99%" failed after slow`,
		},
		"a warning decides nothing": {
			func(v *gates.Verdict) {
				v.Checks[3].Outcome, v.Checks[3].Severity = gates.Fail, gates.Warning
			},
			[]string{"slow"},
			gates.Pass, "",
		},
		"only warnings looked": {
			func(v *gates.Verdict) {
				v.Checks[3].Severity, v.Checks[4].Severity = gates.Warning, gates.Warning
			},
			[]string{"slow"},
			gates.Inconclusive, "no critical gate looks at the time during or after slow",
		},
		"a gate is inconclusive": {
			func(v *gates.Verdict) { v.Checks[4].Outcome = gates.Inconclusive },
			[]string{"slow"},
			gates.Inconclusive, `"availability >= 99%" is inconclusive after slow`,
		},
		"not lifted": {
			func(v *gates.Verdict) { v.Disruptions[2].Lifted = time.Time{} },
			[]string{"slow"},
			gates.Inconclusive, "that slow was lifted is not confirmed",
		},
		"steady says nothing":    {func(v *gates.Verdict) { v.Checks[0].Outcome = gates.Fail }, []string{"slow"}, gates.Pass, ""},
		"one of two did not run": {nil, []string{"slow", "gone"}, gates.Inconclusive, "gone did not run"},
		"a sweep": {
			func(v *gates.Verdict) { v.Disruptions[0].Sweep, v.Disruptions[1].Sweep = "deps", "deps" }, []string{"deps"}, gates.Pass, "",
		},
		"a gate on the whole of a sweep": {
			func(v *gates.Verdict) {
				v.Disruptions[0].Sweep, v.Disruptions[1].Sweep = "deps", "deps"
				v.Checks[1].Period, v.Checks[2].Period = "during deps", "after deps"
			},
			[]string{"deps.*"},
			gates.Pass, "",
		},
		"a name is no pattern":     {nil, []string{"deps"}, gates.Inconclusive, "deps did not run"},
		"nothing tests it":         {nil, nil, gates.Inconclusive, "no disruption tests it"},
		"the phase was not run":    {func(v *gates.Verdict) { *v = gates.Verdict{} }, []string{"slow"}, gates.Inconclusive, "slow did not run"},
		"a sweep is its own parts": {func(v *gates.Verdict) { v.Disruptions[2].Name = "deps" }, []string{"deps.*"}, gates.Inconclusive, "no critical gate looks at the time during or after deps"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v := modeVerdict()
			if tt.change != nil {
				tt.change(&v)
			}
			doc := NewDocument(testRun(), []gates.Verdict{v}, nil, 0)
			doc.Assess([]FailureMode{{Name: "m", Effect: "e", Severity: 8, Likelihood: 5, Detection: 10, Disruptions: tt.disruptions}})
			m := doc.FailureModes.Modes[0]
			require.Equal(t, tt.outcome, m.Outcome)
			require.Equal(t, tt.reason, m.Reason)
			require.Equal(t, 400, m.Before)
			want := map[gates.Outcome]int{gates.Pass: 80, gates.Fail: 400, gates.Inconclusive: 400}
			require.Equal(t, want[tt.outcome], m.After)
		})
	}
}

func TestAssessSumsUp(t *testing.T) {
	failed := modeVerdict()
	failed.Phase, failed.Checks[3].Outcome = "gamma", gates.Fail
	doc := NewDocument(testRun(), []gates.Verdict{modeVerdict(), failed}, nil, 0)
	doc.Assess([]FailureMode{
		{Name: "a", Severity: 10, Likelihood: 10, Detection: 1, Disruptions: []string{"deps.*"}},
		{Name: "b", Severity: 2, Likelihood: 2, Detection: 2, Disruptions: []string{"slow"}},
		{Name: "c", Severity: 1, Likelihood: 1, Detection: 1},
	})
	got := doc.FailureModes
	require.Equal(t, []int{2, 1, 109, 109}, []int{got.Tested, got.Withstood, got.Before, got.After}, "a detection of 1 is not made worse")
	require.Equal(t, gates.Fail, got.Modes[1].Outcome, "it passed in one phase and failed in another")
	require.Equal(t, "2 of 3 failure modes tested, 1 withstood; risk priority 109 before, 109 after", got.coverage())

	doc = NewDocument(testRun(), nil, nil, 0)
	doc.Assess(nil)
	require.Nil(t, doc.FailureModes)
}
