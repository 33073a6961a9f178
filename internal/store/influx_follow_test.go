package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

// group is what the sources of runners in these tests begin with: names may be
// nasty.
const group = "k6 beta/it's a /load\\ (.*)/candidate/"

// rarely is a pace at which a follower reads only when it is told to.
var rarely = followPace{every: time.Hour, recount: time.Hour, whole: time.Hour, ask: time.Minute, patience: time.Hour}

// heard is what a follower handed on.
type heard struct {
	mu      sync.Mutex
	windows map[string]int // by source and part
	events  map[string]int // by source and number
	err     error
}

func (h *heard) emit(batch measure.Batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range batch.Windows {
		h.windows[fmt.Sprintf("%s %d", w.Source, w.Part)]++
	}
	for _, e := range batch.Events {
		h.events[fmt.Sprintf("%s %d", e.Source, e.Seq)]++
	}
	return h.err
}

// requireOnce wants so many windows and events, each once.
func (h *heard) requireOnce(t *testing.T, windows, events int) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Equal(t, windows, len(h.windows), "windows")
	require.Equal(t, events, len(h.events), "events")
	for _, times := range []map[string]int{h.windows, h.events} {
		for what, n := range times {
			require.Equal(t, 1, n, what)
		}
	}
}

func followIn(t *testing.T, from Influx, run gates.Run, pace followPace) (*Follower, *heard) {
	t.Helper()
	h := &heard{windows: map[string]int{}, events: map[string]int{}}
	ctx, cancel := context.WithCancel(context.Background())
	f, err := follow(ctx, from, run.ID, group, h.emit, pace)
	require.NoError(t, err)
	t.Cleanup(func() { cancel(); <-f.Done() })
	return f, h
}

// aRunner writes what a runner would.
type aRunner struct {
	t       *testing.T
	to      Influx
	run     gates.Run
	number  string
	source  string
	part    uint32
	seq     uint64
	windows uint64
}

func newRunner(t *testing.T, to Influx, run gates.Run, number string) *aRunner {
	return &aRunner{t: t, to: to, run: run, number: number, source: group + number}
}

func (r *aRunner) write(batch measure.Batch) {
	r.t.Helper()
	s, err := NewRunnerStream(r.to, filepath.Join(r.t.TempDir(), "s"), r.run.ID, r.run.Plan)
	require.NoError(r.t, err)
	require.NoError(r.t, s.Append(batch))
	require.True(r.t, closed(r.t, s).Complete())
}

func (r *aRunner) event(at int64, kind string, attrs map[string]string) measure.Event {
	r.seq++
	return measure.Event{Source: r.source, Seq: r.seq, At: 1_700_000_000*measure.Second + at*measure.Second, Kind: kind, Phase: "beta", Attrs: attrs}
}

func (r *aRunner) begin(at int64, host string) {
	r.t.Helper()
	r.write(measure.Batch{Events: []measure.Event{r.event(at, measure.EventRunner, map[string]string{"runner": r.number, "host": host, "segment": "0:1/2"})}})
}

// measured writes a window for each of some seconds.
func (r *aRunner) measured(seconds ...int64) {
	r.t.Helper()
	var batch measure.Batch
	for _, second := range seconds {
		r.part++
		w := window("beta", 1_700_000_000+second, 1, 2)
		w.Source, w.Part = r.source, r.part
		batch.Windows = append(batch.Windows, w)
	}
	r.windows += uint64(len(seconds))
	r.write(batch)
}

func (r *aRunner) end(at int64, end measure.RunnerEnd) {
	r.t.Helper()
	end.Runner, end.Windows, end.Events = r.number, r.windows+end.Lost, r.seq
	r.write(measure.Batch{Events: []measure.Event{r.event(at, measure.EventRunnerEnd, end.Attrs())}})
}

func seconds(from, to int64) (list []int64) {
	for s := from; s < to; s++ {
		list = append(list, s)
	}
	return list
}

