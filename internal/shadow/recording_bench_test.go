package shadow

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchmarked is how many exchanges the recording of a benchmark has.
const benchmarked = 20_000

// plainBytes is about what exchanges have in a file of text, such as GoReplay's.
func plainBytes(all []Exchange) (n int64) {
	for i := range all {
		n += int64(weight(&all[i]))
	}
	return n
}

// BenchmarkRecording writes and reads a recording, one exchange at a time. MB/s are
// of exchanges before they are packed.
func BenchmarkRecording(b *testing.B) {
	all := samples(benchmarked)
	path := record(b, all...)
	info, err := os.Stat(path)
	require.NoError(b, err)
	each := plainBytes(all) / benchmarked
	b.Run("write", func(b *testing.B) {
		b.SetBytes(each)
		b.ReportAllocs()
		w, err := Create(filepath.Join(b.TempDir(), "t.shadow"), Options{})
		require.NoError(b, err)
		for n := range b.N {
			x := all[n%benchmarked]
			x.At = recordingStart.Add(time.Duration(n) * time.Millisecond)
			if err := w.Write(x); err != nil {
				b.Fatal(err)
			}
		}
		require.NoError(b, w.Close())
		report(b)
		b.ReportMetric(float64(info.Size())/benchmarked, "B/exchange")
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(each)
		b.ReportAllocs()
		r := openRecording(b, path)
		readFor(b, r, b.N)
		report(b)
	})
	b.Run("redact", func(b *testing.B) {
		r := redactor(b, RedactionRules{Paths: []string{"items[*].sku"}})
		x := all[7]
		x.Request.Header = x.Request.Header.Clone()
		x.Request.Header.Set("Authorization", "Bearer abcdefghijkl")
		b.SetBytes(int64(weight(&x)))
		b.ReportAllocs()
		for b.Loop() {
			r.Redact(x)
		}
		report(b)
	})
}

func report(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "exchanges/s")
}

// readFor reads n exchanges, from the beginning again and again.
func readFor(b *testing.B, r *Reader, n int) {
	for n > 0 {
		_, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			r.Select(Selection{})
		case err != nil:
			b.Fatal(err)
		default:
			n--
		}
	}
}

// TestMemoryOfARecording writes and reads a recording that is far larger than the
// memory that it takes: 48 MB, or as many GB as SHADOW_GB says, of which each
// exchange is as long as pages are, and does not pack well.
func TestMemoryOfARecording(t *testing.T) {
	size := int64(48 << 20)
	if text := os.Getenv("SHADOW_GB"); text != "" {
		gigabytes, err := strconv.ParseFloat(text, 64)
		require.NoError(t, err)
		size = int64(gigabytes * (1 << 30))
	} else if testing.Short() {
		t.Skip("writes 48 MB")
	}
	path := filepath.Join(t.TempDir(), "t.shadow")
	w, err := Create(path, Options{})
	require.NoError(t, err)
	before, highest := heapInUse(), int64(0)
	look := func(n int) {
		if n%2000 == 0 {
			highest = max(highest, heapInUse()-before)
		}
	}
	noise, n := uint64(1), 0
	for w.size() < size {
		x := sampleExchange(n)
		x.Response.Body = Body{Data: make([]byte, 8<<10), Size: 8 << 10}
		for i := range x.Response.Body.Data {
			noise = noise*6364136223846793005 + 1442695040888963407
			x.Response.Body.Data[i] = byte(noise >> 56)
		}
		require.NoError(t, w.Write(x))
		n++
		look(n)
	}
	require.NoError(t, w.Close())
	written := highest
	highest = 0
	r := openRecording(t, path)
	read := 0
	for {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			require.NoError(t, err)
		}
		read++
		look(read)
	}
	require.Equal(t, n, read)
	t.Logf("%d exchanges, %d MiB: %d MiB of memory to write, %d MiB to read", n, size>>20, written>>20, highest>>20)
	require.Less(t, written, int64(48<<20), "to write")
	require.Less(t, highest, int64(48<<20), "to read")
}

func (w *Writer) size() int64 {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.offset
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse)
}

// BenchmarkImport imports an access log, which nobody keeps.
func BenchmarkImport(b *testing.B) {
	line := `10.0.0.%d - - [10/Oct/2000:13:%02d:36 -0700] "GET /orders/%d?page=2 HTTP/1.1" 200 2326 "https://shop.example/" "Mozilla/5.0 (X11; Linux x86_64)"` + "\n"
	lines := &lineSource{line: func(n int) string { return fmt.Sprintf(line, n%250, n%60, n) }, left: b.N}
	r := redactor(b, RedactionRules{})
	counts, err := Import(lines, ImportOptions{Format: "accesslog", Redactor: r}, forgetful{})
	require.NoError(b, err)
	require.EqualValues(b, b.N, counts.Kept)
	report(b)
}

// forgetful is a sink that forgets.
type forgetful struct{}

func (forgetful) Write(Exchange) error { return nil }

// lineSource gives lines that are made as they are read.
type lineSource struct {
	line func(n int) string
	n    int
	left int
	rest string
}

func (l *lineSource) Read(p []byte) (int, error) {
	if l.rest == "" {
		if l.left == 0 {
			return 0, io.EOF
		}
		l.rest = l.line(l.n)
		l.n, l.left = l.n+1, l.left-1
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// BenchmarkImportHAR imports entries of an archive with a body of 8 KiB. x-decode is
// how long it takes beside decoding the same bytes with encoding/json alone.
func BenchmarkImportHAR(b *testing.B) {
	body := strings.Repeat(`{\"id\":17,\"name\":\"thing\",\"price\":1.50},`, 200)
	entry := `{"startedDateTime":"2026-01-02T03:04:05.678Z","time":12.5,"request":{"method":"GET","url":"https://shop.example/orders/17","headers":[{"name":"Accept","value":"*/*"}]},` +
		`"response":{"status":200,"headers":[{"name":"Content-Type","value":"application/json"}],"content":{"size":8000,"mimeType":"application/json","text":"[` + body + `1]"}}}`
	b.SetBytes(int64(len(entry)))
	lines := &lineSource{line: func(n int) string {
		switch n {
		case 0:
			return `{"log":{"entries":[` + entry
		case b.N:
			return "]}}"
		}
		return "," + entry
	}, left: b.N + 1}
	counts, err := Import(lines, ImportOptions{Format: "har", Redactor: redactor(b, RedactionRules{})}, forgetful{})
	require.NoError(b, err)
	require.EqualValues(b, b.N, counts.Kept)
	took := b.Elapsed()
	b.StopTimer()
	start := time.Now()
	for range b.N {
		var value any
		if err := json.Unmarshal([]byte(entry), &value); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(took)/float64(time.Since(start)), "x-decode")
}
