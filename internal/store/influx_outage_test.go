package store

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/servers"
	"resilience/gates"
)

// ownInflux starts an InfluxDB that a test may do to what it likes.
func ownInflux(t *testing.T) (*servers.InfluxProcess, Influx, gates.Run) {
	t.Helper()
	i := servers.StartInfluxDB(t)
	return i, Influx{URL: i.URL, Token: i.Token, Org: i.Org, Bucket: i.Bucket}, someRun()
}

// appendSeconds appends seconds of a run, from one to before another.
func appendSeconds(t *testing.T, s *Stream, run string, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		require.NoError(t, s.Append(second(run, i)))
	}
}

// acknowledged waits until as many points were acknowledged.
func acknowledged(t *testing.T, s *Stream, points int64) {
	t.Helper()
	require.Eventually(t, func() bool { return s.sofar().Written >= points }, 2*time.Minute, 5*time.Millisecond, "%v", s.sofar())
}

func (s *Stream) sofar() Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// outage is how long InfluxDB hangs: longer than a request may take when
// OUTAGE says so.
func outage(t *testing.T) time.Duration {
	t.Helper()
	length, given := os.LookupEnv("OUTAGE")
	if !given {
		return time.Second
	}
	d, err := time.ParseDuration(length)
	require.NoError(t, err)
	return d
}

// TestPausedInfluxDB hangs with a request in its hands. Meanwhile appending
// waits for nobody, and afterwards it has everything once, also where it heard
// the same request several times.
func TestPausedInfluxDB(t *testing.T) {
	i, to, run := ownInflux(t)
	s := streamTo(t, to, filepath.Join(t.TempDir(), "s"), run)
	appendSeconds(t, s, run.ID, 0, 20)
	acknowledged(t, s, 20*pointsOfSecond)
	i.Pause()
	appendSeconds(t, s, run.ID, 20, 220)
	require.EqualValues(t, 20*pointsOfSecond, s.sofar().Written, "a process that does not run acknowledges nothing")
	<-time.After(outage(t)) // what is tested, and no wait for something
	require.EqualValues(t, 20*pointsOfSecond, s.sofar().Written)
	i.Resume()
	acknowledged(t, s, 220*pointsOfSecond)
	appendSeconds(t, s, run.ID, 220, 240)
	sent := closed(t, s)
	require.True(t, sent.Complete(), sent)
	require.EqualValues(t, 240*pointsOfSecond, sent.Written)
	requireSeconds(t, to, run.ID, 240)
}

// TestKilledInfluxDB dies again and again, between requests and within them, and
// comes back with what it had acknowledged.
func TestKilledInfluxDB(t *testing.T) {
	i, to, run := ownInflux(t)
	s := streamTo(t, to, filepath.Join(t.TempDir(), "s"), run)
	const each, times = 100, 3
	for round := range times {
		first := round * each
		appendSeconds(t, s, run.ID, first, first+each/2)
		acknowledged(t, s, int64(first+1)*pointsOfSecond)
		i.Kill()
		appendSeconds(t, s, run.ID, first+each/2, first+each)
		i.Start()
		acknowledged(t, s, int64(first+each)*pointsOfSecond)
	}
	sent := closed(t, s)
	require.True(t, sent.Complete(), sent)
	requireSeconds(t, to, run.ID, each*times)
}

// TestRevokedToken is refused for a while, and the run goes on meanwhile: once it
// is taken again, nothing is missing.
func TestRevokedToken(t *testing.T) {
	_, to, run := ownInflux(t)
	g := newGate(t, to)
	through, revoked := g.do.Load(), deed(answer(http.StatusUnauthorized, "unauthorized access"))
	behind := to
	behind.URL = g.URL
	dir := filepath.Join(t.TempDir(), "s")
	s := streamTo(t, behind, dir, run)
	appendSeconds(t, s, run.ID, 0, 20)
	acknowledged(t, s, 20*pointsOfSecond)

	g.do.Store(revoked)
	seen := g.seen.Load()
	appendSeconds(t, s, run.ID, 20, 40)
	require.Eventually(t, func() bool { return g.seen.Load() >= seen+2 }, 2*time.Minute, time.Millisecond, "it is tried again")
	g.do.Store(through)
	appendSeconds(t, s, run.ID, 40, 60)
	acknowledged(t, s, 60*pointsOfSecond)

	g.do.Store(revoked)
	appendSeconds(t, s, run.ID, 60, 80)
	sent := closed(t, s)
	require.Equal(t, Sent{Written: 60 * pointsOfSecond, Spooled: 20 * pointsOfSecond, Reason: sent.Reason}, sent)
	require.Contains(t, sent.String(), "60 wait on disk: InfluxDB refuses the token (401: unauthorized access)")

	g.do.Store(through) // for the process that sends the rest
	require.EqualValues(t, 20*pointsOfSecond, closed(t, streamTo(t, behind, dir, run)).Written)
	requireSeconds(t, to, run.ID, 80)
}

// TestSlowInfluxDB takes its time with each request: what is appended meanwhile
// goes with the next one.
func TestSlowInfluxDB(t *testing.T) {
	_, to, run := ownInflux(t)
	g := newGate(t, to)
	turns := make(chan struct{})
	g.do.Store(deed(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		<-turns
		pass.ServeHTTP(w, r)
	}))
	behind := to
	behind.URL = g.URL
	s := streamTo(t, behind, filepath.Join(t.TempDir(), "s"), run)
	for i := range 10 {
		appendSeconds(t, s, run.ID, 20*i, 20*(i+1))
		if i > 0 {
			turns <- struct{}{}
		}
	}
	close(turns)
	sent := closed(t, s)
	require.True(t, sent.Complete(), sent)
	requireSeconds(t, to, run.ID, 200)
	require.LessOrEqual(t, g.seen.Load(), int64(12), "requests")
}

// TestLittleTimeIsLeftAtTheEnd: an attempt that would come in minutes is made at
// once when the stream is closed.
func TestLittleTimeIsLeftAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rested, start := &Stream{closing: make(chan struct{})}, make(chan bool), time.Now()
		go func() { rested <- s.rest(t.Context(), time.Hour, false) }()
		synctest.Wait()
		close(s.closing)
		require.True(t, <-rested)
		require.Zero(t, time.Since(start))

		require.True(t, s.rest(t.Context(), time.Second, false), "but not again and again")
		require.Equal(t, time.Second, time.Since(start))
		require.True(t, s.rest(t.Context(), time.Minute, true), "nor when InfluxDB asked to wait")
		require.Equal(t, time.Minute+time.Second, time.Since(start))
		require.False(t, s.rest(ended(), time.Hour, true))
	})
}
