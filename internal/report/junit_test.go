package report

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

func parseJUnit(t *testing.T, doc Document) junitSuites {
	t.Helper()
	var suites junitSuites
	require.NoError(t, xml.Unmarshal([]byte(render(t, "junit", doc)), &suites))
	return suites
}

func TestJUnitIsWellFormedWithDistinctNames(t *testing.T) {
	for name, doc := range testDocuments() {
		t.Run(name, func(t *testing.T) {
			suites := parseJUnit(t, doc)
			require.Equal(t, doc.Outcome == gates.Pass, suites.Failures+suites.Errors == 0, "green means a pass")
			require.Positive(t, suites.Tests)
			for _, s := range suites.Suites {
				seen := map[string]bool{}
				for _, c := range s.Cases {
					require.False(t, seen[c.Class+c.Name], c.Name)
					seen[c.Class+c.Name] = true
				}
			}
		})
	}
}

func TestJUnitNamesAreMadeDistinct(t *testing.T) {
	v := passing()
	v.Checks = nil
	for _, text := range []string{"a", "a (2)", "a", "a", "verdict"} {
		v.Checks = append(v.Checks, gates.Check{Text: text, Outcome: gates.Pass})
	}
	suites := parseJUnit(t, NewDocument(testRun(), []gates.Verdict{v}, nil, 0))
	var names []string
	for _, c := range suites.Suites[0].Cases {
		names = append(names, c.Name)
	}
	require.Equal(t, []string{"a", "a (2)", "a (2) (2)", "a (3)", "verdict (2)"}, names)
}

func TestJUnitExplainsAVerdictThatNoGateExplains(t *testing.T) {
	v := passing()
	v.Outcome, v.Cause, v.Reason = gates.Inconclusive, gates.Disruption, "payments-slow touched nothing"
	suites := parseJUnit(t, NewDocument(testRun(), []gates.Verdict{v}, nil, gates.ExitDisruption))
	first := suites.Suites[0].Cases[0]
	require.Equal(t, "verdict", first.Name)
	require.Equal(t, "disruption", first.Error.Type)
	require.Equal(t, 1, suites.Errors)
}

func TestJUnitIsBoundedAndKeepsFailures(t *testing.T) {
	v := passing()
	v.Checks = nil
	const n = 3600
	for i := range n {
		c := gates.Check{Text: fmt.Sprint("gate ", i), Outcome: gates.Pass, Evidence: strings.Repeat(`"`, maxText), Warnings: []string{strings.Repeat("😀", maxText)}}
		if i == n-1 {
			c.Outcome, c.Cause = gates.Fail, gates.System
		}
		v.Checks = append(v.Checks, c)
	}
	v.Outcome, v.Cause, v.Reason = gates.Fail, gates.System, "the last gate failed"
	doc := NewDocument(testRun(), []gates.Verdict{v}, nil, gates.ExitSystem)
	content := render(t, "junit", doc)
	require.Less(t, len(content), 20<<20)
	require.Equal(t, 1, strings.Count(content, "<failure"))
	var suites junitSuites
	require.NoError(t, xml.Unmarshal([]byte(content), &suites))
	require.Less(t, suites.Tests, n)
	properties := suites.Suites[0].Properties
	require.Equal(t, "left-out", properties[len(properties)-1].Name)
}

func TestEveryReportTellsVersionsBaselinesAndScores(t *testing.T) {
	v := passing()
	v.Versions = []gates.Version{{Target: "shop", Arm: measure.Candidate, Before: "1.4.2", After: "1.4.3", Wanted: "1.4.2"}}
	v.Baselines = []gates.BaselineRun{{Run: "20260101T150405Z-aaaa", Version: "1.4.1"}, {Run: "20251231T150405Z-bbbb"}}
	v.Scores = []gates.Score{{Least: 0.5, Most: 0.5, Gates: 4}, {Group: "speed", Least: 0, Most: 0.25, Gates: 2}}
	doc := NewDocument(testRun(), []gates.Verdict{v}, nil, gates.ExitPass)
	for _, format := range []string{"text", "markdown", "junit"} {
		page := strings.ReplaceAll(render(t, format, doc), `\`, "")
		for _, want := range []string{"shop (candidate) 1.4.2, after the tests 1.4.3; wanted 1.4.2", "compared with 20260101T150405Z-aaaa (1.4.1), 20251231T150405Z-bbbb", "score 50 % (speed 0 % to 25 %)"} {
			require.Contains(t, page, want, format)
		}
	}
}
