package shadow

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// offsets are the moments of requests after the first, in milliseconds.
func (s *standIn) offsets() (all []int64) {
	for _, r := range s.seen {
		all = append(all, r.at.Sub(s.seen[0].at).Milliseconds())
	}
	return all
}

func TestReplayKeepsRecordedTimes(t *testing.T) {
	exchanges := []Exchange{recordedGet(0, "a", "/1"), recordedGet(300*time.Millisecond, "b", "/2"), recordedGet(200*time.Millisecond, "c", "/early"), recordedGet(2*time.Second, "a", "/3")}
	for name, c := range map[string]struct {
		change func(*plan.Shadow)
		want   []int64
	}{
		"as recorded":     {func(*plan.Shadow) {}, []int64{0, 300, 300, 2000}},
		"twice as fast":   {func(s *plan.Shadow) { s.Speed = 2 }, []int64{0, 150, 150, 1000}},
		"half as fast":    {func(s *plan.Shadow) { s.Speed = 0.5 }, []int64{0, 600, 600, 4000}},
		"at a rate":       {func(s *plan.Shadow) { s.Speed, s.Rate = 0, 4 }, []int64{0, 250, 500, 750}},
		"a limit":         {func(s *plan.Shadow) { s.Limit = 2 }, []int64{0, 300}},
		"a duration":      {func(s *plan.Shadow) { s.Warmup, s.Duration = plan.Duration(time.Second), plan.Duration(time.Second) }, []int64{0, 300, 300}},
		"some routes":     {func(s *plan.Shadow) { s.Routes = plan.Names{"/2", "GET /3"} }, []int64{0, 1700}},
		"from a moment":   {func(s *plan.Shadow) { at := plan.Instant(taped.Add(time.Second)); s.From = &at }, []int64{0}},
		"before a moment": {func(s *plan.Shadow) { at := plan.Instant(taped.Add(250 * time.Millisecond)); s.To = &at }, []int64{0, 200}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: answering(`{"ok":true}`, 10*time.Millisecond), baseline: answering(`{"ok":true}`, time.Millisecond)}
				c.change(&s.test)
				all := s.run(t, t.Context())
				require.Equal(t, c.want, s.candidate.(*standIn).offsets())
				require.Equal(t, c.want, s.baseline.(*standIn).offsets(), "both are asked at the same moments")
				sums := replaySummed(all, measure.MetricRequest)
				require.EqualValues(t, len(c.want), sums[measure.Candidate].Count)
				require.EqualValues(t, 10, sums[measure.Candidate].Max)
				require.EqualValues(t, 1, sums[measure.Baseline].Max)
				require.Equal(t, "true", happened(all, measure.EventTestEnd)[0].Attrs["complete"])
				require.Len(t, happened(all, measure.EventTestEnd), 2)
			})
		})
	}
}

// A log without times, which lies in 1970, beside one of now keeps nobody waiting for
// half a century.
func TestReplayWaitsForNoOtherYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{
			test: shadowTest(), candidate: answering("{}", 0), baseline: answering("{}", 0),
			tape: tape{exchanges: []Exchange{recordedGet(0, "a", "/1"), recordedGet(23*time.Hour, "b", "/2"), recordedGet(48*365*24*time.Hour, "c", "/3")}},
		}
		all := s.run(t, t.Context())
		require.Equal(t, []string{"GET /1", "GET /2"}, s.candidate.(*standIn).targets())
		warnings := happened(all, measure.EventWarning)
		require.Len(t, warnings, 1)
		require.Contains(t, warnings[0].Attrs["detail"], "nothing is due for 420457h0m0s: choose a part of it")
	})
}

func TestReplayAsFastAsItGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(100, time.Hour)}, candidate: answering("{}", 10*time.Millisecond), baseline: answering("{}", time.Millisecond)}
		require.NoError(t, s.test.Speed.UnmarshalText([]byte("max")))
		s.test.MaxVUs = 10
		began := time.Now()
		all := s.run(t, t.Context())
		require.Equal(t, 100*time.Millisecond, time.Since(began), "ten at a time")
		require.EqualValues(t, 100, replaySummed(all, measure.MetricRequest)[measure.Candidate].Count)
		require.Zero(t, replaySummed(all, measure.MetricIteration)[measure.Candidate].Dropped)

		s.test.MaxVUs, s.test.Warmup, s.test.Duration = 1, plan.Duration(100*time.Millisecond), plan.Duration(200*time.Millisecond)
		s.candidate = answering("{}", 10*time.Millisecond)
		s.run(t, t.Context())
		require.Len(t, s.candidate.(*standIn).seen, 30, "until its time is over")
	})
}

// TestReplayKeepsOrder wants what waited for an answer when it was recorded to
// wait for it again, and what did not wait not to.
func TestReplayKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := recordedGet(0, "a", "/1")
		first.Took = 50 * time.Millisecond
		exchanges := []Exchange{first, recordedGet(20*time.Millisecond, "a", "/beside"), recordedGet(100*time.Millisecond, "b", "/other"), recordedGet(100*time.Millisecond, "a", "/2"), recordedGet(150*time.Millisecond, "", "/nobody")}
		slow := &standIn{answer: func(r asked) (int, map[string]string, string, time.Duration) {
			if r.target == "/1" {
				return 200, nil, "{}", time.Second
			}
			return 200, nil, "{}", 10 * time.Millisecond
		}}
		s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: slow, baseline: answering("{}", 0)}
		all := s.run(t, t.Context())
		require.Equal(t, []int64{0, 20, 100, 150, 1000}, slow.offsets())
		require.Equal(t, "/2", slow.seen[4].target)
		require.Equal(t, "1", happened(all, measure.EventReplay)[0].Attrs["held"])
		require.EqualValues(t, 10+10+10+10+1000, replaySummed(all, measure.MetricRequest)[measure.Candidate].Sum, "what waits for its session is not slow itself")
	})
}

// TestReplayIsOpen wants a target that does not keep up to be slow and to drop,
// and not to slow down what is asked of it, nor to spoil the other arm.
func TestReplayIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(100, 10*time.Millisecond)}, candidate: answering("{}", time.Hour), baseline: answering("{}", time.Millisecond)}
		s.test.MaxVUs = 10
		all := s.run(t, t.Context())
		requests, arrivals := replaySummed(all, measure.MetricRequest), replaySummed(all, measure.MetricIteration)
		require.EqualValues(t, 10, requests[measure.Candidate].Unfinished)
		require.EqualValues(t, 100, arrivals[measure.Candidate].Count)
		require.EqualValues(t, 90, arrivals[measure.Candidate].Dropped)
		require.Zero(t, arrivals[measure.Baseline].Dropped, "the baseline held nobody up")
		require.EqualValues(t, 10, requests[measure.Baseline].Count)
		require.InDelta(t, 6000, requests[measure.Candidate].Max, 100, "until the grace was over")
	})
}

func TestReplayEnds(t *testing.T) {
	broken := errors.New("block 7 is corrupt")
	for name, c := range map[string]struct {
		end    error
		limit  uint64
		after  time.Duration // until it is interrupted
		reason string
		sent   uint64
	}{
		"with the recording":     {reason: "", sent: 100},
		"where it is damaged":    {end: broken, reason: "the recording could not be read to its end: block 7 is corrupt", sent: 100},
		"with its limit":         {limit: 40, sent: 40},
		"when it is interrupted": {after: 505 * time.Millisecond, reason: "interrupted", sent: 51},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.after > 0 {
					time.AfterFunc(c.after, cancel)
				}
				s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(100, 10*time.Millisecond), end: c.end}, candidate: answering("{}", time.Millisecond), baseline: answering("{}", time.Millisecond)}
				s.test.Limit = c.limit
				all := s.run(t, ctx)
				end := happened(all, measure.EventTestEnd)[0]
				require.Equal(t, c.reason, end.Attrs["reason"])
				told := happened(all, measure.EventReplay)[0].Attrs
				require.Equal(t, told["sent"], told["read"], "what was only looked at is not read")
				require.Equal(t, c.sent, replaySummed(all, measure.MetricRequest)[measure.Candidate].Count)
			})
		})
	}
}

