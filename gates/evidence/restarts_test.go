package evidence

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// strictest is a test that tells at which rate it was last asked.
type strictest struct {
	born  int
	added int
	asked float64
}

func (s *strictest) Certain(alpha float64) bool {
	s.asked = alpha
	return false
}

// TestRestartsErrNoMoreThanOne: however many tests begin, they share one rate.
func TestRestartsErrNoMoreThanOne(t *testing.T) {
	const hours = 3
	var all []*strictest
	r := NewRestarts(func() *strictest {
		all = append(all, &strictest{born: len(all)})
		return all[len(all)-1]
	})
	for range hours * 3600 {
		r.Second(func(s *strictest) { s.added++ })
		first, certain := r.Certain(0.01)
		require.False(t, certain)
		require.Same(t, all[0], first)
	}
	require.Len(t, all, 1+hours*60, "one a minute")
	sum := 0.0
	for _, s := range all {
		sum += s.asked
	}
	require.Less(t, sum, 0.01)
	require.InDelta(t, 0.01, sum, 0.0001, "and leave next to nothing of it")
	require.InDelta(t, FirstPart*0.01, all[0].asked, 1e-12, "most of it is the first one's")
	require.Equal(t, hours*3600, all[0].added, "which never ends")
	require.LessOrEqual(t, all[10].added, (mostRestarts+1)*restartEvery, "the others do, so that they stay few")
}

// TestRestartsFindWhatBeginsLate: after two hours in which all was well, sooner
// than the first test alone.
func TestRestartsFindWhatBeginsLate(t *testing.T) {
	alone := NewShareWatch(1)
	r := NewRestarts(func() certainShares { return certainShares{NewShareWatch(1)} })
	foundAlone, found := math.MaxInt, math.MaxInt
	for second := range 4 * 3600 {
		b := Block{Counts{20, 0}, Counts{20, 0}}
		if second%50 == 0 { // 0.1 % of both arms
			b.Candidate.Failed, b.Baseline.Failed = 1, 1
		}
		if second > 7200 && second%5 == 2 {
			b.Candidate.Failed++
		}
		alone.Add(b)
		r.Second(func(w certainShares) { w.Add(b) })
		if alone.Finding().Certain(0.01) {
			foundAlone = min(foundAlone, second)
		}
		if _, certain := r.Certain(0.01); certain {
			found = min(found, second)
		}
	}
	t.Logf("found after %d s, alone after %d s", found-7200, foundAlone-7200)
	require.Greater(t, found, 7200)
	require.Less(t, found, foundAlone)
}
