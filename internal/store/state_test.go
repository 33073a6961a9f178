package store

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// noon is a moment in the middle of a day.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC).UnixNano()

func openState(t testing.TB, path string) *State {
	s, err := OpenState(path, Keep{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func newState(t testing.TB) *State { return openState(t, filepath.Join(t.TempDir(), "state.db")) }

// tried is an attempt of a tenant of cell eu-1.
func tried(at int64, tenant string, took float64, found measure.Finding) measure.Attempt {
	return measure.Attempt{
		Series: measure.Series{Metric: measure.MetricTransaction, Transaction: "order", Tenant: tenant, Class: "gold", Cell: "eu-1", Region: "eu"},
		At:     at, Took: took, Found: found, Tries: 1,
	}
}

func attemptsOf(t testing.TB, s *State) []measure.Attempt {
	all, err := s.Attempts(math.MinInt64, math.MaxInt64)
	require.NoError(t, err)
	return all
}

func historyOf(t testing.TB, s *State, width time.Duration) []measure.Window {
	all, err := s.History(math.MinInt64, math.MaxInt64, width)
	require.NoError(t, err)
	return all
}

func TestStateKeepsDocumentsAndAttempts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "state.db")
	s := openState(t, path)
	bad := tried(noon+1, "acme", 30_000.25, measure.CutOff)
	bad.Message, bad.TraceID, bad.Tries, bad.Planned = "no end after 30s", "4bf92f3577b34da6a3ce929d0e0e4736", 3, true
	twin := bad
	twin.Message = "another of the same moment"
	require.NoError(t, s.Commit([]measure.Attempt{bad, tried(noon, "globex", 1.5, measure.Accepted), twin},
		map[string][]byte{"incident/b": []byte(`{"b":1}`), "incident/a": []byte(`{}`), "incidents": []byte(`1`), "empty": {}}))
	require.NoError(t, s.Commit(nil, map[string][]byte{"incident/b": []byte(`{"b":2}`), "incident/a": nil, "never": nil}))

	for range 2 { // now, and as somebody later finds it
		require.Equal(t, []measure.Attempt{tried(noon, "globex", 1.5, measure.Accepted), bad, twin}, attemptsOf(t, s))
		for prefix, want := range map[string]map[string][]byte{
			"incident/": {"incident/b": []byte(`{"b":2}`)},
			"incident":  {"incident/b": []byte(`{"b":2}`), "incidents": []byte(`1`)},
			"":          {"incident/b": []byte(`{"b":2}`), "incidents": []byte(`1`), "empty": {}},
			"\xff":      {},
			"nothing":   {},
		} {
			got, err := s.Documents(prefix)
			require.NoError(t, err)
			require.Equal(t, want, got, prefix)
		}
		require.NoError(t, s.Close())
		s = openState(t, path)
	}
}

func TestStateGivesAttemptsOfAStretch(t *testing.T) {
	s := newState(t)
	require.NoError(t, s.Commit([]measure.Attempt{tried(30, "a", 1, 1), tried(10, "a", 1, 1), tried(20, "a", 1, 1)}, nil))
	got, err := s.Attempts(10, 30)
	require.NoError(t, err)
	require.Equal(t, []measure.Attempt{tried(10, "a", 1, 1), tried(20, "a", 1, 1)}, got)
	long := tried(40, "a", 1, 0)
	long.Message = fmt.Sprintf("%0400d", 7)
	require.NoError(t, s.Commit([]measure.Attempt{long}, nil))
	got, err = s.Attempts(31, 41)
	require.NoError(t, err)
	require.Len(t, got[0].Message, measure.MaxMessage)
}

// TestStateRollsUp has one attempt of each kind in one minute: what each metric
// makes of them is written out by hand.
func TestStateRollsUp(t *testing.T) {
	const good = measure.Accepted | measure.Completed
	planned := tried(noon, "acme", 9000, 0)
	planned.Planned = true
	s := newState(t)
	require.NoError(t, s.Commit([]measure.Attempt{
		tried(noon, "acme", 10, good),
		tried(noon+1, "acme", 20, measure.Accepted),                    // nobody looked
		tried(noon+2, "globex", 30, good|measure.Degraded),             // after a retry
		tried(noon+3, "acme", 40, good|measure.Slow),                   // right, and late
		tried(noon+4, "acme", 50, measure.Accepted|measure.Wrong),      // accepted, and wrong
		tried(noon+5, "globex", 60, 0),                                 // refused
		tried(noon+6, "acme", 30_000, measure.CutOff),                  // without an end
		tried(noon+7, "acme", 30_000, measure.Accepted|measure.CutOff), // its outcome never came
		tried(noon+8, "acme", 70, measure.Accepted|measure.Degraded),   // after a retry, nobody looked
		planned, //
		tried(noon+int64(time.Minute), "acme", 5, measure.Accepted), // the next minute
		tried(noon-1, "acme", 5, measure.Accepted),                  // the one before
	}, nil))

	minutes := historyOf(t, s, time.Minute)
	require.Len(t, minutes, 3+4+3)
	requireWindow(t, minutes, noon, measure.MetricTransaction, 9, 3, 2)
	requireWindow(t, minutes, noon, measure.MetricOutcome, 4, 1, 0)
	requireWindow(t, minutes, noon, measure.MetricRetried, 5, 2, 0)
	requireWindow(t, minutes, noon, measure.MetricGood, 9, 5, 0)
	all := find(t, minutes, noon, measure.MetricTransaction, "")
	require.Equal(t, measure.Series{Metric: "transaction", Transaction: "order", Class: "gold", Cell: "eu-1", Region: "eu"}, all.Series)
	require.Equal(t, int64(time.Minute), all.Width)
	require.Equal(t, []float64{60_280, 10, 30_000}, []float64{all.Sum, all.Min, all.Max})
	require.EqualValues(t, 9, all.Sketch.Count())
	require.EqualValues(t, 2, all.Sketch.CountAbove(1000), "what had no end, with the time it had waited")
	require.Nil(t, find(t, minutes, noon, measure.MetricGood, "").Sketch)

	hours := historyOf(t, s, time.Hour)
	requireWindow(t, hours, noon, measure.MetricTransaction, 10, 3, 2)
	requireWindow(t, hours, noon-int64(time.Hour), measure.MetricGood, 1, 0, 0)

	days := historyOf(t, s, 24*time.Hour)
	midnight := noon - 12*int64(time.Hour)
	require.EqualValues(t, 9, find(t, days, midnight, measure.MetricTransaction, "acme").Count)
	require.EqualValues(t, 2, find(t, days, midnight, measure.MetricTransaction, "globex").Count)
	require.EqualValues(t, 1, find(t, days, midnight, measure.MetricGood, "globex").Failed)
	require.Nil(t, find(t, days, midnight, measure.MetricTransaction, "acme").Sketch)

	for name, tt := range map[string]struct{ from, to int64 }{
		"that minute":        {noon, noon + 1},
		"to its end":         {noon - int64(time.Minute) + 1, noon + int64(time.Minute)},
		"not what it is in":  {noon + 1, noon + int64(time.Minute)},
		"and not what is to": {noon, noon},
	} {
		got, err := s.History(tt.from, tt.to, time.Minute)
		require.NoError(t, err)
		if name == "that minute" || name == "to its end" {
			require.Len(t, got, 4, name)
		} else {
			require.Empty(t, got, name)
		}
	}
	_, err := s.History(0, 1, time.Second)
	require.ErrorContains(t, err, "none of 1s")
}

// TestStateAddsUp commits attempts of one minute together, and one by one in
// another order: the windows are the same.
func TestStateAddsUp(t *testing.T) {
	var all []measure.Attempt
	for found := range measure.Finding(64) {
		all = append(all, tried(noon+int64(found), "acme", float64(found), found))
	}
	together, apart := newState(t), newState(t)
	require.NoError(t, together.Commit(all, nil))
	for i := range all {
		require.NoError(t, apart.Commit([]measure.Attempt{all[(i*37+5)%len(all)]}, nil))
	}
	for _, l := range levels {
		require.Equal(t, historyOf(t, together, l.width), historyOf(t, apart, l.width), l.table)
	}
	require.Equal(t, attemptsOf(t, together), attemptsOf(t, apart))
}

// TestStateBeforeTheEpoch has a clock that was never set.
func TestStateBeforeTheEpoch(t *testing.T) {
	s := newState(t)
	require.NoError(t, s.Commit([]measure.Attempt{tried(-1, "acme", 1, 1), tried(0, "acme", 1, 1), tried(-int64(time.Minute), "acme", 1, 1)}, nil))
	require.Equal(t, []int64{-int64(time.Minute), 0}, starts(historyOf(t, s, time.Minute)))
	for from, want := range map[int64]int{-int64(time.Minute): 2, -int64(time.Minute) + 1: 1, -1: 1, 0: 1, 1: 0} {
		got, err := s.History(from, int64(time.Minute), time.Minute)
		require.NoError(t, err)
		require.Len(t, starts(got), want, from)
	}
}

func find(t *testing.T, windows []measure.Window, start int64, metric, tenant string) measure.Window {
	t.Helper()
	for _, w := range windows {
		if w.Start == start && w.Series.Metric == metric && w.Series.Tenant == tenant {
			return w
		}
	}
	require.Fail(t, "no such window", "%s of %q at %d", metric, tenant, start)
	return measure.Window{}
}

func requireWindow(t *testing.T, windows []measure.Window, start int64, metric string, count, failed, unfinished uint64) {
	t.Helper()
	w := find(t, windows, start, metric, "")
	require.Equal(t, []uint64{count, failed, unfinished}, []uint64{w.Count, w.Failed, w.Unfinished}, metric)
}

func TestStateCommitsAllOrNothing(t *testing.T) {
	s := newState(t)
	broken := tried(noon, "new", math.Inf(1), measure.Accepted)
	require.ErrorContains(t, s.Commit([]measure.Attempt{tried(noon, "other", 1, 1), broken}, map[string][]byte{"a": {1}}), "attempt 1 took +Inf")
	broken.Took = math.NaN()
	require.ErrorContains(t, s.Commit([]measure.Attempt{broken}, nil), "attempt 0 took NaN")
	require.Empty(t, attemptsOf(t, s))
	require.Empty(t, historyOf(t, s, time.Hour))
	got, err := s.Documents("")
	require.NoError(t, err)
	require.Empty(t, got)

	// The numbers that it had given out are not taken to be in the file.
	later := []measure.Attempt{tried(noon, "new", 1, 1), tried(noon+1, "other", 1, 1)}
	require.NoError(t, s.Commit(later, nil))
	require.Equal(t, later, attemptsOf(t, s))
}

func TestStateHasOneHolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := openState(t, path)
	_, err := OpenState(path, Keep{})
	require.ErrorContains(t, err, fmt.Sprintf("another process has it open; give each canary a state of its own, or stop the other one (process %d)", os.Getpid()))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "twice does no harm")
	require.ErrorIs(t, s.Commit(nil, nil), errStateClosed)
	require.ErrorIs(t, s.Prune(noon), errStateClosed)
	_, err = s.Documents("")
	require.Error(t, err)
	openState(t, path)
}

