package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// beCanary goes on with a state where it stands: commit after commit, pruning
// now and then, and prints the number of each that was acknowledged.
func beCanary(path string) {
	s, err := OpenState(path, Keep{Attempts: time.Hour})
	var n int
	if err == nil {
		n, err = committed(s)
	}
	for ; err == nil; n++ {
		attempts, documents := killCommit(n)
		if err = s.Commit(attempts, documents); err == nil {
			_, err = fmt.Println(n)
		}
		if err == nil && n%20 == 0 {
			err = s.Prune(noon)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// killCommit is commit n: some attempts, now and then with new series, and a
// document that says how many commits there were.
func killCommit(n int) ([]measure.Attempt, map[string][]byte) {
	var attempts []measure.Attempt
	for i := range 1 + n%30 {
		attempts = append(attempts, tried(noon+int64(n)*1e8+int64(i), strconv.Itoa(n/7), float64(n), measure.Accepted))
	}
	documents := map[string][]byte{"commits": []byte(strconv.Itoa(n + 1)), fmt.Sprintf("n/%d", n): {}}
	if n > 0 {
		documents[fmt.Sprintf("n/%d", n-1)] = nil
	}
	return attempts, documents
}

func committed(s *State) (int, error) {
	got, err := s.Documents("commits")
	if err != nil || len(got) == 0 {
		return 0, err
	}
	return strconv.Atoi(string(got["commits"]))
}

// TestKilledCanaryLosesNothing kills the same daemon again and again, in the
// middle of what it does: of each commit there is all or nothing, and all of
// those that it acknowledged.
func TestKilledCanaryLosesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	r := rand.New(rand.NewPCG(21, 22))
	before := 0
	for range 30 {
		said := killed(t, child("canary", path), 1+r.IntN(40), func() {
			for range r.IntN(2_000_000) { // a moment, to land anywhere in a transaction
				r.Uint64()
			}
		})
		s, err := OpenState(path, Keep{})
		require.NoError(t, err, "the lock is free at once")
		n, err := committed(s)
		require.NoError(t, err)
		require.GreaterOrEqual(t, n, before+said)
		require.LessOrEqual(t, n, before+said+1)
		requireCommits(t, s, n)
		before = n
		require.NoError(t, s.Close())
	}
}

// requireCommits wants just what so many commits leave behind.
func requireCommits(t *testing.T, s *State, n int) {
	t.Helper()
	var want []measure.Attempt
	var bad uint64
	for i := range n {
		attempts, _ := killCommit(i)
		want = append(want, attempts...)
	}
	require.Equal(t, want, attemptsOf(t, s))
	got, err := s.Documents("n/")
	require.NoError(t, err)
	require.Equal(t, map[string][]byte{fmt.Sprintf("n/%d", n-1): {}}, got)
	for _, l := range levels {
		var count uint64
		for _, w := range historyOf(t, s, l.width) {
			if w.Series.Metric == measure.MetricTransaction {
				count, bad = count+w.Count, bad+w.Failed
			}
		}
		require.EqualValues(t, len(want), count, l.table)
	}
	require.Zero(t, bad)
}
