package evidence

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

func TestShareWatchExplainsItself(t *testing.T) {
	w := NewShareWatch(1)
	for i := range 3600 {
		b := Block{Counts{20, 0}, Counts{20, 0}}
		if i%25 == 0 {
			b.Candidate.Failed = 1
		}
		if i%50 == 1 {
			b.Baseline.Failed = 1
		}
		w.Add(b)
	}
	f := w.Finding()
	require.Equal(t, Block{Counts{72_000, 144}, Counts{72_000, 72}}, f.Seen)
	require.InDelta(t, 2, f.Ratio, 0.01)
	require.True(t, f.Certain(0.01))
	require.Contains(t, f.String(), "candidate 144 of 72000, baseline 72 of 72000: 2 times as many; e-value ")

	lenient := NewShareWatch(2) // twice as often is allowed
	for i := range 3600 {
		lenient.Add(Block{Counts{20, uint64(1 - min(i%25, 1))}, Counts{20, uint64(1 - min(i%50, 1))}})
	}
	require.False(t, lenient.Finding().Certain(0.5))
}

func TestAnOutageIsCertainSoon(t *testing.T) {
	w := NewShareWatch(1)
	for seconds := 1; ; seconds++ {
		w.Add(Block{Counts{20, 20}, Counts{20, 0}})
		if w.Finding().Certain(0.01) {
			require.LessOrEqual(t, seconds, 120)
			require.Greater(t, seconds, 3*Episode, "a short outage of one arm is not enough")
			return
		}
		require.Less(t, seconds, 1000)
	}
}

// TestOneBurstIsNoEvidence: what is over within ten seconds hit one of two arms.
func TestOneBurstIsNoEvidence(t *testing.T) {
	w := NewShareWatch(1)
	for second := range 600 {
		b := Block{Counts{20, 0}, Counts{20, 0}}
		if second >= 305 && second < 313 {
			b.Candidate.Failed = 20
		}
		w.Add(b)
		require.False(t, w.Finding().Certain(0.05), second)
	}
}

func TestObjectiveWatch(t *testing.T) {
	for _, c := range []struct {
		share     float64
		objective float64
		certain   bool
	}{{0.001, 0.001, false}, {0.0005, 0.001, false}, {0.002, 0.001, true}, {0.03, 0.02, true}, {0.5, 0.4, true}, {0.4, 0.4, false}} {
		found := 0
		for seed := range uint64(20) {
			w, err := NewObjectiveWatch(c.objective)
			require.NoError(t, err)
			system := newFailing(rand.New(rand.NewPCG(seed, 9)), [2]int{20, 20}, [2]float64{c.share, 0})
			certain := false
			var s second
			for range 3600 {
				system.next(&s)
				w.Add(s.counts[0])
				certain = certain || w.Finding().Certain(0.05)
			}
			if certain {
				found++
				require.InDelta(t, c.share/c.objective, w.Finding().Ratio, 0.5)
			}
		}
		if c.certain {
			require.GreaterOrEqual(t, found, 18, "%+v", c)
		} else {
			require.LessOrEqual(t, found, 3, "%+v", c)
		}
	}
}

// TestObjectiveWatchOfClusters: where failures come three at a time, as with
// retries, more of them are chance. On average 0.5 % fail, which is allowed.
func TestObjectiveWatchOfClusters(t *testing.T) {
	const rollouts = 300
	found, inflation := 0, 0.0
	for seed := range uint64(rollouts) {
		w, err := NewObjectiveWatch(0.005)
		require.NoError(t, err)
		rng := rand.New(rand.NewPCG(seed, 9))
		certain := false
		for range 3600 {
			c := Counts{N: 20}
			if rng.IntN(30) == 0 {
				c.Failed = 3
			}
			w.Add(c)
			certain = certain || w.Finding().Certain(0.05)
		}
		if certain {
			found++
		}
		inflation += w.Finding().Inflation / rollouts
	}
	require.InDelta(t, 3, inflation, 0.5, "as many as one cluster")
	require.False(t, Excludes(uint64(found), rollouts, 0.05, 0.99), "%d of %d", found, rollouts)
}

