package gates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestForesee: the times are those that package evidence tests by simulation.
func TestForesee(t *testing.T) {
	at := func(rate float64, known bool) func(Gate) (float64, bool) {
		return func(Gate) (float64, bool) { return rate, known }
	}
	compared := Planned{Baseline: true, Steady: 10 * time.Minute, Rate: at(20, true)}
	watched, alone := compared, compared
	watched.FalseAlarms = 0.01
	alone.FalseAlarms, alone.Baseline = 0.01, false
	tooLong := ": longer than the phase is steady (10 min)"
	for _, c := range []struct {
		gate string
		p    Planned
		want []string
	}{
		{"errors <= baseline", watched, []string{"watch errors <= baseline: if 0.2 % failed, beside 0.1 % of the baseline, that is found in about 55 min" + tooLong}},
		{"errors <= baseline * 2", watched, []string{
			"watch errors <= baseline * 2: if 0.4 % failed, beside 0.1 % of the baseline, that is found in about 42 min" + tooLong,
			"errors <= baseline * 2: if 0.1 % failed on both arms, that is shown in about 37 min" + tooLong,
		}},
		{"latency p95 <= baseline + 10%", watched, []string{
			"watch latency p95 <= baseline + 10%: if everything takes 20 % longer than it may, that is found in about 4 min",
			"latency p95 <= baseline + 10%: if both arms are as fast as each other, with a p95 of 2.3 times the p50, that is shown in about 3 min",
		}},
		{"availability >= baseline - 1%", compared, []string{"availability >= baseline - 1%: if 0.1 % failed on both arms, that is shown in about 90 s"}},
		{"errors <= baseline", compared, nil},
		{"availability >= 99%", alone, []string{"watch availability >= 99%: if 2 % failed, that is found in about 6 min"}},
		{"latency p95 <= 300ms", alone, []string{"watch latency p95 <= 300ms: if 10 % are over 300 ms, that is found in about 4 min"}},
		{"errors <= baseline * 2", alone, nil},
	} {
		require.Equal(t, c.want, Foresee(mustParse(t, c.gate), c.p), c.gate)
	}
	watched.Rate = at(0, false)
	require.Empty(t, Foresee(mustParse(t, "errors <= baseline * 2"), watched), "nobody knows the rate")
	for _, text := range []string{
		"latency mean <= baseline + 10%", "latency p95 <= baseline + 10ms", "latency p95 <= baseline + 10% during d", "recovery <= 5s after d",
		"latency p95 <= max(300ms, baseline + 10%)", "errors <= baseline * 0.5", "availability <= baseline - 1pp",
	} {
		require.Empty(t, Foresee(mustParse(t, text), compared), text)
	}
}

// TestAboutText rounds up: what takes so long takes no longer.
func TestAboutText(t *testing.T) {
	for seconds, want := range map[float64]string{50: "50 s", 120: "2 min", 121: "3 min", 7200: "2.0 h", 90_000: "25.0 h", 172_801: "3 days"} {
		require.Equal(t, want, aboutText(seconds))
	}
}
