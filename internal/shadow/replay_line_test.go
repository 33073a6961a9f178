package shadow

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// enterLine has jobs of one session enter a line in which nothing is ever sent.
func enterLine(all []Exchange) (jobs []*job) {
	p, line := &replaying{}, newReplayLine(0)
	for _, e := range all {
		e.Session = "shared"
		j := &job{Exchange: e, replaying: p}
		line.enter(j)
		jobs = append(jobs, j)
	}
	return jobs
}

// A session that all users share, as in the log of a server behind a proxy, takes
// memory by its length alone.
func TestLineOfOneLongSession(t *testing.T) {
	var all []Exchange
	for i := range 5000 {
		all = append(all, Exchange{At: taped.Add(time.Duration(i) * time.Millisecond)})
	}
	links := 0
	for _, j := range enterLine(all) {
		links += len(j.successors)
	}
	require.Equal(t, len(all)-1, links)
}

// Each exchange waits, at once or by way of others, for all that had been answered
// when it was asked, and for no other.
func TestLineWaitsForWhatWasKnown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Exchange
		for range rapid.IntRange(1, 20).Draw(t, "exchanges") {
			all = append(all, Exchange{
				At:   taped.Add(time.Duration(rapid.IntRange(0, 10).Draw(t, "at")) * time.Second),
				Took: time.Duration(rapid.IntRange(0, 5).Draw(t, "took")) * time.Second,
			})
		}
		jobs := enterLine(all)
		follows := map[*job]map[*job]bool{}
		for _, j := range slices.Backward(jobs) {
			follows[j] = map[*job]bool{}
			for _, next := range j.successors {
				follows[j][next] = true
				for further := range follows[next] {
					follows[j][further] = true
				}
			}
		}
		for i, earlier := range jobs {
			for _, j := range jobs[i+1:] {
				if !earlier.recordedEnd().After(j.At) {
					require.True(t, follows[earlier][j], "it was known")
				}
			}
			for _, next := range earlier.successors {
				require.False(t, earlier.recordedEnd().After(next.At), "it was not known")
			}
		}
	})
}
