package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// written is what a checkpoint does to a database and its log, n times.
func written(t *testing.T, path string, n int) func(from, to string) error {
	return func(from, to string) error {
		err := copyFile(from, to)
		if from == path && n > 0 {
			n--
			require.NoError(t, os.WriteFile(path, []byte("pages of the log"+strings.Repeat("!", n)), 0o600))
			require.NoError(t, os.Remove(path+"-wal"))
			if n > 0 {
				require.NoError(t, os.WriteFile(path+"-wal", []byte("log"), 0o600))
			}
		}
		return err
	}
}

func TestCopyBothOfOneMoment(t *testing.T) {
	for name, c := range map[string]struct {
		writes int
		files  map[string]string
		fails  string
	}{
		"quiet":      {0, map[string]string{"": "pages", "-wal": "log"}, ""},
		"checkpoint": {1, map[string]string{"": "pages of the log"}, ""},
		"never ends": {2 * copyTries, nil, "its run keeps writing to it"},
	} {
		t.Run(name, func(t *testing.T) {
			path, to := filepath.Join(t.TempDir(), "a.db"), filepath.Join(t.TempDir(), "b.db")
			require.NoError(t, os.WriteFile(path, []byte("pages"), 0o600))
			require.NoError(t, os.WriteFile(path+"-wal", []byte("log"), 0o600))
			err := copyBoth(path, to, written(t, path, c.writes))
			if c.fails != "" {
				require.ErrorContains(t, err, c.fails)
				return
			}
			require.NoError(t, err)
			for end, want := range c.files {
				got, err := os.ReadFile(to + end)
				require.NoError(t, err)
				require.Equal(t, want, string(got))
			}
			if c.files["-wal"] == "" {
				require.NoFileExists(t, to+"-wal")
			}
		})
	}
	nothing := filepath.Join(t.TempDir(), "none.db")
	require.ErrorIs(t, copyBoth(nothing, nothing+"2", copyFile), os.ErrNotExist)
}
