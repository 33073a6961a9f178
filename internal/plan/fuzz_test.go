package plan

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzLoad wants any bytes to give a plan that can be written and read again,
// or mistakes with places.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*.yaml", "testdata/invalid/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(f, err)
		for _, path := range paths {
			data, err := os.ReadFile(path)
			require.NoError(f, err)
			f.Add(data)
		}
	}
	opts := Options{
		Getenv: env(map[string]string{"A": "a$", "B": "${"}), Recorded: true, Dir: f.TempDir(),
		ReadFile: func(string) ([]byte, error) { return []byte("env: {A: b}\ngates: [errors <= 1%]\n"), nil },
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse(data, opts)
		if err != nil {
			requirePlaces(t, err)
			return
		}
		written, err := Resolved(p)
		require.NoError(t, err)
		again, err := Parse(written, opts)
		require.NoError(t, err, "%s", written)
		require.Equal(t, p, again)
	})
}
