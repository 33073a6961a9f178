package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func spoolIn(t *testing.T, dir string, limit int64) *spool {
	t.Helper()
	s, err := openSpool(dir, limit)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.lock.Close() })
	return s
}

// drain takes everything out of a spool.
func drain(t require.TestingT, s *spool) (lines string, points int64) {
	for {
		next, b, damaged, ok, err := s.oldest()
		require.NoError(t, err)
		require.Zero(t, damaged)
		if !ok {
			return lines, points
		}
		lines, points = lines+string(b.lines), points+b.points
		require.NoError(t, s.remove(next))
	}
}

func TestSpoolGivesWhatItWasGiven(t *testing.T) {
	root := t.TempDir()
	trial := 0
	rapid.Check(t, func(t *rapid.T) {
		trial++
		dir := filepath.Join(root, fmt.Sprint(trial))
		s, err := openSpool(dir, 1<<30)
		require.NoError(t, err)
		var want, got string
		for i := range rapid.IntRange(1, 20).Draw(t, "batches") {
			line := fmt.Sprintf("m,i=%d v=%s\n", i, rapid.StringMatching(`[0-9]{1,9}`).Draw(t, "v"))
			want += line
			require.NoError(t, s.append([]byte(line), 1))
			switch rapid.SampledFrom([]string{"go on", "send", "restart"}).Draw(t, "then") {
			case "send":
				lines, _ := drain(t, s)
				got += lines
			case "restart": // without a goodbye: a kill does not close anything
				require.NoError(t, s.lock.Close())
				s, err = openSpool(dir, 1<<30)
				require.NoError(t, err)
			}
		}
		waiting := s.waiting()
		lines, points := drain(t, s)
		require.Equal(t, waiting, points)
		require.Equal(t, want, got+lines)
		require.NoError(t, s.close())
		require.NoDirExists(t, dir)
	})
}

func TestSpoolBeginsAnotherSegment(t *testing.T) {
	s := spoolIn(t, t.TempDir(), 1<<30)
	for range 3 {
		require.NoError(t, s.append(make([]byte, segmentSize/2), 1))
	}
	require.Len(t, s.segments, 2)
	_, b, _, _, err := s.oldest()
	require.NoError(t, err)
	require.EqualValues(t, 2, b.points)
	require.EqualValues(t, 3, s.waiting())
}

func TestSpoolIsBounded(t *testing.T) {
	s := spoolIn(t, t.TempDir(), 100)
	require.NoError(t, s.append(make([]byte, 100-frameSize), 7))
	require.ErrorIs(t, s.append([]byte("x"), 1), errSpoolFull)
	require.EqualValues(t, 7, s.waiting())
	drain(t, s)
	require.NoError(t, s.append([]byte("x"), 1), "there is room again")
}

func TestSpoolIsForOneProcess(t *testing.T) {
	dir := t.TempDir()
	spoolIn(t, dir, 100)
	_, err := openSpool(dir, 100)
	require.ErrorIs(t, err, errSpoolUsed)
	require.ErrorContains(t, err, dir)
}

// TestSpoolCutOffAnywhere: a process that is killed while it writes leaves the
// beginning of a batch; those before it are whole.
func TestSpoolCutOffAnywhere(t *testing.T) {
	var whole []byte
	for i := range 3 {
		whole = append(whole, frame(uint64(i), 1, []byte(fmt.Sprintf("line %d\n", i)))...)
	}
	one := len(whole) / 3
	for cut := range len(whole) {
		b, damaged := readSegment(whole[:cut])
		require.EqualValues(t, cut/one, b.points, cut)
		require.Equal(t, cut%one, damaged, cut)
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%020d%s", 0, segmentExtension)), whole[:cut], 0o600))
		s := spoolIn(t, dir, 1<<20)
		require.NoError(t, s.append([]byte("later\n"), 1), "the next process goes on in a segment of its own")
		require.Len(t, s.segments, 2)
	}
	for at := range whole {
		flipped := append([]byte{}, whole...)
		flipped[at] ^= 1
		b, damaged := readSegment(flipped)
		require.LessOrEqual(t, b.points, int64(at/one), at)
		require.Positive(t, damaged, at)
	}
}

func TestSpoolSeesThatABatchIsMissing(t *testing.T) {
	first, third := frame(1, 1, []byte("first\n")), frame(3, 1, []byte("third\n"))
	b, damaged := readSegment(append(first, third...))
	require.Equal(t, "first\n", string(b.lines))
	require.Equal(t, len(third), damaged)
}
