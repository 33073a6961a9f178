package store

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// stateBytes is a state of some size.
func stateBytes(t testing.TB) []byte {
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := OpenState(path, Keep{})
	require.NoError(t, err)
	var attempts []measure.Attempt
	for i := range 2000 {
		a := tried(noon+int64(i)*1e9, fmt.Sprint(i%50), float64(i), measure.Finding(i%64))
		a.Message = "status 503"
		attempts = append(attempts, a)
	}
	require.NoError(t, s.Commit(attempts, map[string][]byte{"incident/a": make([]byte, 9000), "b": {1}}))
	require.NoError(t, s.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

func TestOpenStateRefuses(t *testing.T) {
	whole := stateBytes(t)
	newer := append([]byte{}, whole...)
	newer[63] = 99 // the last byte of user_version
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"text":         {[]byte("name: shop\n"), "not a state: not an SQLite file"},
		"a record":     {finished(t), "it is the record of a run, not the state of a canary"},
		"another":      {alter(t, "CREATE TABLE x (y)"), "an SQLite database, but not the state of a canary"},
		"newer":        {newer, "a state of format 99; this program knows format 1: use a newer one"},
		"cut off":      {whole[:len(whole)/3], "damaged; move it away"},
		"without days": {alter(t, stateSchema, "DROP TABLE days", "PRAGMA application_id = 1381190739", "PRAGMA user_version = 1"), "no such table: days"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			require.NoError(t, os.WriteFile(path, c.data, 0o644))
			for range 2 { // the lock is free again
				_, err := OpenState(path, Keep{})
				require.ErrorContains(t, err, c.want)
				require.ErrorContains(t, err, "state "+path)
			}
			left, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, c.data, left, "it stays as it is")
		})
	}
	_, err := OpenState(t.TempDir(), Keep{})
	require.ErrorContains(t, err, "it is a folder")
	empty := filepath.Join(t.TempDir(), "state.db")
	require.NoError(t, os.WriteFile(empty, nil, 0o644))
	openState(t, empty) // killed before it was made
}

// TestDamagedStates changes bytes anywhere: whatever happens is an error or goes
// well, and is not a panic.
func TestDamagedStates(t *testing.T) {
	whole := stateBytes(t)
	r := rand.New(rand.NewPCG(31, 32))
	refused := 0
	for i := range 150 {
		data := append([]byte{}, whole...)
		for range 1 + r.IntN(20) {
			at := r.IntN(len(data))
			if i%3 == 0 {
				at = 100 + r.IntN(8000) // the schema
			}
			data[at] = byte(r.Uint32())
		}
		if i%10 == 0 {
			data = data[:r.IntN(len(data))]
		}
		path := filepath.Join(t.TempDir(), "state.db")
		require.NoError(t, os.WriteFile(path, data, 0o644))
		if useAll(path) != nil {
			refused++
		}
	}
	require.Positive(t, refused)
}

// useAll does with a state all that can be done.
func useAll(path string) error {
	s, err := OpenState(path, Keep{})
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := s.Attempts(math.MinInt64, math.MaxInt64); err != nil {
		return err
	}
	for _, l := range levels {
		if _, err := s.History(math.MinInt64, math.MaxInt64, l.width); err != nil {
			return err
		}
	}
	if _, err := s.Documents(""); err != nil {
		return err
	}
	if err := s.Commit([]measure.Attempt{tried(noon, "7", 1, 1)}, map[string][]byte{"b": nil, "c": {1}}); err != nil {
		return err
	}
	return s.Prune(noon + int64(500*24*time.Hour))
}

// TestImpossibleContent has content that SQLite takes for whole.
func TestImpossibleContent(t *testing.T) {
	for name, tt := range map[string]struct{ change, want string }{
		"a sketch":     {"UPDATE minutes SET sketch = x'09'", "damaged; move it away to begin with an empty one: sketch of version 9"},
		"a count":      {"UPDATE minutes SET failed = count + 1", "counts more than there is"},
		"a lost name":  {"DELETE FROM series", "has no name"},
		"text for one": {"UPDATE minutes SET count = 'many'", "minutes"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.db")
			require.NoError(t, os.WriteFile(path, stateBytes(t), 0o644))
			s := openState(t, path)
			require.NoError(t, s.write.exec(tt.change))
			_, err := s.History(math.MinInt64, math.MaxInt64, time.Minute)
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, path)
		})
	}
}
