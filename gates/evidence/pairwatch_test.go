package evidence

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// pairTrial gives what is compared in one block: how often the candidate and the
// second baseline differ from the first.
type pairTrial func(rng *rand.Rand, block int) Pairs

// independentPairs are n exchanges a block, in which each of the two differs for
// itself.
func independentPairs(n int, candidate, noise float64) pairTrial {
	return func(rng *rand.Rand, _ int) (p Pairs) {
		for range n {
			p = p.with(rng.Float64() < candidate, rng.Float64() < noise)
		}
		return p
	}
}

func (p Pairs) with(candidate, noise bool) Pairs {
	if candidate != noise {
		p.Discordant++
		if candidate {
			p.Candidate++
		}
	}
	return p
}

// bursts are stretches of blocks in which one of the two, by chance, differs in
// all n exchanges.
func bursts(n, length int, share float64) pairTrial {
	left, candidate := 0, false
	return func(rng *rand.Rand, block int) (p Pairs) {
		if block == 0 {
			left = 0
		}
		if left == 0 && rng.Float64() < share/float64(length) {
			left, candidate = 1+rng.IntN(2*length-1), rng.IntN(2) == 0
		}
		if left == 0 {
			return p
		}
		left--
		for range n {
			p = p.with(candidate, !candidate)
		}
		return p
	}
}

// foundOf counts the trials that are ever certain, looked at after each block.
func foundOf(trials, blocks int, alpha float64, trial pairTrial) (found, soonest int) {
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 77))
		w := &PairWatch{}
		for block := range blocks {
			w.Add(trial(rng, block))
			if w.Finding().Certain(alpha) {
				found++
				soonest += block + 1
				break
			}
		}
	}
	return found, soonest / max(1, found)
}

// TestPairWatchErrsAsRarelyAsItSays: with no regression there is none found, beyond
// the nominal rate.
func TestPairWatchErrsAsRarelyAsItSays(t *testing.T) {
	const trials, alpha = 400, 0.05
	for name, trial := range map[string]pairTrial{
		"one in two":        independentPairs(20, 0.5, 0.5),
		"rare":              independentPairs(20, 0.002, 0.002),
		"nearly all":        independentPairs(20, 0.98, 0.98),
		"quieter":           independentPairs(20, 0.1, 0.2),
		"one a block":       independentPairs(1, 0.5, 0.5),
		"bursts of a block": bursts(20, 1, 0.1),
	} {
		t.Run(name, func(t *testing.T) {
			found, _ := foundOf(trials, 500, alpha, trial)
			t.Logf("%d of %d", found, trials)
			require.False(t, Excludes(uint64(found), trials, alpha, 0.99), "%d of %d", found, trials)
		})
	}
}

// TestLongBurstsOfPairs: what lasts for several blocks and hits one of the two by
// chance is several coins to the watch. The comment of PairWatch says how many
// errors that makes of 5 %.
func TestLongBurstsOfPairs(t *testing.T) {
	const trials, alpha = 400, 0.05
	found, _ := foundOf(trials, 500, alpha, bursts(20, 3, 0.1))
	require.InDelta(t, 0.17, float64(found)/trials, 0.06)
}

// TestPairWatchFinds: what is worse is found, and how soon.
func TestPairWatchFinds(t *testing.T) {
	const trials, alpha = 100, 1e-5 // as of the hundredth field or so
	for name, c := range map[string]struct {
		trial  pairTrial
		within int // blocks, on average
	}{
		"always, without noise":        {independentPairs(20, 1, 0), 30},
		"one in 200, without noise":    {independentPairs(20, 0.005, 0), 400},
		"always, one in two is noise":  {independentPairs(20, 1, 0.5), 40},
		"twice as often, in a tenth":   {independentPairs(20, 0.2, 0.1), 150},
		"a tenth more than one in two": {independentPairs(20, 0.6, 0.5), 500},
	} {
		t.Run(name, func(t *testing.T) {
			found, blocks := foundOf(trials, 2000, alpha, c.trial)
			t.Logf("%d of %d, after %d blocks", found, trials, blocks)
			require.GreaterOrEqual(t, found, 98)
			require.LessOrEqual(t, blocks, c.within)
		})
	}
}

// TestPairWatchWithMore: to look at a block that still grows changes nothing.
func TestPairWatchWithMore(t *testing.T) {
	looked, plain := &PairWatch{}, &PairWatch{}
	plain.Add(Pairs{Discordant: 1})
	looked.Add(Pairs{Discordant: 1})
	for block := range uint64(200) { // more than there are batches
		for grows := range block % 5 {
			with := looked.With(Pairs{Discordant: grows + 1, Candidate: grows})
			require.Equal(t, looked.Seen().Discordant+grows+1, with.Seen().Discordant)
		}
		p := Pairs{Discordant: block % 5, Candidate: block % 3}
		with := looked.With(p).Finding()
		looked.Add(p)
		plain.Add(p)
		require.Equal(t, plain.Finding(), looked.Finding())
		require.Equal(t, plain.Finding(), with)
	}
}

func TestPairWatchExplainsItself(t *testing.T) {
	w := &PairWatch{}
	w.Add(Pairs{})
	require.Zero(t, w.Seen())
	for range 40 {
		w.Add(Pairs{Discordant: 4, Candidate: 3})
	}
	w.Add(Pairs{Discordant: 1, Candidate: 9})
	f := w.Finding()
	require.Equal(t, Pairs{161, 121}, w.Seen())
	require.InDelta(t, 121.0/40, f.Ratio, 1e-9)
	require.True(t, f.Certain(1e-5))
	require.Contains(t, f.String(), "candidate 121 of 161, baseline 40 of 161: ")
}

func TestFieldSharesAddUpToLessThanOne(t *testing.T) {
	sum := 0.0
	for n := uint64(1); n <= 1e6; n++ {
		sum += FieldShare(n)
	}
	require.Less(t, sum, 1.0)
	require.Greater(t, sum, 0.95)
	require.Equal(t, FieldShare(1), FieldShare(0))
}
