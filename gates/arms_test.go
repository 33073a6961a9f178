package gates

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/gates/evidence"
	"resilience/internal/measure"
)

// phaseOf is a record of two arms, of which each second is drawn.
func phaseOf(seed uint64, seconds int, candidate, baseline arm) Record {
	return varying(seed, seconds, func() arm { return candidate }, func() arm { return baseline })
}

// varying is one of arms that are drawn for each second, too.
func varying(seed uint64, seconds int, candidate, baseline func() arm) Record {
	s := &sheet{}
	random := rand.New(rand.NewPCG(seed, 21))
	end := epoch + int64(seconds)*second
	for _, name := range []string{measure.Candidate, measure.Baseline} {
		s.event(measure.EventTest, "a", "", epoch, map[string]string{"arm": name})
		s.event(measure.EventTestEnd, "a", "", end, map[string]string{"arm": name, "complete": "true"})
	}
	r := rollout{random: random, at: epoch}
	for ; r.at < end; r.at += second {
		s.windows = append(s.windows, r.window(measure.Candidate, candidate()), r.window(measure.Baseline, baseline()))
	}
	return s.record()
}

// TestArmsErrAsRarelyAsAllowed: a candidate that is just as bad as it may not be
// any more passes in no more than 5 % of all phases, one that is as good as the
// baseline fails in no more, and mostly passes.
func TestArmsErrAsRarelyAsAllowed(t *testing.T) {
	const phases = 50
	for text, c := range map[string]struct {
		seconds int
		well    arm
		limit   arm // where the margin ends
		passes  int // of the phases in which the candidate is well, at least
	}{
		"errors <= baseline * 2":          {300, arm{0.02, 50}, arm{0.0392, 50}, 40}, // odds that are twice as great
		"availability >= baseline - 2pp":  {300, arm{0.02, 50}, arm{0.04, 50}, 40},
		"latency p95 <= baseline + 30%":   {300, arm{0, 50}, arm{0, 65}, 40},
		"latency p90 <= baseline + 40 ms": {300, arm{0, 50}, arm{0, 50 + 40/2.8}, 30}, // whose p90 is 2.8 times as much
	} {
		t.Run(text, func(t *testing.T) {
			g := mustParse(t, text)
			passed, wrong, failed := 0, 0, 0
			for seed := range uint64(phases) {
				switch Judge(g, phaseOf(seed, c.seconds, c.well, c.well)).Outcome {
				case Pass:
					passed++
				case Fail:
					failed++
				}
				if Judge(g, phaseOf(seed+phases, c.seconds, c.limit, c.well)).Outcome == Pass {
					wrong++
				}
			}
			require.GreaterOrEqual(t, passed, c.passes)
			require.LessOrEqual(t, failed, 4)
			require.LessOrEqual(t, wrong, 8, "5 % and four standard deviations")
		})
	}
}

// TestEqualArmsDoNotFail: where both arms are alike, none is called worse more often
// than allowed, however their requests depend on each other. By the intervals of
// both alone, one in three would be.
func TestEqualArmsDoNotFail(t *testing.T) {
	const phases = 40
	bursting := func(random *rand.Rand) func() arm { // half a dozen seconds, every two minutes or so
		left := 0
		return func() arm {
			switch {
			case left > 0:
				left--
				return arm{0.3, 150}
			case random.IntN(120) == 0:
				left = 2 + random.IntN(7)
			}
			return arm{0.001, 50}
		}
	}
	for _, text := range []string{"errors <= baseline", "availability >= baseline - 0.1pp", "latency p95 <= baseline"} {
		t.Run(text, func(t *testing.T) {
			g := mustParse(t, text)
			failed := uint64(0)
			for seed := range uint64(phases) {
				random := rand.New(rand.NewPCG(seed, 22))
				if Judge(g, varying(seed, 900, bursting(random), bursting(random))).Outcome == Fail {
					failed++
				}
			}
			require.False(t, evidence.Excludes(failed, phases, 0.05, 0.99), "%d of %d", failed, phases)
		})
	}
}

// TestEpisodesAreTenSeconds: of both arms together, also before 1970.
func TestEpisodesAreTenSeconds(t *testing.T) {
	for at, want := range map[int64]int64{0: 0, 9: 0, 10: 10, 19: 10, -1: -10, -10: -10} {
		require.Equal(t, want*second, episodeOf(at*second), at)
	}
}

// TestUnbounded: what could not start is as many values, each over any limit.
func TestUnbounded(t *testing.T) {
	for _, n := range []uint64{0, 1, 2, 3, 1000, 1<<32 - 1} {
		s := unboundedly(n)
		require.Equal(t, n, s.Count())
		require.Equal(t, n, s.CountAbove(1e300))
	}
}
