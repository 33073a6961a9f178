package report

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

// TestAWarningIsNoFailure looks at a gate that only warns and does not hold.
func TestAWarningIsNoFailure(t *testing.T) {
	v := passing()
	late := gates.Check{
		Outcome: gates.Fail, Cause: gates.System, Text: "latency p99 <= 400ms", Period: "steady", SLI: "latency p99",
		Severity: gates.Warning, Observed: "480 ms", Objective: "<= 400 ms", Samples: 2400, Reason: "480 ms is more than 400 ms",
	}
	unsure := late
	unsure.Outcome, unsure.Cause, unsure.Text = gates.Inconclusive, gates.Evidence, "latency p99.9 <= 1s"
	v.Checks = append(append([]gates.Check{}, v.Checks...), late, unsure)
	doc := NewDocument(testRun(), []gates.Verdict{v}, nil, gates.ExitPass)

	require.Equal(t, "6 gates: 4 pass, 2 warnings", score(v.Checks))
	for format, bad := range map[string]string{"text": "✗", "markdown": "❌", "junit": "<failure", "github": "::error"} {
		content := render(t, format, doc)
		require.NotContains(t, content, bad, format)
		require.Contains(t, content, "warning", format)
		require.Contains(t, plain(format, content), "480 ms is more than 400 ms", format)
	}
	content := textOf(t, doc, Options{})
	require.Contains(t, content, "! latency p99 <= 400ms")
	require.Contains(t, content, "warning (inconclusive)")
	coloured := textOf(t, doc, Options{Color: true})
	require.NotContains(t, coloured, "\x1b[31", "nothing is red")
	require.Zero(t, parseJUnit(t, doc).Failures)
	require.Equal(t, 2, parseJUnit(t, doc).Skipped)
}

// TestEqualExamplesAreOneLine has failures that say no more than their kind.
func TestEqualExamplesAreOneLine(t *testing.T) {
	var examples []measure.Example
	for second := range 5 {
		examples = append(examples, measure.Example{At: at(second).UnixNano(), Test: "checkout", Kind: "check paid-at-once"})
	}
	examples = append(examples, testExamples()...)
	doc := NewDocument(testRun(), []gates.Verdict{failing()}, examples, gates.ExitSystem)
	content := textOf(t, doc, Options{})
	require.Contains(t, content, "│ 15:04:05  checkout  5 x check paid-at-once\n  │ 15:04:36  checkout  2 x status 503  POST")
	require.NotContains(t, content, "more in the record", "all eight are shown")
	require.Contains(t, render(t, "markdown", doc), "| checkout | 5 x check paid-at-once |")

	var page bytes.Buffer
	examples[4].Message = "another"
	require.NoError(t, Write(&page, "text", NewDocument(testRun(), []gates.Verdict{failing()}, examples, gates.ExitSystem), Options{}))
	require.Contains(t, page.String(), "4 x check paid-at-once\n")
	require.Contains(t, page.String(), "15:04:09  checkout  check paid-at-once\n  │   another\n")
}
