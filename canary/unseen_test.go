package canary

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/measure"
)

// triedAt are windows of the minutes in which something was tried.
func triedAt(minutes ...int) (all []measure.Window) {
	for _, n := range minutes {
		w := historic(measure.MetricGood, "order", "eu-1", 1, 1)
		w.Start = atMinute(n)
		all = append(all, w)
	}
	return all
}

func TestUnseen(t *testing.T) {
	health := historic(measure.MetricGood, healthName, "eu-1", 1, 0)
	health.Start = atMinute(7)
	for name, tt := range map[string]struct {
		windows []measure.Window
		want    []Span
	}{
		"never":             {nil, []Span{{epoch, atMinute(20)}}},
		"always":            {triedAt(0, 2, 4, 6, 8, 10, 12, 14, 16, 18), nil},
		"in any order":      {triedAt(19, 3, 16, 0, 6, 10, 13), nil},
		"stopped":           {append(triedAt(0, 2, 4, 12, 15, 18), health), []Span{{atMinute(5), atMinute(12)}}},
		"at both ends":      {triedAt(5, 8, 11), []Span{{epoch, atMinute(5)}, {atMinute(12), atMinute(20)}}},
		"before and after":  {triedAt(-5, 30), []Span{{epoch, atMinute(20)}}},
		"right at the end":  {triedAt(0, 3, 6, 9, 12, 15), []Span{{atMinute(16), atMinute(20)}}},
		"just short enough": {triedAt(0, 4, 8, 12, 16), nil},
	} {
		require.Equal(t, tt.want, Unseen(tt.windows, epoch, atMinute(20), 4*time.Minute), name)
	}
}

// TestUnseenIsNotUpTime has a daemon that was stopped for most of the time.
func TestUnseenIsNotUpTime(t *testing.T) {
	o := Observation{From: epoch, To: atMinute(600), Planned: []Span{{atMinute(90), atMinute(110)}}, Unseen: []Span{{atMinute(100), atMinute(500)}}}
	r := o.Reliability([]Incident{lasting("a", 60, 80), lasting("a", 200, 300), lasting("a", 490, 520)})
	require.Equal(t, []float64{190 * 60, 20 * 60, 390 * 60}, []float64{r.Observed, r.Planned, r.Unseen})
	require.Equal(t, []float64{40 * 60, 150 * 60, 80 * 60}, []float64{r.DownTime, r.UpTime, r.Running})
	require.Equal(t, 2, r.Failures, "one was not seen")
	require.InDelta(t, 20*60, *r.MTTR.Seconds, 1e-6)
}

func TestUnseenProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minutes := rapid.SliceOfN(rapid.IntRange(-5, 70), 0, 40).Draw(t, "minutes")
		least := rapid.IntRange(0, 10).Draw(t, "least")
		was := map[int]bool{}
		for _, n := range minutes {
			was[n] = true
		}
		gaps := Unseen(triedAt(minutes...), epoch, atMinute(60), time.Duration(least)*time.Minute)
		for n := range 60 {
			in := false
			for _, g := range gaps {
				in = in || g.From <= atMinute(n) && atMinute(n) < g.To
				require.GreaterOrEqual(t, g.To-g.From, int64(least)*int64(time.Minute))
			}
			require.False(t, in && was[n])
			if least <= 1 {
				require.Equal(t, !was[n], in)
			}
		}
	})
}