func TestLatencyWatchExplainsItself(t *testing.T) {
	w := NewLatencyWatch(newSketch, 1)
	allowed := NewLatencyWatch(newSketch, 1.5)
	system := latencies(slowing{factor: 1.4, rate: [2]int{10, 10}})(rand.New(rand.NewPCG(1, 2)))
	var s second
	for range 300 {
		system.next(&s)
		sums := s.sketches()
		w.Add(sums[0], sums[1])
		allowed.Add(sums[0], sums[1])
	}
	f := w.Finding()
	require.True(t, f.Certain(0.01), f.String())
	require.False(t, allowed.Finding().Certain(0.5), "half as slow again is allowed")
	require.Equal(t, f.Value(), math.Exp(f.Log))
	require.Equal(t, uint64(2900), f.Exceeded[0].Seen.Candidate.N, "the first ten seconds give the limits")
	require.Regexp(t, `^over the p(50|90|99) of before, \d+\.?\d*: candidate \d+ of 2900, baseline \d+ of 2900: `, f.String())
}

// TestPublishedFailures: what Kayenta is known to pass does not pass here.
func TestPublishedFailures(t *testing.T) {
	judge := kayenta{allowedIncrease: 1.1}

	var none, some []float64
	watch := NewShareWatch(1)
	for minute := range 60 {
		none, some = append(none, 0), append(some, 0.01+0.001*float64(minute%3))
		for second := range 60 {
			watch.Add(Block{Counts{20, uint64(1 - min(second%5, 1))}, Counts{20, 0}})
		}
	}
	require.Equal(t, kayentaPass, judge.classify(some, none), "errors against none")
	require.True(t, watch.Finding().Certain(0.01))

	var steady, broken []float64
	slow := NewLatencyWatch(newSketch, 1)
	for minute := range 10 {
		factor := 1.0
		if minute%10 < 7 {
			factor = 100
		}
		steady, broken = append(steady, 100+float64(minute)), append(broken, factor*(100+float64(minute)))
		for second := range 60 {
			v := 100 + float64((minute*60+second)%13)
			slow.Add(measure.NewSketch(v*factor, v*factor+1), measure.NewSketch(v, v+1))
		}
	}
	require.Equal(t, kayentaPass, judge.classify(broken, steady), "7 of 10 points 100 times worse")
	require.True(t, slow.Finding().Certain(0.01))

	require.Equal(t, 100.0, judge.score([]string{judge.classify(nil, nil)}), "a group without data")
	require.False(t, NewShareWatch(1).Finding().Certain(0.05))
	require.Equal(t, Undecided, NewShareBake(Margin{Ratio: 2, Difference: 0.1}).Decide(1.645).Outcome)
	require.Equal(t, Undecided, NewLatencyBake(newSketch, Margin{Ratio: 2}).Decide(1.645).Outcome)
}

func TestKayentaFindsWhatItShould(t *testing.T) {
	var control, worse []float64
	rng := rand.New(rand.NewPCG(1, 1))
	for range 30 {
		control, worse = append(control, 100+rng.NormFloat64()), append(worse, 120+rng.NormFloat64())
	}
	require.Equal(t, kayentaHigh, kayenta{allowedIncrease: 1.1}.classify(worse, control))
	require.Equal(t, kayentaPass, kayenta{allowedIncrease: 1.3}.classify(worse, control))
	require.Equal(t, kayentaPass, kayenta{allowedIncrease: 1.1}.classify(control, worse))
	lower, estimate := shift([]float64{11, 12, 13}, []float64{1, 2, 3}, 0.5)
	require.Equal(t, 10.0, estimate)
	require.LessOrEqual(t, lower, 10.0)
}

// TestEpisodesAddUp: it does not matter whether latencies come second by second
// or an episode at a time.
func TestEpisodesAddUp(t *testing.T) {
	single, together := NewLatencyWatch(newSketch, 1), NewLatencyWatch(newSketch, 1)
	system := latencies(slowing{factor: 1.2})(rand.New(rand.NewPCG(1, 2)))
	var s second
	episode := [2]*measure.Sketch{newSketch(), newSketch()}
	for i := range 300 {
		system.next(&s)
		sums := s.sketches()
		single.Add(sums[0], sums[1])
		s.addTo(episode)
		if i%Episode < Episode-1 {
			together.Add(nil, nil)
			continue
		}
		together.Add(episode[0], episode[1])
		episode = [2]*measure.Sketch{newSketch(), newSketch()}
	}
	require.Equal(t, single.Finding(), together.Finding())
}
