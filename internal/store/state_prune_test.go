package store

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

func TestPruneKeepsWhatItShould(t *testing.T) {
	const day = 24 * time.Hour
	s := newState(t) // 6 hours, 14 and 400 days
	now := noon + int64(500*day)
	ages := []time.Duration{0, 6 * time.Hour, 6*time.Hour + 1, 14 * day, 14*day + time.Minute, 400 * day, 400*day + time.Hour, 402 * day}
	var attempts []measure.Attempt
	for _, age := range ages {
		attempts = append(attempts, tried(now-int64(age), "acme", 1, measure.Accepted))
	}
	require.NoError(t, s.Commit(attempts, map[string][]byte{"old": {1}}))
	for range 2 { // the second time there is nothing to do
		require.NoError(t, s.Prune(now))
		require.Equal(t, []measure.Attempt{attempts[1], attempts[0]}, attemptsOf(t, s))
		require.Equal(t, []int64{now - int64(14*day), now - int64(6*time.Hour) - int64(time.Minute), now - int64(6*time.Hour), now}, starts(historyOf(t, s, time.Minute)))
		require.Len(t, starts(historyOf(t, s, time.Hour)), 6, "but for the two that are too old")
		require.Len(t, starts(historyOf(t, s, day)), 3, "but for the one that is too old")
	}
	documents, err := s.Documents("")
	require.NoError(t, err)
	require.Len(t, documents, 1, "documents stay")

	// What comes late is kept until the next time.
	require.NoError(t, s.Commit(attempts[5:], nil))
	require.Len(t, attemptsOf(t, s), 2+3)
	require.NoError(t, s.Prune(now))
	require.Len(t, attemptsOf(t, s), 2)
}

// starts are those of the windows, each once.
func starts(windows []measure.Window) []int64 {
	var all []int64
	for _, w := range windows {
		if len(all) == 0 || all[len(all)-1] != w.Start {
			all = append(all, w.Start)
		}
	}
	return all
}

// TestPruneLeavesAFileThatIsNotFull has more than one step of rows, of one moment
// too, and wants their room back.
func TestPruneLeavesAFileThatIsNotFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := openState(t, path)
	var attempts []measure.Attempt
	for i := range 12 * pruneRows {
		a := tried(noon+int64(i), "acme", 1, 0)
		if i > 9*pruneRows {
			a = tried(noon+int64(10*pruneRows), fmt.Sprint(i), 1, 0)
		}
		a.Message = fmt.Sprintf("%0250d", i)
		attempts = append(attempts, a)
	}
	require.NoError(t, s.Commit(attempts, nil))
	require.NoError(t, s.Prune(noon+int64(6*time.Hour)+1))
	require.Len(t, attemptsOf(t, s), len(attempts)-1)
	require.NoError(t, s.Close()) // which folds the log into the file
	full := size(t, path)

	s = openState(t, path)
	require.NoError(t, s.Prune(noon+int64(7*time.Hour)))
	require.Empty(t, attemptsOf(t, s))
	require.NoError(t, s.Close())
	require.Less(t, size(t, path), full/2)

	// Without pruning to nothing the room is used again.
	s = openState(t, path)
	for round := range 4 {
		for i := range attempts {
			attempts[i].At += int64(24 * time.Hour)
		}
		require.NoError(t, s.Commit(attempts, nil))
		require.NoError(t, s.Prune(attempts[0].At))
		if round == 1 {
			full = size(t, path)
		}
	}
	require.LessOrEqual(t, size(t, path), full*3/2)
}

func size(t testing.TB, path string) int64 {
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

// TestPruneStepsAside has many rows to prune, and wants commits to get through
// between its steps.
func TestPruneStepsAside(t *testing.T) {
	s := newState(t)
	var attempts []measure.Attempt
	for i := range 20 * pruneRows {
		attempts = append(attempts, tried(noon+int64(i), "acme", 1, 1))
	}
	require.NoError(t, s.Commit(attempts, nil))
	pruned := make(chan error)
	go func() { pruned <- s.Prune(noon + int64(48*time.Hour)) }()
	between := 0
	for {
		select {
		case err := <-pruned:
			require.NoError(t, err)
			require.Positive(t, between)
			return
		default:
			require.NoError(t, s.Commit(nil, map[string][]byte{"n": {1}}))
			first, err := s.Attempts(noon, noon+1)
			require.NoError(t, err)
			last, err := s.Attempts(attempts[len(attempts)-1].At, math.MaxInt64)
			require.NoError(t, err)
			if len(first) == 0 && len(last) == 1 {
				between++
			}
		}
	}
}
