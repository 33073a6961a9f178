package shadow

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// lined is a line of so many workers, whose one lane takes what it is given and does
// nothing.
func lined(workers int) (line *replayLine, made func(session string, at, took time.Duration, body int) *job) {
	p := &replaying{Replay: &Replay{}, random: rand.New(rand.NewPCG(1, 2)), line: newReplayLine(workers)}
	p.lanes = []*lane{{replaying: p, arm: measure.Candidate, jobs: make(chan *job, 100)}}
	return p.line, func(session string, at, took time.Duration, body int) *job {
		e := recordedGet(at, session, "/")
		e.Took, e.Request.Body.Data = took, make([]byte, body)
		return &job{Exchange: e, replaying: p}
	}
}

// TestLineKeepsOrder wants a job to wait for those that had been answered when it was
// asked, and for no others.
func TestLineKeepsOrder(t *testing.T) {
	line, made := lined(10)
	first, beside, after, last := made("a", 0, 50, 0), made("a", 20, 100, 0), made("a", 60, 10, 0), made("a", 200, 0, 0)
	require.Equal(t, lineGone, line.enter(first))
	require.Equal(t, lineGone, line.enter(beside))
	require.Equal(t, lineHeld, line.enter(after))
	require.Equal(t, lineHeld, line.enter(last))
	require.Equal(t, lineGone, line.enter(made("b", 200, 0, 0)))
	require.Equal(t, 2, line.held)
	line.done(first)
	require.Equal(t, 1, line.held, "after goes")
	require.False(t, after.readied.IsZero())
	line.done(after)
	require.True(t, last.readied.IsZero(), "beside is not answered")
	line.done(beside)
	require.False(t, last.readied.IsZero())
	require.Zero(t, line.held)
	line.done(last)
	require.Len(t, line.sessions, 1)
}

// TestLineIsBounded: of a session that hangs so many wait, and take as much memory as
// they are.
func TestLineIsBounded(t *testing.T) {
	line, made := lined(1)
	first := made("a", 0, 0, 0)
	require.Equal(t, lineGone, line.enter(first))
	const some = 300
	line.held = lineJobs - some // of other sessions
	all := []*job{first}
	for n := range some {
		all = append(all, made("a", time.Duration(n+1), 0, 0))
		require.Equal(t, lineHeld, line.enter(all[n+1]))
	}
	require.Equal(t, lineFull, line.enter(made("a", time.Hour, 0, 0)))
	waits := 0
	for _, j := range all {
		waits += len(j.successors)
	}
	require.Equal(t, some, waits, "each for the one before")

	line, made = lined(1)
	long := made("a", 0, 0, lineBytes+1)
	require.Equal(t, lineGone, line.enter(long), "one is let in, however long")
	require.Equal(t, lineFull, line.enter(made("b", 0, 0, 0)))
	line.done(long)
	require.Zero(t, line.bytes)
	require.Equal(t, lineGone, line.enter(made("b", 0, 0, 0)))
}

// TestLineTellsWhoIsLate: what waits for a worker is not sent late by this machine.
func TestLineTellsWhoIsLate(t *testing.T) {
	line, made := lined(1)
	first, second := made("a", 0, 0, 0), made("b", 0, 0, 0)
	line.enter(first)
	require.Equal(t, lineLate, line.enter(second))
	require.True(t, second.delayed)
	require.False(t, first.delayed)
	soon, end := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer end()
	require.False(t, line.free(soon))
	require.Error(t, soon.Err(), "it was waited for")
	line.done(first)
	line.done(second)
	require.True(t, line.free(t.Context()))

	line, made = lined(2)
	line.enter(made("a", 0, 0, 0))
	line.enter(made("a", time.Second, 0, 0))
	require.True(t, line.free(t.Context()))
	line.enter(made("a", 2*time.Second, 0, 0))
	soon, end = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer end()
	require.False(t, line.free(soon), "as many wait for a session as may be under way")
}

// TestReplayWaitsAsLongAsItSays: a request has its time, and what is no request is not
// sent.
func TestReplayWaitsAsLongAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		odd := recordedGet(time.Second, "", "/items")
		odd.Request.Method, odd.Route = "GET /admin HTTP/1.1\r\nX:", "odd"
		s := staged{test: shadowTest(), tape: tape{exchanges: []Exchange{recordedGet(0, "", "/items"), odd}}, candidate: answering("{}", time.Hour), baseline: answering("{}", 0)}
		s.test.Timeout, s.test.Writes = plan.Duration(2*time.Second), &plan.Writes{Routes: plan.Names{"odd"}}
		all := s.run(t, t.Context())
		require.Equal(t, []string{"GET /items"}, s.candidate.(*standIn).targets())
		statuses := map[string]float64{}
		for _, w := range all.Windows {
			if w.Series.Metric == measure.MetricRequest && w.Series.Arm == measure.Candidate {
				statuses[w.Series.Status] = w.Max
			}
		}
		require.Equal(t, map[string]float64{"timeout": 2000}, statuses)
	})
	require.Equal(t, "GET /a?token=&b&c=", shownRequest(Request{Method: "GET", Target: "/a?token=secret&b&c="}))
	require.Equal(t, "GET /a", shownRequest(Request{Method: "GET", Target: "/a"}))
}

// TestNothingIsLateWithoutASchedule: as fast as it goes, an exchange is due when it is
// sent; else when the recording says.
func TestNothingIsLateWithoutASchedule(t *testing.T) {
	for speed, most := range map[string]float64{"max": 60_000, "x1": 4e6} {
		test := shadowTest()
		require.NoError(t, test.Speed.UnmarshalText([]byte(speed)))
		stream := staged{test: test}.stream()
		p := &replaying{Replay: &Replay{test: test, stream: stream}, record: newReplayRecord(stream)}
		l := &lane{replaying: p, arm: measure.Candidate, target: stream.Target}
		j := &job{Exchange: recordedGet(0, "", "/"), replaying: p, due: time.Now().Add(-time.Hour)}
		l.settle(j, &answer{Response: Response{Status: 200}, at: time.Now()}, nil)
		windows := p.record.flush().Windows
		require.NotEmpty(t, windows)
		for _, w := range windows {
			require.Less(t, w.Max, most, speed)
			require.Equal(t, speed != "max", w.Max >= 3.6e6, speed)
		}
	}
}
