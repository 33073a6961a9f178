package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/plan"
)

func TestABaselineFromAURL(t *testing.T) {
	t.Chdir(t.TempDir())
	phases := []plan.Phase{{Name: "beta"}}
	db, err := newRecord(t.Context(), plan.Plan{Name: "tiny", Phases: phases}, gates.Run{ID: "20260101T000000Z-aaaa", Plan: "tiny"}, []string{"beta"}, "")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	files := http.NewServeMux()
	files.Handle("/", http.FileServer(http.Dir(runsDir)))
	files.HandleFunc("/garbage.db", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("no record")) })
	server := httptest.NewServer(files)
	defer server.Close()

	found, err := findBaselines(t.Context(), plan.Plan{}, phases, server.URL+"/"+filepath.Base(db.Path()))
	require.NoError(t, err)
	require.Len(t, found.of["beta"], 1)
	require.Contains(t, found.notes["beta"][0], "the baseline 20260101T000000Z-aaaa did not pass itself")
	temp := found.temp[0]
	require.FileExists(t, temp)
	found.close()
	require.NoFileExists(t, temp)

	for url, why := range map[string]string{
		server.URL + "/nothing.db":     "the answer was 404",
		server.URL + "/garbage.db":     "phase beta, baseline: ",
		"http://127.0.0.1:1/closed.db": "refused",
	} {
		phases[0].Baseline = plan.Baseline{Record: url}
		found, err := findBaselines(t.Context(), plan.Plan{}, phases, "")
		require.ErrorContains(t, err, why)
		require.True(t, isUsage(err))
		found.close()
		for _, path := range found.temp {
			_, err := os.Stat(path)
			require.ErrorIs(t, err, os.ErrNotExist)
		}
	}
}
