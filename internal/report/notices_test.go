package report

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

// TestNoticesInReports wants text and Markdown to tell when each disruption was
// noticed, and to say nothing where nobody listened.
func TestNoticesInReports(t *testing.T) {
	ms := func(v float64) *float64 { return &v }
	v := passing()
	quiet := NewDocument(testRun(), []gates.Verdict{v}, nil, 0)
	v.Disruptions = []gates.Disrupted{
		{Name: "payments-slow", Bit: true, Detected: ms(12_000), Alert: "HighErrors", Acknowledged: ms(95_000), By: "ann", Recovered: ms(4000)},
		{Name: "catalog-errors", Bit: true, Undetected: true},
	}
	told := NewDocument(testRun(), []gates.Verdict{v}, nil, 0)
	for format, want := range map[string][]string{
		"text": {
			"noticed         detected after     acknowledged after  recovered after lifting",
			"payments-slow   12 s (HighErrors)  1m35s (ann)         4 s",
			"catalog-errors  not detected       -                   -",
		},
		"markdown": {
			"Detection, acknowledgement and recovery (2)",
			"| payments-slow | 12 s (HighErrors) | 1m35s (ann) | 4 s |",
			"| catalog-errors | not detected | - | - |",
		},
		"json": {`"detected_ms": 12000`, `"alert": "HighErrors"`, `"acknowledged_ms": 95000`, `"by": "ann"`, `"recovered_ms": 4000`, `"undetected": true`},
	} {
		var with, without bytes.Buffer
		require.NoError(t, Write(&with, format, told, Options{Width: 100}))
		require.NoError(t, Write(&without, format, quiet, Options{Width: 100}))
		for _, line := range want {
			require.Contains(t, with.String(), line, format)
			require.NotContains(t, without.String(), line, format)
		}
	}
}

// TestSecretDisruptions wants a live view of a game day to be silent about a
// disruption until it is detected or lifted.
func TestSecretDisruptions(t *testing.T) {
	v := newView(at(0), []Schedule{{Phase: "beta", Length: 60e9, Tests: []Span{{Name: "load"}}, Disruptions: []Span{{Name: "slow", At: 30e9, For: 10e9}}}}, true)
	v.phase, v.going = "beta", true
	tell := func(e measure.Event) (lines []string) {
		for _, one := range v.reveal(e) {
			one.Phase = "beta"
			if line := v.happened(one, at(0)); line != "" {
				lines = append(lines, line)
			}
		}
		return lines
	}
	event := func(seconds int, kind, name string) measure.Event {
		return measure.Event{At: at(seconds).UnixNano(), Kind: kind, Name: name, Attrs: map[string]string{"fault": "latency"}}
	}
	require.Contains(t, tellPhase(&v, measure.Event{Phase: "beta"}, at(0)), "1 test, disruptions that are not announced")
	require.Empty(t, v.next(at(20)), "nothing says what comes next")

	require.Empty(t, tell(event(30, measure.EventDisruption, "slow")))
	require.Empty(t, v.faults(at(31)))
	require.Len(t, v.status(page{}, at(31), 80), 2, "no line for faults")
	require.Equal(t, []string{"00:30  slow in effect: latency", "00:40  slow lifted"}, tell(event(40, measure.EventLifted, "slow")))

	require.Empty(t, tell(event(45, measure.EventDisruption, "other")))
	resolved := event(46, measure.EventAlert, "Old")
	resolved.Attrs["state"] = "resolved"
	require.Equal(t, []string{"00:46  alert Old resolved"}, tell(resolved), "that tells of nothing")
	require.Equal(t, []string{"00:45  other in effect: latency", "00:47  alert HighErrors fires"}, tell(event(47, measure.EventAlert, "HighErrors")))
	require.Contains(t, v.faults(at(48)), "other in effect")

	require.Equal(t, []string{"00:52  alert HighErrors fires"}, tell(event(52, measure.EventAlert, "HighErrors")))
	require.Equal(t, []string{"00:51  third in effect: latency"}, tell(event(51, measure.EventDisruption, "third")), "the alert told of it before")
	require.Empty(t, tell(event(53, measure.EventDisruption, "fourth")), "and of no later one")
}
