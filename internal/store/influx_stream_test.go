package store

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/servers"
	"resilience/gates"
	"resilience/internal/measure"
)

// realInflux gives a real InfluxDB, and a run whose id no other test has.
func realInflux(t *testing.T) (Influx, gates.Run) {
	i := servers.InfluxDB(t)
	run := someRun()
	run.ID = NewID(time.Now(), rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1)))
	return Influx{URL: i.URL, Token: i.Token, Org: i.Org, Bucket: i.Bucket}, run
}

// gate stands in front of an InfluxDB and lets requests through, or does
// something else to them.
type gate struct {
	*httptest.Server
	do   atomic.Value // func(w http.ResponseWriter, r *http.Request, pass http.Handler)
	seen atomic.Int64
}

type deed func(w http.ResponseWriter, r *http.Request, pass http.Handler)

func newGate(t *testing.T, to Influx) *gate {
	target, err := url.Parse(to.URL)
	require.NoError(t, err)
	pass := httputil.NewSingleHostReverseProxy(target)
	g := &gate{}
	g.do.Store(deed(through))
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.seen.Add(1)
		g.do.Load().(deed)(w, r, pass)
	}))
	t.Cleanup(g.Close)
	return g
}

func through(w http.ResponseWriter, r *http.Request, pass http.Handler) { pass.ServeHTTP(w, r) }

