package store

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

func createIn(t testing.TB, dir string, run gates.Run) *DB {
	t.Helper()
	d, err := Create(dir, run)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func openFor(t testing.TB, path string) *DB {
	t.Helper()
	d, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

func TestSQLite(t *testing.T) {
	testContract(t,
		func(t *testing.T, run gates.Run) keeper { return createIn(t, t.TempDir(), run) },
		func(t *testing.T, k keeper) keeper { return openFor(t, k.(*DB).Path()) })
}

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	createIn(t, dir, gates.Run{ID: "a"})
	_, err := Create(dir, gates.Run{ID: "a"})
	require.ErrorIs(t, err, os.ErrExist)
	for _, id := range []string{"", "..", "../a", "a/b", `a\b`, ".hidden"} {
		_, err := Create(dir, gates.Run{ID: id})
		require.ErrorContains(t, err, "can not be the id", id)
	}
}

func TestFileNamesWithStrangeCharacters(t *testing.T) {
	d := createIn(t, filepath.Join(t.TempDir(), "a b?c#d%20é"), someRun())
	require.NoError(t, d.Append(measure.Batch{Windows: []measure.Window{window("beta", 1, 1)}}))
	require.Len(t, windowsOf(t, openFor(t, d.Path()), "beta"), 1)
	require.FileExists(t, d.Path())
}

func TestCloseLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	d, err := Create(dir, someRun())
	require.NoError(t, err)
	require.NoError(t, d.Append(measure.Batch{Windows: []measure.Window{window("beta", 1, 1)}}))
	require.NoError(t, d.Close())
	r := openFor(t, d.Path())
	require.Len(t, windowsOf(t, r, "beta"), 1)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestAReaderDoesNotWrite(t *testing.T) {
	d := createIn(t, t.TempDir(), someRun())
	r := openFor(t, d.Path())
	require.ErrorIs(t, r.Append(measure.Batch{}), errReadOnly)
	require.ErrorIs(t, r.Finish(someRun()), errReadOnly)
	require.ErrorIs(t, r.SaveVerdicts(nil), errReadOnly)
	closed, err := Create(t.TempDir(), someRun())
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	require.ErrorIs(t, closed.Append(measure.Batch{}), errReadOnly)
}

func TestCopyTo(t *testing.T) {
	d := createIn(t, t.TempDir(), someRun())
	require.NoError(t, d.Append(measure.Batch{Windows: []measure.Window{window("beta", 1, 1)}}))
	target := filepath.Join(t.TempDir(), "record.db")
	require.NoError(t, os.WriteFile(target, []byte("an older one"), 0o600))
	require.NoError(t, d.CopyTo(target))
	require.NoError(t, d.Append(measure.Batch{Windows: []measure.Window{window("beta", 2, 1)}}))
	again := filepath.Join(filepath.Dir(target), "again.db")
	require.NoError(t, openFor(t, target).CopyTo(again))
	for _, path := range []string{target, again} {
		copied := openFor(t, path)
		require.Len(t, windowsOf(t, copied, "beta"), 1)
		run, err := copied.Run()
		require.NoError(t, err)
		require.Equal(t, someRun(), run)
	}
	entries, err := os.ReadDir(filepath.Dir(target))
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing else is left beside the copies")
	require.Error(t, d.CopyTo(filepath.Join(t.TempDir(), "no", "such", "folder.db")))
}

// manyWindows are like those of a minute or more of real traffic.
func manyWindows(n int) []measure.Window {
	r := rand.New(rand.NewPCG(1, 2))
	windows := make([]measure.Window, n)
	for i := range windows {
		values := make([]float64, 20)
		for j := range values {
			values[j] = 20 + 100*r.ExpFloat64()
		}
		windows[i] = window("beta", int64(i/10), values...)
		windows[i].Series.Step = fmt.Sprint("step ", i%10)
		windows[i].Part = uint32(i)
	}
	return windows
}

func BenchmarkAppend1000(b *testing.B) {
	d := createIn(b, b.TempDir(), someRun())
	batch := measure.Batch{Windows: manyWindows(1000)}
	for i := 0; b.Loop(); i++ {
		for j := range batch.Windows {
			batch.Windows[j].Start += 100 * measure.Second
		}
		require.NoError(b, d.Append(batch))
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "windows/s")
}

func BenchmarkReadWindows(b *testing.B) {
	const total = 100_000
	d := createIn(b, b.TempDir(), someRun())
	require.NoError(b, d.Append(measure.Batch{Windows: manyWindows(total)}))
	rec, err := d.Record("beta")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range rec.Windows {
			require.NoError(b, err)
			n++
		}
		require.Equal(b, total, n)
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*1e9/total, "ns/window")
}