// TestFollowedRunners are read once each, whenever and in whatever order their
// points come, and nobody else is.
func TestFollowedRunners(t *testing.T) {
	to, run := realInflux(t)
	first, second := newRunner(t, to, run, "1"), newRunner(t, to, run, "2")
	first.begin(0, "pod-a")
	first.measured(seconds(1, 5)...)
	f, h := followIn(t, to, run, rarely)
	h.requireOnce(t, 4, 1) // what was there before

	harness := newRunner(t, to, run, "harness") // never says that it is a runner
	harness.measured(1, 2)
	harness.write(measure.Batch{Events: []measure.Event{harness.event(3, measure.EventWarning, nil)}})
	other := newRunner(t, to, run, "3")
	other.source = "k6 beta/it's a /load\\ (*)/baseline/1"
	other.begin(0, "pod-x")
	first.measured(seconds(5, 1000)...)
	require.NoError(t, f.Sync(t.Context()))
	h.requireOnce(t, 999, 1)

	first.measured(3, 3, 990, 991) // late parts, one of them long after its second
	second.begin(1, "pod-b")       // began long ago, and could not write
	second.measured(seconds(2, 60)...)
	require.NoError(t, f.Sync(t.Context()))
	h.requireOnce(t, 999+4+58, 2)

	first.end(1001, measure.RunnerEnd{Complete: true})
	second.end(1002, measure.RunnerEnd{Reason: "interrupted", Lost: 7})
	require.NoError(t, f.Sync(t.Context()))
	require.NoError(t, f.Sync(t.Context()))
	h.requireOnce(t, 999+4+58, 4)

	got := f.Runners()
	require.Len(t, got, 2)
	for i := range got {
		require.WithinDuration(t, time.Now(), got[i].Heard, time.Hour)
		require.True(t, got[i].Settled())
		got[i].Heard = time.Time{}
	}
	require.Equal(t, []measure.Runner{
		{
			Source: group + "1", Number: "1", Host: "pod-a", Segment: "0:1/2", Began: time.Unix(1_700_000_000, 0), Windows: 1003, Events: 1,
			Ended: true, End: measure.RunnerEnd{Runner: "1", Complete: true, Windows: 1003, Events: 1},
		},
		{
			Source: group + "2", Number: "2", Host: "pod-b", Segment: "0:1/2", Began: time.Unix(1_700_000_001, 0), Windows: 58, Events: 1,
			Ended: true, End: measure.RunnerEnd{Runner: "2", Reason: "interrupted", Windows: 65, Events: 1, Lost: 7},
		},
	}, got)
}

// TestFollowingGoesOn by itself, and reads what comes late without being told.
func TestFollowingGoesOn(t *testing.T) {
	to, run := realInflux(t)
	f, h := followIn(t, to, run, followPace{every: time.Millisecond, recount: time.Millisecond, whole: time.Millisecond, ask: time.Minute, patience: time.Minute})
	r := newRunner(t, to, run, "1")
	r.begin(0, "pod-a")
	r.measured(seconds(0, 500)...)
	r.measured(1, 2, 3)
	r.end(501, measure.RunnerEnd{Complete: true})
	require.Eventually(t, func() bool { list := f.Runners(); return len(list) == 1 && list[0].Settled() }, 2*time.Minute, time.Millisecond)
	h.requireOnce(t, 503, 2)
}

// TestRunnerWhoseWindowsAreMissing is not settled, and one that began twice is
// told.
func TestRunnerWhoseWindowsAreMissing(t *testing.T) {
	to, run := realInflux(t)
	r := newRunner(t, to, run, "1")
	r.begin(0, "pod-a")
	r.measured(1, 2)
	r.windows++ // of which InfluxDB never heard
	r.end(3, measure.RunnerEnd{Complete: true})
	again := newRunner(t, to, run, "1")
	again.begin(2, "pod-b")
	f, h := followIn(t, to, run, rarely)
	require.NoError(t, f.Sync(t.Context()))
	h.requireOnce(t, 2, 2)
	got := f.Runners()
	require.Len(t, got, 1)
	require.True(t, got[0].Ended)
	require.False(t, got[0].Settled())
	require.EqualValues(t, 1, got[0].Missing())
	require.Equal(t, "pod-b", got[0].Twice)
}

