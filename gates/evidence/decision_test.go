package evidence

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/measure"
)

// bakes gives the share of simulated bakes with one look, of so many seconds,
// that end with the outcome.
func bakes(rollouts int, seconds float64, outcome Outcome, make func(rng *rand.Rand) (traffic, func(*second), func(bound float64) Decision)) float64 {
	bound, _ := Boundary(0.05, []float64{1})
	hits := 0
	for seed := range uint64(rollouts) {
		system, add, decide := make(rand.New(rand.NewPCG(seed, 77)))
		var s second
		for range int(seconds) {
			system.next(&s)
			add(&s)
		}
		if decide(bound[0]).Outcome == outcome {
			hits++
		}
	}
	return float64(hits) / float64(rollouts)
}

func shareBakes(candidate, baseline float64, margin Margin) func(rng *rand.Rand) (traffic, func(*second), func(float64) Decision) {
	return func(rng *rand.Rand) (traffic, func(*second), func(float64) Decision) {
		b := NewShareBake(margin)
		return shares([2]int{20, 20}, candidate, baseline, 0)(rng), func(s *second) { b.Add(s.block()) }, b.Decide
	}
}

func latencyBakes(l slowing, margin Margin) func(rng *rand.Rand) (traffic, func(*second), func(float64) Decision) {
	return func(rng *rand.Rand) (traffic, func(*second), func(float64) Decision) {
		b := NewLatencyBake(newSketch, margin)
		return latencies(l)(rng), func(s *second) {
			sums := s.sketches()
			b.Add(sums[0], sums[1])
		}, b.Decide
	}
}

// TestShownInTheTimeThatIsTold: a bake of the length that is planned shows that
// an equal candidate is no worse than allowed as often as is told, and calls one
// that is worse by the whole margin so no more often than alpha.
func TestShownInTheTimeThatIsTold(t *testing.T) {
	traffic := Traffic{Candidate: 20, Baseline: 20}
	for _, c := range []struct {
		base   float64
		margin Margin
		worst  float64
	}{
		{0.001, Margin{Ratio: 2}, 0.001998},
		{0.01, Margin{Ratio: 1.5}, 0.014925},
		{0.001, Margin{Difference: 0.001}, 0.002},
		{0.02, Margin{Difference: 0.01}, 0.03},
	} {
		seconds, ok := traffic.ShareShownIn(c.base, c.margin, 0.05, 0.9)
		require.True(t, ok)
		require.InDelta(t, 0.9, bakes(200, seconds, NonInferior, shareBakes(c.base, c.base, c.margin)), 0.12, "%+v in %v s", c, seconds)
		require.LessOrEqual(t, bakes(200, seconds, NonInferior, shareBakes(c.worst, c.base, c.margin)), 0.08, "%+v", c)
	}
	seen := newSketch()
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		seen.Add(100 * math.Exp(0.5*rng.NormFloat64()))
	}
	margin := Margin{Ratio: 1.1}
	seconds, ok := LatencyShownIn(Traffic{Candidate: 2, Baseline: 2}, seen, margin, 0.05, 0.9)
	require.True(t, ok)
	require.GreaterOrEqual(t, bakes(100, seconds, NonInferior, latencyBakes(slowing{}, margin)), 0.85)
	require.LessOrEqual(t, bakes(100, seconds, NonInferior, latencyBakes(slowing{factor: 1.1}, margin)), 0.08)
}

func TestNoErrorsAtAllAreWithinADifference(t *testing.T) {
	ratio, difference := NewShareBake(Margin{Ratio: 2}), NewShareBake(Margin{Difference: 0.001})
	for range 1800 {
		b := Block{Counts{20, 0}, Counts{20, 0}}
		ratio.Add(b)
		difference.Add(b)
	}
	require.Equal(t, Undecided, ratio.Decide(1.645).Outcome, "twice as many as none can not be told from none")
	require.Equal(t, NonInferior, difference.Decide(1.645).Outcome)
	few := NewShareBake(Margin{Difference: 0.001})
	for range 60 {
		few.Add(Block{Counts{20, 0}, Counts{20, 0}})
	}
	require.Equal(t, Undecided, few.Decide(1.645).Outcome, "1,200 requests can not show 0.1 points")
}