// answer gives an answer in InfluxDB's words and takes nothing.
func answer(status int, message string, header ...string) deed {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		if len(header) == 2 {
			w.Header().Set(header[0], header[1])
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"code":"a code","message":%q}`, message)
	}
}

// broken takes the request and breaks the connection instead of an answer.
func broken(w http.ResponseWriter, r *http.Request, pass http.Handler) {
	pass.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// unheard breaks the connection before anything is taken.
func unheard(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// failing does something to the first requests and lets the others through.
func failing(times int64, do deed) deed {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if seen.Add(1) <= times {
			do(w, r, pass)
		} else {
			pass.ServeHTTP(w, r)
		}
	}
}

func streamTo(t *testing.T, to Influx, dir string, run gates.Run) *Stream {
	t.Helper()
	s, err := NewStream(to, dir, run)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = s.Close(ended()) })
	return s
}

// ended is a context that does not wait.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func closed(t *testing.T, s *Stream) Sent {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	sent, err := s.Close(ctx)
	require.NoError(t, err)
	return sent
}

// second is a batch of one second, with a late delta and an event.
func second(run string, i int) measure.Batch {
	one, late := window("beta", 1_700_000_000+int64(i), 1, 2, float64(i)), window("beta", 1_700_000_000+int64(i), 9)
	one.Part, late.Part = uint32(2*i+1), uint32(2*i+2)
	one.Source, late.Source = run, run
	event := measure.Event{Source: run, Seq: uint64(i), At: 1_700_000_000*measure.Second + int64(i), Kind: measure.EventAsked, Phase: "beta", Attrs: map[string]string{"rate": "5"}}
	return measure.Batch{Windows: []measure.Window{one, late}, Events: []measure.Event{event}}
}

const pointsOfSecond = 3

// count asks a real InfluxDB how many windows and events it has of a run, and
// how many attempts.
func count(t *testing.T, to Influx, run string) (windows, events, attempts int64) {
	t.Helper()
	number := func(query string) int64 {
		form := url.Values{"db": {to.Bucket}, "q": {query + " WHERE run = '" + run + "'"}}
		req, err := http.NewRequest(http.MethodGet, to.URL+"/query?"+form.Encode(), http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Token "+to.Token)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		var got struct {
			Results []struct{ Series []struct{ Values [][]any } }
		}
		require.NoError(t, json.Unmarshal(data, &got), string(data))
		require.Len(t, got.Results, 1, string(data))
		if len(got.Results[0].Series) == 0 {
			return 0
		}
		return int64(got.Results[0].Series[0].Values[0][1].(float64))
	}
	return number(`SELECT count("count") FROM resilience_windows`), number(`SELECT count("seq") FROM resilience_events`), number(`SELECT sum("count") FROM resilience_windows`)
}

func requireSeconds(t *testing.T, to Influx, run string, n int) {
	t.Helper()
	windows, events, attempts := count(t, to, run)
	require.EqualValues(t, []int{2 * n, n, 4 * n}, []int{int(windows), int(events), int(attempts)}, "windows, events, attempts")
}

// TestNothingIsLostOrDoubled whatever InfluxDB and the network do.
func TestNothingIsLostOrDoubled(t *testing.T) {
	for name, do := range map[string]deed{
		"nothing happens":            through,
		"429 with Retry-After":       failing(1, answer(http.StatusTooManyRequests, "slow down", "Retry-After", "1")),
		"503":                        failing(3, answer(http.StatusServiceUnavailable, "later")),
		"500":                        failing(2, answer(http.StatusInternalServerError, "oops")),
		"taken but not acknowledged": failing(3, broken),
		"not taken":                  failing(3, unheard),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			real, run := realInflux(t)
			g := newGate(t, real)
			g.do.Store(do)
			to := real
			to.URL = g.URL
			dir := filepath.Join(t.TempDir(), "x.spool")
			s := streamTo(t, to, dir, run)
			for i := range 50 {
				require.NoError(t, s.Append(second(run.ID, i)))
			}
			sent := closed(t, s)
			require.True(t, sent.Complete(), sent)
			require.EqualValues(t, 50*pointsOfSecond, sent.Written)
			requireSeconds(t, real, run.ID, 50)
			require.NoDirExists(t, dir)
		})
	}
}

// TestOutageUntilTheNextProcess: InfluxDB is away until the run is over; what
// waits on disk is sent by the next stream.
func TestOutageUntilTheNextProcess(t *testing.T) {
	real, run := realInflux(t)
	g := newGate(t, real)
	g.do.Store(deed(unheard))
	to, dir := real, filepath.Join(t.TempDir(), "x.spool")
	to.URL = g.URL
	s := streamTo(t, to, dir, run)
	for i := range 20 {
		require.NoError(t, s.Append(second(run.ID, i)))
	}
	require.Eventually(t, func() bool { return g.seen.Load() >= 2 }, 2*time.Minute, time.Millisecond)
	sent, err := s.Close(ended())
	require.NoError(t, err)
	require.Equal(t, Sent{Spooled: 20 * pointsOfSecond, Reason: "InfluxDB can not be reached: EOF"}, sent)
	require.Equal(t, "0 points written, 60 wait on disk: InfluxDB can not be reached: EOF", sent.String())
	requireSeconds(t, real, run.ID, 0)

	g.do.Store(deed(through))
	next := streamTo(t, to, dir, run)
	for i := range 25 { // the first 20 are sent twice
		require.NoError(t, next.Append(second(run.ID, i)))
	}
	require.EqualValues(t, 45*pointsOfSecond, closed(t, next).Written)
	requireSeconds(t, real, run.ID, 25)
}

// beStreamer appends second after second and prints the number of each.
func beStreamer(dir string) {
	var arg struct {
		Influx
		Run string
	}
	run := someRun()
	err := json.Unmarshal([]byte(os.Getenv("STORE_TEST_INFLUX")), &arg)
	run.ID = arg.Run
	var s *Stream
	if err == nil {
		s, err = NewStream(arg.Influx, dir, run)
	}
	for i := 0; err == nil; i++ {
		if err = s.Append(second(run.ID, i)); err == nil {
			_, err = fmt.Println(i)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestKilledStreamLosesNothing: kill -9 in the middle of sending.
func TestKilledStreamLosesNothing(t *testing.T) {
	to, run := realInflux(t)
	dir := filepath.Join(t.TempDir(), "x.spool")
	arg, err := json.Marshal(map[string]string{"URL": to.URL, "Token": to.Token, "Org": to.Org, "Bucket": to.Bucket, "Run": run.ID})
	require.NoError(t, err)
	cmd := child("streamer", dir)
	cmd.Env = append(cmd.Env, "STORE_TEST_INFLUX="+string(arg))
	acknowledged := killed(t, cmd, 300, func() {})
	windows, _, _ := count(t, to, run.ID)
	t.Logf("%d of %d seconds were sent before the kill", windows/2, acknowledged)

	s := streamTo(t, to, dir, run)
	sent := closed(t, s)
	_, events, _ := count(t, to, run.ID)
	require.GreaterOrEqual(t, int(events), acknowledged)
	require.LessOrEqual(t, int(events), acknowledged+1)
	require.Zero(t, sent.Spooled)
	requireSeconds(t, to, run.ID, int(events))
}

// TestWhatCanNotBeWritten is counted and told, and stops nothing.
func TestWhatCanNotBeWritten(t *testing.T) {
	for name, test := range map[string]struct {
		do   deed
		want Sent
	}{
		"a bad token": {answer(http.StatusUnauthorized, "unauthorized access"), Sent{
			Spooled: 6, Reason: "InfluxDB refuses the token (401: unauthorized access): it must be one that may write to the bucket b",
		}},
		"no such bucket": {answer(http.StatusNotFound, `bucket "b" not found`), Sent{
			Spooled: 6, Reason: `InfluxDB has no bucket b in the organization o (404: bucket "b" not found)`,
		}},
		"a redirect": {answer(http.StatusMovedPermanently, "", "Location", "http://127.0.0.1:1/"), Sent{
			Spooled: 6, Reason: "InfluxDB answers 301, a redirect, which is not followed: give its new URL",
		}},
		"points refused": {answer(http.StatusUnprocessableEntity, "points beyond retention policy"), Sent{
			Lost: 6, Loss: "InfluxDB answers 422: points beyond retention policy",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { test.do(w, r, nil) }))
			defer server.Close()
			run := someRun()
			s := streamTo(t, Influx{URL: server.URL, Token: "s3cret-token", Org: "o", Bucket: "b"}, filepath.Join(t.TempDir(), "s"), run)
			misfit, err := s.Check(t.Context())
			require.EqualError(t, err, test.want.Reason+test.want.Loss)
			require.True(t, misfit)
			for i := range 2 {
				require.NoError(t, s.Append(second(run.ID, i)))
			}
			sent := closed(t, s)
			require.Equal(t, test.want, sent)
			require.NotContains(t, sent.String(), "s3cret")
		})
	}
}

func TestStreamWithoutInfluxDBIsNoMisfit(t *testing.T) {
	s := streamTo(t, Influx{URL: "http://127.0.0.1:1", Bucket: "b"}, filepath.Join(t.TempDir(), "s"), someRun())
	misfit, err := s.Check(t.Context())
	require.ErrorContains(t, err, "InfluxDB can not be reached")
	require.False(t, misfit)
}

func TestFullSpoolIsCounted(t *testing.T) {
	s, err := newStream(Influx{URL: "http://127.0.0.1:1", Bucket: "b"}, filepath.Join(t.TempDir(), "s"), someRun(), 10)
	require.NoError(t, err)
	require.ErrorIs(t, s.Append(second("r", 1)), errSpoolFull)
	sent, err := s.Close(ended())
	require.NoError(t, err)
	require.Equal(t, Sent{Lost: pointsOfSecond, Loss: "the spool is full"}, sent)
	require.Equal(t, "0 points written, 3 lost (the spool is full)", sent.String())
}

// TestSlowInfluxDBHoldsNobodyUp: appending does not wait for an answer.
func TestSlowInfluxDBHoldsNobodyUp(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	s := streamTo(t, Influx{URL: server.URL, Bucket: "b"}, filepath.Join(t.TempDir(), "s"), someRun())
	for i := range 100 { // would never end if it waited: nothing is released
		require.NoError(t, s.Append(second("r", i)))
	}
	sent, err := s.Close(ended())
	require.NoError(t, err)
	require.EqualValues(t, 100*pointsOfSecond, sent.Spooled)
}

func TestInfluxValidate(t *testing.T) {
	for want, i := range map[string]Influx{
		"the URL of InfluxDB is like http://127.0.0.1:8086":                                {URL: "influx:8086", Bucket: "b"},
		"credentials are never written in the URL of InfluxDB: put them into INFLUX_TOKEN": {URL: "http://u:p@127.0.0.1", Bucket: "b"},
		"InfluxDB wants a bucket: set INFLUX_BUCKET":                                       {URL: "http://127.0.0.1:8086"},
		"the token would go to influx.example:8086 unencrypted: write the URL as https://, or allow it by INFLUX_INSECURE_HTTP=true where the network is trusted": {URL: "http://influx.example:8086", Bucket: "b", Token: "t"},
	} {
		require.EqualError(t, i.Validate(), want)
	}
	require.NoError(t, Influx{URL: "http://localhost:8086", Bucket: "b", Token: "t"}.Validate())
	require.NoError(t, Influx{URL: "https://influx.example", Bucket: "b", Token: "t"}.Validate())
	require.NoError(t, Influx{URL: "http://influx.example:8086", Bucket: "b", Token: "t", Insecure: true}.Validate())
}

func TestBackoff(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for attempt, full := range []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second} {
		seen := map[time.Duration]bool{}
		for range 50 {
			wait := backoff(attempt, 0, random)
			require.GreaterOrEqual(t, wait, full/2)
			require.LessOrEqual(t, wait, full)
			seen[wait] = true
		}
		require.Greater(t, len(seen), 40, "jitter")
	}
	require.Equal(t, 15*time.Second/2, backoff(1000, 0, random).Truncate(15*time.Second/2))
	require.Equal(t, 30*time.Second, backoff(0, 30*time.Second, random), "Retry-After")
	require.Equal(t, backoffAsked, backoff(0, time.Hour, random), "within reason")
}
