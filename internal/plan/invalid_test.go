package plan

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what invalid plans are told into their .want files")

// TestInvalid loads every plan in testdata/invalid, one for each rule, and
// compares what it is told with the .want file beside it. A wanted line that
// ends in "..." leaves the rest to the gate language, which words it.
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
			wanted, err := os.ReadFile(want)
			if *update && !matches(string(wanted), got) {
				require.NoError(t, os.WriteFile(want, []byte(got), 0o600))
				return
			}
			require.NoError(t, err)
			require.True(t, matches(string(wanted), got), "got:\n%swant:\n%s", got, wanted)
		})
	}
}

func matches(want, got string) bool {
	wanted, lines := strings.Split(want, "\n"), strings.Split(got, "\n")
	return slices.EqualFunc(wanted, lines, func(w, line string) bool {
		start, open := strings.CutSuffix(w, "...")
		return w == line || open && strings.HasPrefix(line, start)
	})
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