func TestWorseButAllowed(t *testing.T) {
	b := NewLatencyBake(newSketch, Margin{Ratio: 1.5})
	strict := NewLatencyBake(newSketch, Margin{Ratio: 1})
	p99, err := NewQuantileBake(newSketch, Margin{Ratio: 1.5}, 0.99)
	require.NoError(t, err)
	system := latencies(slowing{factor: 1.2, rate: [2]int{20, 20}})(rand.New(rand.NewPCG(1, 2)))
	var s second
	for range 1800 {
		system.next(&s)
		sums := s.sketches()
		for _, bake := range []*LatencyBake[*measure.Sketch]{b, strict, p99} {
			bake.Add(sums[0], sums[1])
		}
	}
	d := b.Decide(1.645)
	require.Equal(t, NonInferior, d.Outcome)
	require.True(t, d.Worse)
	require.InDelta(t, 1.2, d.Ratio, 0.03)
	require.Contains(t, d.String(), "non-inferior: 1.2")
	require.Equal(t, Inferior, strict.Decide(1.645).Outcome)
	require.True(t, p99.Decide(1.645).Worse)
	require.Equal(t, NonInferior, p99.Decide(1.645).Outcome)
	require.InDelta(t, 1.2, p99.Decide(1.645).Ratio, 0.06)
	require.Equal(t, Undecided, b.Decide(math.NaN()).Outcome)
	require.Equal(t, "undecided", Undecided.String())
}

// inOne is 1 in one episode.
func inOne(second, episode int) uint64 {
	if second/Episode == episode {
		return 1
	}
	return 0
}

// TestBeyondTheMargin: what goes on is certain; one burst is not, however great, nor
// what is within the margin.
func TestBeyondTheMargin(t *testing.T) {
	for name, c := range map[string]struct {
		failed func(second int) uint64 // of the candidate's twenty
		margin Margin
		beyond bool
	}{
		"it goes on":            {func(int) uint64 { return 2 }, Margin{Ratio: 2}, true},
		"by points":             {func(int) uint64 { return 2 }, Margin{Difference: 0.01}, true},
		"within the margin":     {func(int) uint64 { return 2 }, Margin{Difference: 0.2}, false},
		"half of the time":      {func(second int) uint64 { return 2 * uint64(second/300) }, Margin{Ratio: 2}, true},
		"one burst":             {func(second int) uint64 { return 20 * inOne(second, 40) }, Margin{Ratio: 2}, false},
		"one burst, by points":  {func(second int) uint64 { return 20 * inOne(second, 40) }, Margin{Difference: 0.01}, false},
		"nothing, by a mistake": {func(int) uint64 { return 0 }, Margin{Ratio: 2}, false},
	} {
		b := NewShareBake(c.margin)
		for second := range 600 {
			b.Add(Block{Counts{20, c.failed(second)}, Counts{20, uint64(1 - min(1, second%100))}})
		}
		require.Equal(t, c.beyond, b.Decide(1.645).Beyond, name)
	}
}

// TestRoundingFindsNothing: a candidate that takes just as much longer as it may is
// over no more limits than the baseline, wherever the borders of buckets are.
func TestRoundingFindsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		allowed := rapid.Float64Range(1, 5).Draw(t, "allowed")
		candidate, baseline := newSketch(), newSketch()
		for _, v := range rapid.SliceOfN(rapid.Float64Range(1, 1000), 1, 50).Draw(t, "values") {
			candidate.Add(v * allowed * (1 - 1e-9))
			baseline.Add(v)
		}
		limit, _ := baseline.Quantile(rapid.Float64Range(0, 1).Draw(t, "quantile"))
		b := over(candidate, baseline, limit, roundedUp(allowed))
		require.LessOrEqual(t, b.Candidate.Failed, b.Baseline.Failed)
	})
	require.Equal(t, 1.0, roundedUp(1), "of no difference nothing is rounded")
}

