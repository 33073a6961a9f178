package plan

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what invalid plans are told into their .want files")

// TestInvalid loads every plan in testdata/invalid, one for each rule, and
// compares what it is told with the .want file beside it.
func TestInvalid(t *testing.T) {
	paths, err := filepath.Glob("testdata/invalid/*.yaml")
	require.NoError(t, err)
	require.Greater(t, len(paths), 100)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yaml"), func(t *testing.T) {
			_, err := Load(path, Options{Getenv: env(nil)})
			require.Error(t, err)
			requirePlaces(t, err)
			got := strings.ReplaceAll(err.Error(), "testdata/invalid/", "") + "\n"
			want := strings.TrimSuffix(path, ".yaml") + ".want"
			if *update {
				require.NoError(t, os.WriteFile(want, []byte(got), 0o644))
			}
			wanted, err := os.ReadFile(want)
			require.NoError(t, err)
			require.Equal(t, string(wanted), got)
		})
	}
}

// requirePlaces wants every mistake to have a place and a message of one line.
func requirePlaces(t *testing.T, err error) {
	t.Helper()
	var errs Errors
	require.ErrorAs(t, err, &errs)
	require.NotEmpty(t, errs)
	for _, p := range errs {
		require.NotEmpty(t, p.File)
		require.Positive(t, p.Line)
		require.Positive(t, p.Column)
		require.NotEmpty(t, p.Message)
		require.NotContains(t, p.Error(), "\n")
	}
}
