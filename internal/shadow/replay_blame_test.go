package shadow

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// TestReplayOfOneSessionForAll: in a log from behind a load balancer all is one session,
// and asked one after the other. That not all could be is the failure of who holds the
// others up: of one version, or of none, whoever happens to be asked when time is up.
func TestReplayOfOneSessionForAll(t *testing.T) {
	about := func(d time.Duration, seed uint64) *standIn { // no answer takes as long as another
		random := rand.New(rand.NewPCG(seed, 1))
		return &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) {
			return 200, nil, "{}", d/2 + time.Duration(random.Int64N(int64(d)))
		}}
	}
	for name, c := range map[string]struct {
		candidate, baseline, recorded time.Duration // the last is how long users waited
		again                         bool
		fails                         []string // the arms that do
	}{
		"both as slow":        {100 * time.Millisecond, 100 * time.Millisecond, time.Millisecond, false, nil},
		"nobody knows":        {100 * time.Millisecond, 100 * time.Millisecond, 0, true, nil},
		"the candidate":       {300 * time.Millisecond, 50 * time.Millisecond, time.Millisecond, true, []string{measure.Candidate}},
		"the baseline":        {50 * time.Millisecond, 300 * time.Millisecond, time.Millisecond, false, []string{measure.Baseline}},
		"against recorded":    {100 * time.Millisecond, 0, time.Millisecond, false, []string{measure.Candidate}},
		"against unknown":     {100 * time.Millisecond, 0, 0, false, nil},
		"as slow as recorded": {100 * time.Millisecond, 0, 100 * time.Millisecond, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := staged{test: shadowTest(), candidate: about(c.candidate, 1)}
				if c.baseline > 0 {
					s.baseline = about(c.baseline, 2)
				}
				if c.again {
					s.again = about(c.baseline, 3)
				}
				for i := range 1000 {
					e := recordedGet(time.Duration(i)*2*time.Millisecond, "all", "/")
					if e.Took = c.recorded; c.recorded > 10*time.Millisecond {
						e.At = taped.Add(time.Duration(i) * c.recorded)
					}
					s.tape.exchanges = append(s.tape.exchanges, e)
				}
				if c.recorded > 10*time.Millisecond { // as they were asked, but ten times as fast
					s.test.Speed = 10
				}
				s.test.Grace = s.test.Timeout / 10
				all := s.run(t, t.Context())
				told := happened(all, measure.EventReplay)[0].Attrs
				require.NotEqual(t, "0", told["dropped"])
				arrivals := replaySummed(all, measure.MetricIteration)
				var fails []string
				for _, arm := range []string{measure.Baseline, measure.Candidate} {
					if arrivals[arm].Dropped > 0 {
						fails = append(fails, arm)
					}
				}
				require.Equal(t, c.fails, fails)
				blamed := happened(all, measure.EventGenerator)
				require.Equal(t, c.fails == nil, len(blamed) == 1)
				if c.fails == nil {
					require.Equal(t, "sessions", blamed[0].Name)
					said := ""
					for _, e := range happened(all, measure.EventWarning) {
						said += e.Attrs["detail"]
					}
					require.Contains(t, said, "one session has 100% of all exchanges")
				}
			})
		})
	}
}
