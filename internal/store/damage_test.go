package store

import (
	"database/sql"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

// finished makes a record of some size that was closed, and gives its bytes.
func finished(t testing.TB) []byte {
	d, err := Create(t.TempDir(), someRun())
	require.NoError(t, err)
	require.NoError(t, d.Append(measure.Batch{
		Windows:  manyWindows(500),
		Events:   []measure.Event{{Kind: measure.EventPhase}},
		Examples: []measure.Example{{Kind: "x"}},
	}))
	require.NoError(t, d.SaveGates("beta", []gates.Gate{{Text: "availability >= 99%"}}))
	require.NoError(t, d.Close())
	data, err := os.ReadFile(d.Path())
	require.NoError(t, err)
	return data
}

// readAll reads everything there is in a record.
func readAll(path string) error {
	d, err := Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if _, err := d.Gates("beta"); err != nil {
		return err
	}
	if _, err := d.Examples(); err != nil {
		return err
	}
	rec, err := d.Record("beta")
	if err != nil {
		return err
	}
	for _, err := range rec.Windows {
		if err != nil {
			return err
		}
	}
	return nil
}

func alter(t *testing.T, statements ...string) []byte {
	path := filepath.Join(t.TempDir(), "other.db")
	db, err := sql.Open("sqlite", dsn(path, "mode=rwc"))
	require.NoError(t, err)
	for _, s := range statements {
		_, err := db.Exec(s)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

func TestOpenRefuses(t *testing.T) {
	whole := finished(t)
	newer := append([]byte{}, whole...)
	newer[63] = 99 // the last byte of user_version
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":          {nil, "empty"},
		"text":           {[]byte("name: shop\n"), "not an SQLite file"},
		"short text":     {[]byte("SQL"), "not an SQLite file"},
		"only the magic": {[]byte(magic), ""},
		"half":           {whole[:len(whole)/2], ""},
		"another kind":   {alter(t, "CREATE TABLE bookmarks (url)"), "not a record of resilience"},
		"another format": {newer, "a record of format 99; this program knows format 1"},
	} {
		path := filepath.Join(t.TempDir(), "x.db")
		require.NoError(t, os.WriteFile(path, c.data, 0o600))
		err := readAll(path)
		require.Error(t, err, name)
		require.ErrorContains(t, err, c.want, name)
		require.ErrorContains(t, err, path, name)
	}
	_, err := Open(filepath.Join(t.TempDir(), "none.db"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open(t.TempDir())
	require.Error(t, err)
}

func TestDamageDoesNotPanic(t *testing.T) {
	whole := finished(t)
	r := rand.New(rand.NewPCG(3, 4))
	path := filepath.Join(t.TempDir(), "x.db")
	failed := 0
	for range 100 {
		data := append([]byte{}, whole...)
		if r.IntN(3) == 0 {
			data = data[:r.IntN(len(data))]
		}
		for range r.IntN(20) {
			if len(data) > 0 {
				data[r.IntN(len(data))] ^= byte(1 + r.IntN(255))
			}
		}
		require.NoError(t, os.WriteFile(path, data, 0o600))
		if readAll(path) != nil {
			failed++
		}
	}
	require.Greater(t, failed, 30)
}

func FuzzOpen(f *testing.F) {
	whole := finished(f)
	f.Add(whole[:4096], uint16(0))
	f.Add([]byte{1, 2, 3}, uint16(5000))
	path := filepath.Join(f.TempDir(), "x.db")
	f.Fuzz(func(t *testing.T, damage []byte, at uint16) {
		data := append([]byte{}, whole...)
		copy(data[min(int(at), len(data)):], damage)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		_ = readAll(path)
	})
}

func TestListAndFind(t *testing.T) {
	dir := t.TempDir()
	list, err := List(filepath.Join(dir, "none"))
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = Find(dir, Last)
	require.ErrorContains(t, err, "no runs in "+dir)

	older := createIn(t, dir, gates.Run{ID: "20260101T000000Z-aaaa", Plan: "old"})
	newer := createIn(t, dir, gates.Run{ID: "20260102T000000Z-aabb", Plan: "new"})
	require.NoError(t, newer.SaveVerdicts([]byte("[]")))
	require.NoError(t, newer.SaveGates("beta", nil))
	damaged := filepath.Join(dir, "20260101T120000Z-aacc.db")
	require.NoError(t, os.WriteFile(damaged, []byte("nonsense"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))

	list, err = List(dir)
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.NoError(t, list[0].Err)
	require.Equal(t, "new", list[0].Run.Plan)
	require.Equal(t, []string{"beta"}, list[0].Phases)
	require.Equal(t, "[]", string(list[0].Verdicts))
	require.Positive(t, list[0].Size)
	require.Equal(t, damaged, list[1].Path)
	require.ErrorContains(t, list[1].Err, "not an SQLite file")
	require.NoError(t, list[2].Err)
	require.Nil(t, list[2].Verdicts)

	outside := filepath.Join(t.TempDir(), "outside")
	require.NoError(t, os.WriteFile(outside, nil, 0o600))
	for ref, want := range map[string]string{
		Last:                    newer.Path(),
		"20260102":              newer.Path(),
		"20260101T000000Z-aaaa": older.Path(),
		older.Path():            older.Path(),
		outside:                 outside,
	} {
		got, err := Find(dir, ref)
		require.NoError(t, err, ref)
		require.Equal(t, want, got, ref)
	}
	for ref, want := range map[string]string{
		"":            "no run was named",
		"20260101":    "2 runs in " + dir + ` begin with "20260101": 20260101T120000Z-aacc, 20260101T000000Z-aaaa`,
		"zzz":         "the newest are 20260102T000000Z-aabb, 20260101T120000Z-aacc, 20260101T000000Z-aaaa",
		"./none.db":   "no such file",
		dir:           "is a folder",
		"../20260101": "no such file",
	} {
		_, err := Find(dir, ref)
		require.ErrorContains(t, err, want, ref)
	}
}

func TestFilesOfOneSecondAreInOrderOfWriting(t *testing.T) {
	dir := t.TempDir()
	for i, id := range []string{"20260101T000000Z-zzzz", "20260101T000000Z-aaaa"} {
		path := filepath.Join(dir, id+Extension)
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		at := someRun().Started.AddDate(0, 0, i)
		require.NoError(t, os.Chtimes(path, at, at))
	}
	path, err := Find(dir, Last)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(path, "aaaa.db"))
}

func TestNewID(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]bool{}
	for range 1000 {
		id := NewID(someRun().Started, r)
		require.Regexp(t, `^20260102T150405Z-[0-9a-z]{4}$`, id)
		require.NoError(t, checkID(id))
		seen[id] = true
	}
	require.Greater(t, len(seen), 990)
}
