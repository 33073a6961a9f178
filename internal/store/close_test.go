package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// TestCloseLetsGo wants no file of a record or a state open once it is closed.
func TestCloseLetsGo(t *testing.T) {
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("there is no /proc")
	}
	dir := t.TempDir()
	d, err := Create(dir, someRun())
	require.NoError(t, err)
	require.NoError(t, d.Append(measure.Batch{Windows: []measure.Window{window("beta", 1, 2)}}))
	s, err := OpenState(filepath.Join(dir, "state.db"), Keep{})
	require.NoError(t, err)
	require.NoError(t, s.Commit([]measure.Attempt{tried(noon, "acme", 1, 1)}, map[string][]byte{"a": {1}}))
	require.NotEmpty(t, openBelow(t, dir))
	require.NoError(t, d.Close())
	require.NoError(t, s.Close())
	require.Empty(t, openBelow(t, dir))
}

// openBelow are the open files of this process in a folder.
func openBelow(t *testing.T, dir string) (open []string) {
	numbers, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, n := range numbers {
		if path, err := os.Readlink("/proc/self/fd/" + n.Name()); err == nil && strings.HasPrefix(path, dir) {
			open = append(open, path)
		}
	}
	return open
}
