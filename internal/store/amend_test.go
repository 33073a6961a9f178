package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

func TestAmend(t *testing.T) {
	dir := t.TempDir()
	db, err := Create(dir, gates.Run{ID: "run"})
	require.NoError(t, err)
	require.NoError(t, db.SaveGates("beta", nil))
	first := measure.Event{Source: "harness", Seq: 1, At: 1, Kind: measure.EventDisruption, Phase: "beta", Name: "slow"}
	require.NoError(t, db.Append(measure.Batch{Events: []measure.Event{first}}))
	require.NoError(t, db.Close())

	more := measure.Event{Source: "lift", Seq: 1, At: 2, Kind: measure.EventLifted, Phase: "beta", Name: "slow", Attrs: map[string]string{"by": "lift"}}
	for range 2 {
		require.NoError(t, Amend(db.Path(), []measure.Event{more}))
	}
	db, err = Open(db.Path())
	require.NoError(t, err)
	defer db.Close()
	rec, err := db.Record("beta")
	require.NoError(t, err)
	require.Equal(t, []measure.Event{first, more}, rec.Events)

	text := filepath.Join(dir, "text.db")
	require.NoError(t, os.WriteFile(text, []byte("hello, this is no record"), 0o600))
	require.Error(t, Amend(text, nil))
	require.Error(t, Amend(filepath.Join(dir, "nosuch.db"), nil))
}
