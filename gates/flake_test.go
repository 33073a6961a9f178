package gates

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlakes(t *testing.T) {
	check := func(text string, o Outcome) Check { return Check{Text: text, Outcome: o} }
	verdicts := []Verdict{
		{Checks: []Check{check("a", Pass), check("b", Fail)}},
		{Checks: []Check{check("b", Inconclusive), check("a", Pass), {Text: "abort_if x", SLI: "abort_if", Outcome: Fail}}},
		{Checks: []Check{check("b", Pass), check("c", Inconclusive), {Text: "watch a", SLI: "watch", Outcome: Fail}}},
	}
	flakes := Flakes(verdicts)
	require.Len(t, flakes, 3)
	a, b, c := flakes[0], flakes[1], flakes[2]
	require.Equal(t, Flake{Gate: "a", Runs: 2, Low: 0, High: a.High}, a)
	require.InDelta(t, 0.8419, a.High, 1e-4, "Clopper and Pearson for 0 of 2")
	require.Equal(t, []any{"b", 3, 1, 1}, []any{b.Gate, b.Runs, b.Failed, b.Inconclusive})
	rate, ok := b.Rate()
	require.True(t, ok)
	require.Equal(t, 0.5, rate)
	_, ok = c.Rate()
	require.False(t, ok, "nothing was decided")
	require.Equal(t, []float64{0, 1}, []float64{c.Low, c.High})
}

func TestCalibrated(t *testing.T) {
	runs := func(failed, passed, doubtful int) (list []Outcome) {
		for range doubtful {
			list = append(list, Inconclusive)
		}
		for range failed {
			list = append(list, Fail)
		}
		for range passed {
			list = append(list, Pass)
		}
		return list
	}
	for name, tc := range map[string]struct {
		calibrate uint64
		runs      []Outcome
		why       string
	}{
		"not asked for":            {0, runs(5, 0, 0), ""},
		"no run":                   {20, nil, "0 of the 20 passing runs that calibrate it have judged it; 0 failed it"},
		"too few":                  {20, runs(1, 18, 0), "19 of the 20 passing runs that calibrate it have judged it; 1 failed it"},
		"doubtful ones are none":   {20, runs(0, 19, 9), "19 of the 20 passing runs that calibrate it have judged it; 0 failed it"},
		"enough":                   {20, runs(0, 20, 0), ""},
		"one in twenty may":        {20, runs(1, 19, 0), ""},
		"two may not":              {20, runs(2, 18, 0), "2 of the last 20 passing runs failed it; at most 1 may"},
		"only the newest count":    {20, append(runs(0, 20, 0), Fail, Fail), ""},
		"of few none may":          {5, runs(1, 4, 0), "1 of the last 5 passing runs failed it; at most 0 may"},
		"later ones can mend it":   {5, append(runs(0, 5, 0), Fail), ""},
		"doubtful ones are nought": {1, runs(0, 0, 3), "0 of the 1 passing runs that calibrate it have judged it; 0 failed it"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tc.why, Gate{Options: Options{Calibrate: tc.calibrate}}.Calibrated(tc.runs))
		})
	}
}
