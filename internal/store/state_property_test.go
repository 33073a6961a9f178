package store

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/measure"
)

func anyAttempt(t *rapid.T) measure.Attempt {
	names := rapid.SampledFrom([]string{"", "a", "b", "ü\x00'"})
	return measure.Attempt{
		Series: measure.Series{
			Metric: measure.MetricTransaction, Transaction: names.Draw(t, "transaction"), Tenant: names.Draw(t, "tenant"),
			Class: names.Draw(t, "class"), Cell: names.Draw(t, "cell"), Region: names.Draw(t, "region"),
		},
		At:      noon + rapid.Int64Range(-int64(50*time.Hour), int64(50*time.Hour)).Draw(t, "at"),
		Took:    rapid.Float64Range(0, 60_000).Draw(t, "took"),
		Found:   measure.Finding(rapid.IntRange(0, 63).Draw(t, "found")),
		Tries:   rapid.IntRange(0, 10).Draw(t, "tries"),
		Message: rapid.SampledFrom([]string{"", "status 503"}).Draw(t, "message"),
		TraceID: rapid.SampledFrom([]string{"", "4bf92f3577b34da6a3ce929d0e0e4736"}).Draw(t, "trace"),
		Planned: rapid.IntRange(0, 9).Draw(t, "planned") == 0,
	}
}

// naive adds up attempts in the plainest way: every window by itself, over all of
// them.
func naive(attempts []measure.Attempt, width time.Duration) map[measure.Series]map[int64]measure.Window {
	all := map[measure.Series]map[int64]measure.Window{}
	add := func(a measure.Attempt, metric string, failed, unfinished, timed bool) {
		series := a.Series
		series.Metric = metric
		if width != 24*time.Hour {
			series.Tenant = ""
		}
		start := time.Unix(0, a.At).UTC().Truncate(width).UnixNano()
		w := measure.Window{Series: series, Start: start, Width: int64(width), Count: 1}
		if failed {
			w.Failed = 1
		}
		if unfinished {
			w.Unfinished = 1
		}
		if timed {
			w.Sum, w.Min, w.Max, w.Sketch = a.Took, a.Took, a.Took, measure.NewSketch(a.Took)
		}
		if all[series] == nil {
			all[series] = map[int64]measure.Window{}
		}
		if before, ok := all[series][start]; ok {
			w.Merge(before)
		}
		all[series][start] = w
	}
	for _, a := range attempts {
		if a.Planned {
			continue
		}
		is := func(f measure.Finding) bool { return a.Found&f == f }
		add(a, measure.MetricTransaction, !is(measure.Accepted) || is(measure.CutOff), is(measure.CutOff), true)
		add(a, measure.MetricGood, !a.Good(), false, false)
		if is(measure.Completed) || is(measure.Wrong) {
			add(a, measure.MetricOutcome, is(measure.Wrong), false, false)
		}
		if (is(measure.Completed) || is(measure.Accepted)) && !is(measure.Wrong) && !is(measure.CutOff) {
			add(a, measure.MetricRetried, is(measure.Degraded), false, false)
		}
	}
	return all
}

// TestStateRollsUpLikeRecounting commits any attempts in any order and batches,
// prunes and reopens at times, and wants just the windows that all of them give,
// as far as they are kept.
func TestStateRollsUpLikeRecounting(t *testing.T) {
	dir := t.TempDir()
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		path := filepath.Join(dir, fmt.Sprint(round))
		kept := Keep{Attempts: 20 * time.Hour, Minutes: 24 * time.Hour, Hours: 48 * time.Hour}
		s, err := OpenState(path, kept)
		require.NoError(t, err)
		defer func() { require.NoError(t, s.Close()) }()
		var all []measure.Attempt
		for range rapid.IntRange(1, 4).Draw(t, "commits") {
			batch := rapid.SliceOfN(rapid.Custom(anyAttempt), 0, 30).Draw(t, "batch")
			require.NoError(t, s.Commit(batch, nil))
			all = append(all, batch...)
			if rapid.Bool().Draw(t, "reopen") {
				require.NoError(t, s.Close())
				s, err = OpenState(path, kept)
				require.NoError(t, err)
			}
		}
		pruned := rapid.Bool().Draw(t, "prune")
		if pruned {
			require.NoError(t, s.Prune(noon))
		}
		for width, keep := range map[time.Duration]time.Duration{time.Minute: kept.Minutes, time.Hour: kept.Hours, 24 * time.Hour: kept.Hours} {
			requireRecounted(t, s, naive(all, width), width, func(start int64) bool { return !pruned || start+int64(width) > noon-int64(keep) })
		}
		requireKept(t, s, all, func(at int64) bool { return !pruned || at >= noon-int64(kept.Attempts) })
	})
}

func requireRecounted(t *rapid.T, s *State, want map[measure.Series]map[int64]measure.Window, width time.Duration, kept func(int64) bool) {
	got, err := s.History(noon-int64(100*time.Hour), noon+int64(100*time.Hour), width)
	require.NoError(t, err)
	require.True(t, slices.IsSortedFunc(got, func(a, b measure.Window) int { return int(a.Start/1e9 - b.Start/1e9) }))
	for _, w := range got {
		wanted, ok := want[w.Series][w.Start]
		require.True(t, ok && kept(w.Start), "%+v", w)
		delete(want[w.Series], w.Start)
		require.InDelta(t, wanted.Sum, w.Sum, 1e-6)
		if width == 24*time.Hour {
			wanted.Sketch = nil
		}
		wanted.Sum = w.Sum
		require.Equal(t, wanted, w)
	}
	for _, windows := range want {
		for start := range windows {
			require.False(t, kept(start))
		}
	}
}

func requireKept(t *rapid.T, s *State, all []measure.Attempt, kept func(int64) bool) {
	got, err := s.Attempts(noon-int64(100*time.Hour), noon+int64(100*time.Hour))
	require.NoError(t, err)
	require.True(t, slices.IsSortedFunc(got, func(a, b measure.Attempt) int { return int(a.At/1e9 - b.At/1e9) }))
	require.ElementsMatch(t, slices.DeleteFunc(slices.Clone(all), func(a measure.Attempt) bool { return !kept(a.At) }), got)
}