// TestEndWithoutNumbers is no end.
func TestEndWithoutNumbers(t *testing.T) {
	to, run := realInflux(t)
	f, _ := followIn(t, to, run, rarely)
	r := newRunner(t, to, run, "1")
	r.begin(0, "pod-a")
	r.write(measure.Batch{Events: []measure.Event{r.event(1, measure.EventRunnerEnd, map[string]string{"complete": "true", "windows": "1", "events": "1"})}})
	require.EqualError(t, f.Sync(t.Context()), `the end of `+group+`1: lost is "", not a number`)
	require.NoError(t, f.Sync(t.Context()))
	require.False(t, f.Runners()[0].Ended)
}

// TestFollowingThroughAnOutage: what was written meanwhile is read when InfluxDB
// answers again, also when it broke off in the middle of an answer.
func TestFollowingThroughAnOutage(t *testing.T) {
	for name, do := range map[string]deed{
		"503":    answer(http.StatusServiceUnavailable, "later"),
		"no way": unheard,
		"half an answer": func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			r.Header.Set("Accept-Encoding", "identity")
			pass.ServeHTTP(&breaking{ResponseWriter: w, left: 3000}, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to, run := realInflux(t)
			g := newGate(t, to)
			g.do.Store(deed(through))
			from := to
			from.URL = g.URL
			f, h := followIn(t, from, run, rarely)
			r := newRunner(t, to, run, "1")
			r.begin(0, "pod-a")
			r.measured(seconds(0, 100)...)
			g.do.Store(do)
			require.Error(t, f.Sync(t.Context()))
			require.Error(t, f.Trouble())
			require.NoError(t, f.Err())
			r.measured(seconds(50, 150)...)
			g.do.Store(deed(through))
			require.NoError(t, f.Sync(t.Context()))
			require.NoError(t, f.Trouble())
			h.requireOnce(t, 200, 1)
		})
	}
}

// breaking breaks off after some bytes.
type breaking struct {
	http.ResponseWriter
	left int
}

func (b *breaking) Write(data []byte) (int, error) {
	if b.left -= len(data); b.left < 0 {
		_, _ = b.ResponseWriter.Write(data[:len(data)/2])
		panic(http.ErrAbortHandler)
	}
	return b.ResponseWriter.Write(data)
}

func TestFollowingEnds(t *testing.T) {
	to, run := realInflux(t)
	r := newRunner(t, to, run, "1")

	t.Run("after an outage that is too long", func(t *testing.T) {
		g := newGate(t, to)
		g.do.Store(deed(through))
		from := to
		from.URL = g.URL
		f, _ := followIn(t, from, run, followPace{every: time.Millisecond, recount: time.Hour, whole: time.Hour, ask: time.Minute, patience: 10 * time.Millisecond})
		g.do.Store(answer(http.StatusServiceUnavailable, "later"))
		<-f.Done()
		require.ErrorContains(t, f.Err(), "InfluxDB did not answer for ")
		require.ErrorContains(t, f.Err(), "InfluxDB answers 503")
		require.ErrorIs(t, f.Sync(t.Context()), f.Err())
	})
	t.Run("when nobody takes what was read", func(t *testing.T) {
		f, h := followIn(t, to, run, rarely)
		full := errors.New("the disk is full")
		h.mu.Lock()
		h.err = full
		h.mu.Unlock()
		r.begin(0, "pod-a")
		require.ErrorContains(t, f.Sync(t.Context()), full.Error())
		<-f.Done()
		require.Equal(t, full, f.Err())
	})
	t.Run("with its context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f, err := Follow(ctx, to, run.ID, group, func(measure.Batch) error { return nil })
		require.NoError(t, err)
		cancel()
		<-f.Done()
		require.NoError(t, f.Err())
	})
	t.Run("before it began", func(t *testing.T) {
		from := to
		from.Token = "bad"
		_, err := Follow(t.Context(), from, run.ID, group, func(measure.Batch) error { return nil })
		require.ErrorContains(t, err, "follow run "+run.ID+" in InfluxDB: InfluxDB answers 401")
		from.Bucket = ""
		_, err = Follow(t.Context(), from, run.ID, group, func(measure.Batch) error { return nil })
		require.ErrorContains(t, err, "InfluxDB wants a bucket")
	})
}
