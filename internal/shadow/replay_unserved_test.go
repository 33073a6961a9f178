package shadow

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// limited answers so many requests of a second, and refuses the others.
func limited(perSecond int) *standIn {
	var mu sync.Mutex
	var second int64
	n := 0
	return &standIn{answer: func(r asked) (int, map[string]string, string, time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		if now := r.at.Unix(); now != second {
			second, n = now, 0
		}
		if n++; n > perSecond {
			return 429, nil, `{"error":"slow down"}`, time.Millisecond
		}
		return 200, nil, `{"ok":true}`, time.Millisecond
	}}
}

// flaky fails with a probability.
func flaky(seed uint64, share float64) *standIn {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 1))
	return &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		if rng.Float64() < share {
			return 503, nil, `{"error":"down"}`, time.Millisecond
		}
		return 200, nil, `{"ok":true}`, time.Millisecond
	}}
}

// TestBaselineThatFailsAlone: who is asked twice reaches a limit earlier. That is no
// regression of a candidate that answers as users were answered, nor does it pass.
func TestBaselineThatFailsAlone(t *testing.T) {
	for name, c := range map[string]struct {
		candidate, baseline, again *standIn
		told                       int
		regressions, undecided     bool
		warning                    string
	}{
		"a limit that both have":         {candidate: limited(15), baseline: limited(15), undecided: true, warning: "the baseline alone failed"},
		"no limit is reached":            {candidate: limited(15), baseline: limited(30)},
		"the candidate has a lower one":  {candidate: limited(5), baseline: limited(30), regressions: true},
		"both fail by chance":            {candidate: flaky(1, 0.2), baseline: flaky(2, 0.2), again: flaky(3, 0.2)},
		"the candidate fails more":       {candidate: flaky(1, 0.4), baseline: flaky(2, 0.02), again: flaky(3, 0.02), regressions: true},
		"the baseline gives no answer":   {candidate: answering(`{}`, 0), baseline: refusing(), undecided: true, warning: "the baseline alone failed"},
		"users were refused as well":     {candidate: answering(`{}`, 0), baseline: limited(0), told: 429, regressions: true},
		"a candidate lets everybody in":  {candidate: answering(`{}`, 0), baseline: statusing(401), regressions: true},
		"a candidate has what is not so": {candidate: answering(`{}`, 0), baseline: statusing(404), regressions: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			exchanges := recordedMany(600, 100*time.Millisecond)
			for i := range exchanges {
				exchanges[i].Session, exchanges[i].Route = fmt.Sprint(i), "GET /items"
				if c.told != 0 {
					exchanges[i].Response.Status = c.told
				}
			}
			s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: c.candidate, baseline: c.baseline, again: c.again}
			s.test.Noise = plan.NoiseTwice
			if c.again == nil {
				s.again = c.baseline
			}
			all := s.run(t, t.Context())
			pairs := replaySummed(all, measure.MetricComparison)[measure.Candidate]
			undecided := replaySummed(all, measure.MetricUndecided)[measure.Candidate]
			require.EqualValues(t, 600, pairs.Count, name)
			require.Equal(t, c.regressions, pairs.Failed > 0, "%s: %v", name, happened(all, measure.EventDifference))
			if !c.regressions {
				require.Equal(t, c.undecided, undecided.Count > 100, "%s: %d %v", name, undecided.Count, happened(all, measure.EventDifference))
			}
			if warnings := happened(all, measure.EventWarning); c.warning != "" {
				require.NotEmpty(t, warnings, name)
				require.Contains(t, warnings[len(warnings)-1].Attrs["detail"], c.warning, name)
			}
		})
	}
}

// statusing answers always with one status.
func statusing(status int) *standIn {
	return &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) { return status, nil, `{}`, 0 }}
}

// refusing gives no answer.
func refusing() *standIn {
	return &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) { return 0, nil, "refused", 0 }}
}

// TestWhatChangesWithTime is in no answer at the moment of another: a candidate that is
// slower answers something else more often, and is no regression for that.
func TestWhatChangesWithTime(t *testing.T) {
	of := func(work time.Duration) *standIn {
		return &standIn{answer: func(r asked) (int, map[string]string, string, time.Duration) {
			return 200, nil, fmt.Sprintf(`{"greeting":"good %c"}`, 'a'+r.at.Add(work).UnixMilli()/200%7), work
		}}
	}
	synctest.Test(t, func(t *testing.T) {
		exchanges := recordedMany(3000, 17*time.Millisecond)
		for i := range exchanges {
			exchanges[i].Session = fmt.Sprint(i)
		}
		s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: of(15 * time.Millisecond), baseline: of(time.Millisecond), again: of(time.Millisecond)}
		s.test.Noise = plan.NoiseTwice
		all := s.run(t, t.Context())
		pairs := replaySummed(all, measure.MetricComparison)[measure.Candidate]
		require.EqualValues(t, 3000, pairs.Count)
		require.Zero(t, pairs.Failed, happened(all, measure.EventDifference))
	})
}

// TestReplayTellsOfTooManyDifferences: what is beyond the differences that are listed may
// be wrong, and nobody has looked at it.
func TestReplayTellsOfTooManyDifferences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		many := func(seed int) *standIn {
			return counted(func(n int) string {
				var b strings.Builder
				for i := range 70 {
					fmt.Fprintf(&b, `"%c%c":%d,`, 'a'+i/26, 'a'+i%26, seed*n*1000+i)
				}
				return "{" + strings.TrimSuffix(b.String(), ",") + "}"
			})
		}
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(50, 100*time.Millisecond)}, candidate: many(1), baseline: many(2), again: many(3)}
		s.test.Noise = plan.NoiseTwice
		warnings := happened(s.run(t, t.Context()), measure.EventWarning)
		require.NotEmpty(t, warnings)
		require.Equal(t, "GET /items: 50 of 50 pairs of answers differ in more than 64 ways, and so do two answers of the baseline: what is beyond them was not compared; ignore: what differs whenever one asks", warnings[len(warnings)-1].Attrs["detail"])
	})
}