// TestStateSyncs has a commit with documents wait for the disk, and one of
// attempts alone not.
func TestStateSyncs(t *testing.T) {
	s := newState(t)
	level := func() (n int) {
		require.NoError(t, s.write.conn.QueryRowContext(background, "PRAGMA synchronous").Scan(&n))
		return n
	}
	require.NoError(t, s.Commit(nil, map[string][]byte{"a": {1}}))
	require.Equal(t, 2, level(), "FULL")
	require.NoError(t, s.Commit([]measure.Attempt{tried(noon, "a", 1, 1)}, nil))
	require.Equal(t, 1, level(), "NORMAL")
}

func TestStateIsReadWhileItIsWritten(t *testing.T) {
	s := newState(t)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range 50 {
				at := noon + int64(j)*int64(time.Second)
				if err := s.Commit([]measure.Attempt{tried(at, fmt.Sprint(i), 1, 1)}, map[string][]byte{fmt.Sprint(i, j): {1}}); err != nil {
					t.Error(err)
				}
			}
		})
		group.Go(func() {
			for range 20 {
				attempts, err := s.Attempts(0, math.MaxInt64)
				if err != nil {
					t.Error(err)
				}
				windows, err := s.History(0, math.MaxInt64, time.Hour)
				if err != nil || len(attempts) > 0 && len(windows) != 3 { // accepted, looked at by nobody
					t.Error(err, len(windows))
				}
				if _, err := s.Documents(""); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 200, historyOf(t, s, time.Hour)[0].Count)
}