// TestReplayTellsWhatIsMissing wants a recording without an end to be told as such.
func TestReplayTellsWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(5, time.Millisecond), endless: true}, candidate: answering("{}", 0), baseline: answering("{}", 0)}
		warnings := happened(s.run(t, t.Context()), measure.EventWarning)
		require.Len(t, warnings, 1)
		require.Contains(t, warnings[0].Attrs["detail"], "the recording has no end")
	})
}

// TestReplayTellsWhyNothingStarted wants what waited for an answer of its session
// not to be told as a want of workers.
func TestReplayTellsWhyNothingStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		exchanges := []Exchange{recordedGet(0, "a", "/1"), recordedGet(time.Second, "a", "/2")}
		s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: answering("{}", time.Hour), baseline: answering("{}", 0)}
		all := s.run(t, t.Context())
		require.Equal(t, "could not start: an answer of its session did not come in time", all.Examples[0].Message)
		told := happened(all, measure.EventReplay)[0].Attrs
		require.Equal(t, []string{"2", "1", "1"}, []string{told["read"], told["sent"], told["dropped"]})
	})
	for session, why := range map[string]string{
		"a": "too many exchanges waited already, as each does for the answers of its session",
		"":  "as many exchanges as may be (max_vus) were waiting for their answers",
	} {
		synctest.Test(t, func(t *testing.T) {
			s := staged{test: shadowTest(), candidate: answering("{}", time.Hour), baseline: answering("{}", 0)}
			for i := range lineJobs + 200 {
				s.tape.exchanges = append(s.tape.exchanges, recordedGet(time.Duration(i)*time.Microsecond, session, "/"))
			}
			require.Equal(t, "could not start: "+why, s.run(t, t.Context()).Examples[0].Message)
		})
	}
}

func TestReplaySamplesBySession(t *testing.T) {
	kept := map[float64][]string{}
	for _, share := range []float64{0.1, 0.5} {
		for i := range 4000 {
			session := string(rune('a'+i%26)) + time.Duration(i).String()
			if sampled(recordedGet(0, session, "/"), share) {
				kept[share] = append(kept[share], session)
				require.True(t, sampled(recordedGet(time.Hour, session, "/other"), share), "all of a session or nothing")
			}
		}
		require.InDelta(t, 4000*share, len(kept[share]), 120)
	}
	for _, session := range kept[0.1] {
		require.True(t, slices.Contains(kept[0.5], session), "a smaller sample is part of a larger one")
	}
}

// TestReplayMarks wants every copy to be marked, no credentials of users to be
// sent, and nothing that belongs to another connection.
func TestReplayMarks(t *testing.T) {
	e := recordedGet(0, "a", "/a%2Fb?q=1&q=%20")
	e.Request.Header = http.Header{
		"Authorization": {"Bearer pseudonym"}, "Cookie": {"sid=pseudonym"}, "X-Api-Key": {"pseudonym"}, "Connection": {"close"}, "Host": {"shop.example"},
		"Accept-Encoding": {"compress, gzip;q=0.5"}, "Accept-Language": {"de"}, "Baggage": {"user=1"},
	}
	candidate := answering("{}", 0)
	s := staged{test: unhurried(), tape: tape{exchanges: []Exchange{e}}, candidate: candidate, baseline: answering("{}", 0)}
	s.run(t, t.Context())
	require.Equal(t, http.Header{
		"X-Resilience-Shadow": {"1"}, "Baggage": {"synthetic=true,synthetic.shadow=run-1"}, "Accept-Encoding": {"gzip;q=0.5"}, "Accept-Language": {"de"},
		"User-Agent": {"resilience"},
	}, candidate.seen[0].header)
	require.Equal(t, "/a%2Fb?q=1&q=%20", candidate.seen[0].target)
}