// TestAMuchSlowerCandidateMovesNoLimit: its latencies would be the upper twentieth
// of both arms, which the baseline never reaches.
func TestAMuchSlowerCandidateMovesNoLimit(t *testing.T) {
	b, err := NewQuantileBake(newSketch, Margin{Ratio: 2}, 0.95)
	require.NoError(t, err)
	system := latencies(slowing{rate: [2]int{10, 10}})(rand.New(rand.NewPCG(1, 2)))
	var s second
	for second := range 600 {
		system.next(&s)
		if second >= 180 {
			for i := range s.values[0] {
				s.values[0][i] += math.Log(100)
			}
		}
		sums := s.sketches()
		b.Add(sums[0], sums[1])
	}
	d := b.Decide(1.645)
	require.True(t, d.Beyond, d.String())
	require.Equal(t, Inferior, d.Outcome)
}

// TestFewFailuresAreCountedExactly: three of five failures where one in ten
// requests went has the probability 0.856 %, which the normal approximation
// takes for 0.01 %.
func TestFewFailuresAreCountedExactly(t *testing.T) {
	b := NewShareBake(Margin{Ratio: 2})
	for second := range 3600 {
		block := Block{Counts{4, 0}, Counts{36, 0}}
		switch second {
		case 100, 900, 2000:
			block.Candidate.Failed = 1
		case 1500, 3000:
			block.Baseline.Failed = 1
		}
		b.Add(block)
	}
	d := b.Decide(1.645)
	require.InDelta(t, -quantile(0.00856), d.Difference*math.Sqrt(d.Inflation), 0.001)
	require.False(t, d.Worse, "and five failures can not tell whether they come in bursts")
}

// TestEpisodesAreTenBlocks: who has the seconds added up already decides alike.
func TestEpisodesAreTenBlocks(t *testing.T) {
	shares, summed := NewShareBake(Margin{Ratio: 2}), NewShareBake(Margin{Ratio: 2})
	ranks, merged := NewLatencyBake(newSketch, Margin{Ratio: 1.1}), NewLatencyBake(newSketch, Margin{Ratio: 1.1})
	system := latencies(slowing{rate: [2]int{20, 20}})(rand.New(rand.NewPCG(3, 4)))
	var s second
	for range 30 {
		var counts Block
		episode := [2]*measure.Sketch{newSketch(), newSketch()}
		for i := range uint64(Episode) {
			b := Block{Counts{20, i % 2}, Counts{20, i % 3}}
			shares.Add(b)
			counts = counts.plus(b)
			system.next(&s)
			sums := s.sketches()
			ranks.Add(sums[0], sums[1])
			episode[0].Merge(sums[0])
			episode[1].Merge(sums[1])
		}
		summed.AddEpisode(counts)
		merged.AddEpisode(episode[0], episode[1])
	}
	require.Equal(t, shares.Decide(1.645), summed.Decide(1.645))
	require.Equal(t, ranks.Decide(1.645), merged.Decide(1.645))
	require.NotZero(t, merged.Decide(1.645).Margin)
}

// TestTailsTakeLonger to be shown than the middle, where they are as far apart.
func TestTailsTakeLonger(t *testing.T) {
	seen := newSketch()
	rng := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		seen.Add(100 * math.Exp(0.5*rng.NormFloat64()))
	}
	before := 0.0
	for _, q := range []float64{0.5, 0.9, 0.95, 0.99} {
		seconds, ok := QuantileShownIn(Traffic{Candidate: 20, Baseline: 20}, seen, q, Margin{Ratio: 1.1}, 0.05, 0.9)
		require.True(t, ok)
		require.Greater(t, seconds, before)
		before = seconds
	}
	_, ok := QuantileShownIn(Traffic{Candidate: 20, Baseline: 20}, newSketch(), 0.5, Margin{Ratio: 1.1}, 0.05, 0.9)
	require.False(t, ok)
}
