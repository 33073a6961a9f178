package gates

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

func TestConditions(t *testing.T) {
	for text, want := range map[string]string{
		"errors > 20%":                       "",
		"latency p95 of /pay from load > 2s": "",
		"errors > 50":                        "",
		"availability < min(90%, 95%)":       "",
		"errors > 20% during slow":           "no period",
		"errors > 20% overall":               "no period",
		"errors > 20% in steady":             "no period",
		"errors > 20% for each cell":         "for each cell",
		"errors > baseline":                  "known in advance",
		"latency p95 > latency p50":          "known in advance",
		"mismatch > 5%":                      "only when the test is over",
		"throughput < 5/s":                   "can not be watched",
		"recovery > 5s after slow":           "no period",
		"amplification of payments > 3":      "can not be watched",
		`"my_metric" > 3`:                    "can not be watched",
		"errors >> 20%":                      "",
	} {
		_, err := ParseCondition(text)
		if want == "" && !strings.Contains(text, ">>") {
			require.NoError(t, err, text)
			continue
		}
		var wrong *SyntaxError
		require.ErrorAs(t, err, &wrong, text)
		require.ErrorContains(t, err, want, text)
	}
}

func TestLive(t *testing.T) {
	s := &sheet{}
	for _, line := range []string{
		"test t 0..60", "requests t /a 0..20 count=20 latency=100", "requests t /a 20..30 count=20 failed=10 latency=3000",
	} {
		require.NoError(t, s.load(line))
	}
	gate := func(text string) Gate {
		g, err := ParseCondition(text)
		require.NoError(t, err)
		return g
	}
	at := func(n int64) int64 { return epoch + n*second }

	look := Live(gate("errors > 40%"), s.record(), at(20), at(30))
	require.Equal(t, Look{Samples: 200, Observed: "50 %", Evidence: "100 of 200 failed", Meets: true}, look)
	require.False(t, Live(gate("errors > 40%"), s.record(), at(10), at(30)).Meets, "25 % over both")
	require.True(t, Live(gate("availability >= 99%"), s.record(), at(20), at(30)).Excluded)
	require.False(t, Live(gate("availability >= 99%"), s.record(), at(10), at(20)).Excluded)
	require.True(t, Live(gate("latency p95 > 2s"), s.record(), at(20), at(30)).Meets)
	require.Zero(t, Live(gate("errors > 40%"), s.record(), at(40), at(50)), "nothing is known")
}

func TestWatchable(t *testing.T) {
	list := Watchable(append(mustParse(t, "availability >= 99%", "latency p95 <= 300ms", "throughput >= 5/s", "errors <= 5% during d",
		"availability >= baseline - 1pp", "errors == 0", "latency p95 <= 1s for each cell", "latency max <= 9s"), Gate{Text: "reliability >= 90%", Options: Options{Severity: Warning}}))
	var texts []string
	for _, g := range list {
		texts = append(texts, g.Text)
	}
	require.Equal(t, []string{"availability >= 99%", "latency p95 <= 300ms"}, texts)
}

func TestAbortEndsThePhase(t *testing.T) {
	s := typical(t, "60")
	s.event(measure.EventAbort, "", "", epoch+40*second, map[string]string{"condition": "errors > 20%", "detail": "35 % over the last 10 s: 70 of 200 failed"})
	v := Judge(mustParse(t, "availability >= 90%"), s.record())
	require.Equal(t, ExitSystem, v.ExitCode())
	require.Contains(t, v.Reason, "errors > 20% held")
	check := v.Checks[len(v.Checks)-1]
	require.Equal(t, "abort_if errors > 20%", check.Text)
	require.Equal(t, Fail, check.Outcome)
	require.Contains(t, check.Reason, "70 of 200 failed")
}

func TestAbortOfADisruption(t *testing.T) {
	gates := mustParse(t, "availability >= 90%")
	s := typical(t, "60")
	s.event(measure.EventLifted, "", "d", epoch+30*second, map[string]string{"matched": "100", "touched": "100"})
	s.event(measure.EventAbort, "", "d", epoch+25*second, map[string]string{"condition": "errors > 20%", "detail": "35 %"})
	v := Judge(gates, s.record())
	require.Equal(t, ExitEvidence, v.ExitCode(), v.Reason)
	require.Equal(t, `the disruption d was lifted early: "errors > 20%" held (35 %)`, v.Reason)
	require.Contains(t, v.Warnings, v.Reason)
}

func TestNeverRecovered(t *testing.T) {
	record := func(failedAfter string) Record {
		s := &sheet{}
		for _, line := range []string{
			"test t 0..90", "disruption d 20..30", "requests t /a 0..20 count=20", "requests t /a 20..30 count=20 failed=20",
			"requests t /a 30..90 count=20 failed=" + failedAfter,
		} {
			require.NoError(t, s.load(line))
		}
		return s.record()
	}
	said := func(gates []Gate, r Record) bool {
		return strings.Contains(strings.Join(Judge(gates, r).Warnings, "\n"), "never recovered after d")
	}
	gates := mustParse(t, "availability >= 90%")
	require.True(t, said(gates, record("5")))
	require.False(t, said(gates, record("0")))
	require.False(t, said(mustParse(t, "throughput >= 1/s"), record("5")), "nothing says what recovered means")
	require.False(t, said(append(gates, mustParse(t, "recovery <= 5s after d")...), record("5")), "the gate says it")
}
