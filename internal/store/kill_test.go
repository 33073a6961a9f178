package store

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// roleVariable turns the test binary into one of the children below.
const roleVariable = "STORE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "writer":
		beWriter(os.Args[len(os.Args)-1])
	case "streamer":
		beStreamer(os.Args[len(os.Args)-1])
	case "filler":
		beFiller(os.Args[len(os.Args)-1])
	case "canary":
		beCanary(os.Args[len(os.Args)-1])
	case "nobody":
		beNobody(os.Args[len(os.Args)-1])
	default:
		os.Exit(m.Run())
	}
}

// child re-executes the test binary in a role, with a path as its argument.
func child(role, path string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// beWriter appends batch after batch and prints the number of each that was
// acknowledged, until somebody kills it or stops to listen.
func beWriter(dir string) {
	d, err := Create(dir, someRun())
	for i := 0; err == nil; i++ {
		if err = d.Append(killBatch(i)); err == nil {
			_, err = fmt.Println(i)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// killBatch is batch i: of different sizes, now and then with a new series.
func killBatch(i int) measure.Batch {
	var batch measure.Batch
	for j := range 1 + i%40 {
		w := window("beta", int64(i), float64(i), float64(j))
		w.Part = uint32(j)
		w.Series.Tenant = strconv.Itoa(i / 10)
		batch.Windows = append(batch.Windows, w)
	}
	batch.Events = []measure.Event{{Source: "k6", Seq: uint64(i), At: int64(i), Kind: measure.EventAsked}}
	return batch
}

// killedRecord lets a writer acknowledge some batches and kills it in the middle of what
// comes next; it gives the record and the number of acknowledged batches.
func killedRecord(t *testing.T, r *rand.Rand) (path string, acknowledged int) {
	dir := t.TempDir()
	acknowledged = killed(t, child("writer", dir), 1+r.IntN(100), func() {
		for range r.IntN(2_000_000) { // a moment, to land anywhere in a transaction
			r.Uint64()
		}
	})
	return filepath.Join(dir, someRun().ID+Extension), acknowledged
}

// killed starts a child, waits until it said so many lines, does what is to be
// done and kills it. It gives the number of lines that it said in all.
func killed(t *testing.T, cmd *exec.Cmd, after int, then func()) (said int) {
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for range after {
		require.True(t, lines.Scan())
		said++
	}
	then()
	require.NoError(t, cmd.Process.Signal(syscall.SIGKILL))
	for lines.Scan() { // what it said before it died counts too
		said++
	}
	require.ErrorContains(t, cmd.Wait(), "killed")
	return said
}

func TestKilledWriterLosesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 5 {
		path, acknowledged := killedRecord(t, r)
		requireBatches(t, path, acknowledged)
		copied := filepath.Join(t.TempDir(), "record.db")
		require.NoError(t, openFor(t, path).CopyTo(copied))
		requireBatches(t, copied, acknowledged)
	}
}

// requireBatches wants all acknowledged batches, perhaps one more, and each
// whole.
func requireBatches(t *testing.T, path string, acknowledged int) {
	t.Helper()
	d := openFor(t, path)
	rec, err := d.Record("beta")
	require.NoError(t, err)
	n := len(rec.Events)
	require.GreaterOrEqual(t, n, acknowledged)
	require.LessOrEqual(t, n, acknowledged+1)
	var want []measure.Window
	for i := range n {
		require.EqualValues(t, i, rec.Events[i].Seq)
		want = append(want, killBatch(i).Windows...)
	}
	require.Equal(t, want, collect(t, rec))
}

// beNobody gives up all rights and says how many events it can read.
func beNobody(path string) {
	err := syscall.Setuid(65534)
	if os.Getuid() != 0 {
		err = nil // it had no rights to begin with
	}
	var d *DB
	if err == nil {
		d, err = Open(path)
	}
	if err == nil {
		rec, failure := d.Record("beta")
		fmt.Println(len(rec.Events))
		err = failure
	}
	if err == nil {
		err = d.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func TestReadOnlyFolders(t *testing.T) {
	killed, acknowledged := killedRecord(t, rand.New(rand.NewPCG(13, 14)))
	left, err := os.Stat(killed + "-wal")
	require.NoError(t, err)
	require.Positive(t, left.Size())
	closed := filepath.Join(t.TempDir(), "closed.db")
	require.NoError(t, openFor(t, killed).CopyTo(closed))
	live := createIn(t, t.TempDir(), someRun())
	for i := range acknowledged {
		require.NoError(t, live.Append(killBatch(i)))
	}
	for name, path := range map[string]string{"killed": killed, "closed": closed, "live": live.Path()} {
		requireReadableByNobody(t, name, path, acknowledged)
	}
}

func requireReadableByNobody(t *testing.T, name, path string, acknowledged int) {
	dir, err := os.MkdirTemp("", "store-readonly-") // t.TempDir is closed to others
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700); _ = os.RemoveAll(dir) })
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + suffix)
		if os.IsNotExist(err) {
			continue
		}
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "record.db"+suffix), data, 0o444))
	}
	require.NoError(t, os.Chmod(dir, 0o555))
	cmd := child("nobody", filepath.Join(dir, "record.db"))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said, err := io.ReadAll(out)
	require.NoError(t, err)
	require.NoError(t, cmd.Wait(), name)
	var events int
	_, err = fmt.Sscan(string(said), &events)
	require.NoError(t, err)
	require.GreaterOrEqual(t, events, acknowledged, name)
}

func TestCopyOfASealedRecordIsRemoved(t *testing.T) {
	path, acknowledged := killedRecord(t, rand.New(rand.NewPCG(15, 16)))
	d, err := openSealed(path)
	require.NoError(t, err)
	require.DirExists(t, d.scratch)
	rec, err := d.Record("beta")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(rec.Events), acknowledged)
	require.NoError(t, d.Close())
	require.NoDirExists(t, d.scratch)
}
