package shadow

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var recordingStart = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sampleExchange gives the exchange of a number: routes, tenants and bodies repeat
// as they do in real traffic, and the time is a millisecond after the one before.
func sampleExchange(n int) Exchange {
	body := fmt.Sprintf(`{"id":%d,"state":"open","items":[{"sku":"a-%d","price":%d.50}]}`, n, n%17, n%100)
	return Exchange{
		At: recordingStart.Add(time.Duration(n) * time.Millisecond), Took: time.Duration(n%50) * time.Millisecond,
		Session: fmt.Sprintf("pn-%032x", n%40), Tenant: fmt.Sprintf("tenant-%d", n%5), Route: fmt.Sprintf("GET /orders/%c/{id}", 'a'+n%3),
		Request: Request{
			Method: "GET", Host: "shop.example", Target: fmt.Sprintf("/orders/%c/%d", 'a'+n%3, n),
			Header: http.Header{"Accept": {"application/json"}, "User-Agent": {"sample/1"}},
		},
		Response: Response{
			Status: 200 + n%2*204, Header: http.Header{"Content-Type": {"application/json"}, "Vary": {"Accept", "Cookie"}},
			Body: Body{Data: []byte(body), Size: int64(len(body))},
		},
	}
}

// record writes a recording, and closes it unless told otherwise.
func record(t testing.TB, all ...Exchange) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.shadow")
	w, err := Create(path, Options{})
	require.NoError(t, err)
	for _, x := range all {
		require.NoError(t, w.Write(x))
	}
	require.NoError(t, w.Close())
	return path
}

func samples(n int) []Exchange {
	all := make([]Exchange, n)
	for i := range all {
		all[i] = sampleExchange(i)
	}
	return all
}

func openRecording(t testing.TB, path string) *Reader {
	t.Helper()
	r, err := Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// readAll reads to the end, and gives what is damaged aside.
func readAll(t testing.TB, r *Reader) (all []Exchange, damaged []*DamageError) {
	t.Helper()
	for {
		x, err := r.Next()
		var damage *DamageError
		switch {
		case errors.Is(err, io.EOF):
			return all, damaged
		case errors.As(err, &damage):
			damaged = append(damaged, damage)
		default:
			require.NoError(t, err)
			all = append(all, x)
		}
	}
}

func TestRecordingKeepsAll(t *testing.T) {
	wanted := samples(10_000)
	shuffled := samples(10_000)
	random, late := rand.New(rand.NewPCG(1, 2)), map[time.Time]int{}
	for i, x := range shuffled { // up to 1,000 late
		late[x.At] = i + random.IntN(1000)
	}
	slices.SortStableFunc(shuffled, func(a, b Exchange) int { return late[a.At] - late[b.At] })
	require.NotEqual(t, wanted, shuffled)
	r := openRecording(t, record(t, shuffled...))
	require.True(t, r.Complete())
	got, damaged := readAll(t, r)
	require.Empty(t, damaged)
	require.Equal(t, len(wanted), len(got))
	for i := range wanted {
		if !reflect.DeepEqual(wanted[i], withoutEmpty(got[i])) {
			require.Equal(t, wanted[i], withoutEmpty(got[i]), "%d", i)
		}
	}
}

// withoutEmpty takes away what reading adds: an empty header may be written to.
func withoutEmpty(x Exchange) Exchange {
	for _, h := range []*http.Header{&x.Request.Header, &x.Response.Header} {
		if len(*h) == 0 {
			*h = nil
		}
	}
	return x
}

func TestRecordingRoundTrip(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringN(0, 300, 600)
		headers := rapid.Custom(func(t *rapid.T) http.Header {
			var h http.Header
			for name, values := range rapid.MapOfN(text, rapid.SliceOfN(text, 1, 3), 0, 5).Draw(t, "header") {
				if h == nil {
					h = http.Header{}
				}
				h[http.CanonicalHeaderKey(name)] = values // as names are read
			}
			return h
		})
		bodies := rapid.Custom(func(t *rapid.T) Body {
			b := Body{Size: rapid.Int64().Draw(t, "size"), Cut: rapid.Bool().Draw(t, "cut"), Digest: text.Draw(t, "digest"), Damage: text.Draw(t, "damage")}
			if data := rapid.SliceOfN(rapid.Byte(), 0, 5000).Draw(t, "data"); len(data) > 0 {
				b.Data = data
			}
			b.Digest, b.Damage = shortened(b.Digest, maxRoute), shortened(b.Damage, maxRoute)
			return b
		})
		exchanges := rapid.Custom(func(t *rapid.T) Exchange {
			return Exchange{
				At: time.Unix(0, rapid.Int64Range(-1<<60, 1<<60).Draw(t, "at")).UTC(), Took: time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "took")),
				Session: text.Draw(t, "session"), Tenant: shortened(text.Draw(t, "tenant"), maxTenant), Route: shortened(text.Draw(t, "route"), maxRoute),
				Request:  Request{Method: text.Draw(t, "method"), Host: text.Draw(t, "host"), Target: text.Draw(t, "target"), Header: headers.Draw(t, "header"), Body: bodies.Draw(t, "body")},
				Response: Response{Status: rapid.IntRange(0, 999).Draw(t, "status"), Failure: text.Draw(t, "failure"), Header: headers.Draw(t, "header"), Body: bodies.Draw(t, "body")},
			}
		})
		wanted := rapid.SliceOfN(exchanges, 1, 20).Draw(t, "exchanges")
		for i := range wanted { // in order, so that they come back so
			wanted[i].At = time.Unix(0, int64(i)).UTC()
		}
		path := filepath.Join(folder, "t.shadow")
		_ = os.Remove(path)
		w, err := Create(path, Options{})
		require.NoError(t, err)
		for _, x := range wanted {
			require.NoError(t, w.Write(x))
		}
		require.NoError(t, w.Close())
		r, err := Open(path)
		require.NoError(t, err)
		defer func() { _ = r.Close() }()
		for _, x := range wanted {
			got, err := r.Next()
			require.NoError(t, err)
			require.Equal(t, x, withoutEmpty(got))
		}
		_, err = r.Next()
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestTextWithoutRepetitionIsPacked(t *testing.T) {
	random, binary := rand.New(rand.NewPCG(1, 2)), make([]byte, 60_000)
	for i := range binary {
		binary[i] = byte(random.Uint32())
	}
	x := sampleExchange(1)
	x.Response.Body = jsonBody(`{"digest":"` + hex.EncodeToString(binary) + `"}`)
	info, err := os.Stat(record(t, x))
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(65_000), "of twice as many digits")
}

func TestSelection(t *testing.T) {
	path := record(t, samples(20_000)...)
	at := func(n int) time.Time { return sampleExchange(n).At }
	for name, c := range map[string]struct {
		chosen Selection
		wanted func(n int) bool
	}{
		"all":              {Selection{}, func(int) bool { return true }},
		"a stretch":        {Selection{From: at(9000), To: at(9100)}, func(n int) bool { return n >= 9000 && n < 9100 }},
		"from":             {Selection{From: at(19_990)}, func(n int) bool { return n >= 19_990 }},
		"to":               {Selection{To: at(10)}, func(n int) bool { return n < 10 }},
		"after all":        {Selection{From: at(20_000)}, func(int) bool { return false }},
		"before all":       {Selection{To: at(0)}, func(int) bool { return false }},
		"tenants":          {Selection{Tenants: []string{"tenant-1", "tenant-4"}}, func(n int) bool { return n%5 == 1 || n%5 == 4 }},
		"a route":          {Selection{Routes: []string{"GET /orders/b/{id}"}}, func(n int) bool { return n%3 == 1 }},
		"no such route":    {Selection{Routes: []string{"GET /"}}, func(int) bool { return false }},
		"a route for some": {Selection{Routes: []string{"GET /orders/b/{id}"}, From: at(500), To: at(1000)}, func(n int) bool { return n%3 == 1 && n >= 500 && n < 1000 }},
	} {
		t.Run(name, func(t *testing.T) {
			r := openRecording(t, path)
			for range 2 { // it can be read again
				r.Select(c.chosen)
				got, damaged := readAll(t, r)
				require.Empty(t, damaged)
				for n := range 20_000 {
					if c.wanted(n) {
						require.NotEmpty(t, got)
						require.Equal(t, at(n), got[0].At)
						got = got[1:]
					}
				}
				require.Empty(t, got)
			}
		})
	}
}

// countedFile counts the bytes that are read of a file, and how often some are.
type countedFile struct {
	io.ReaderAt
	n     int64
	calls int
}

func (c *countedFile) ReadAt(p []byte, at int64) (int, error) {
	c.calls++
	c.n += int64(len(p))
	return c.ReaderAt.ReadAt(p, at)
}

// TestSelectionReadsLittle: blocks that hold nothing of what is chosen stay packed,
// and with times alone even unread.
func TestSelectionReadsLittle(t *testing.T) {
	all := samples(30_000)
	for i := range all {
		all[i].Route, all[i].Tenant = "GET /early", "early"
		if i > 25_000 {
			all[i].Route, all[i].Tenant = "GET /late", "late"
		}
	}
	data, err := os.ReadFile(record(t, all...))
	require.NoError(t, err)
	const perBlock = 3 // a frame, a head, and what is packed
	for name, c := range map[string]struct {
		chosen  Selection
		headsOf int // blocks that are looked at; 0 where that is all of them
	}{
		"the end":    {Selection{From: all[29_990].At}, 1},
		"the middle": {Selection{From: all[15_000].At, To: all[15_010].At}, 2}, // and the last one, where that ends
		"routes":     {Selection{Routes: []string{"GET /late"}}, 0},
		"tenants":    {Selection{Tenants: []string{"late"}}, 0},
	} {
		file := &countedFile{ReaderAt: bytes.NewReader(data)}
		r, err := newReader(name, file, int64(len(data)))
		require.NoError(t, err)
		require.Greater(t, len(r.index), 6)
		for range 2 { // it can be chosen from again
			file.n, file.calls = 0, 0
			r.Select(c.chosen)
			got, _ := readAll(t, r)
			require.NotEmpty(t, got)
			require.Less(t, file.n, int64(len(data))/3, name)
			if c.headsOf > 0 {
				require.LessOrEqual(t, file.calls, perBlock*c.headsOf+1, name)
			}
		}
		require.NoError(t, r.Close())
	}
}

// TestSelectsInTheMiddle: what was being read is not read on.
func TestSelectsInTheMiddle(t *testing.T) {
	r := openRecording(t, record(t, samples(100)...))
	for range 3 {
		_, err := r.Next()
		require.NoError(t, err)
	}
	r.Select(Selection{})
	got, _ := readAll(t, r)
	require.Len(t, got, 100)
	require.Equal(t, sampleExchange(0), got[0])
	require.Equal(t, uint64(1), headOf([]Exchange{{Response: Response{Status: -1}}}).routes[0].statuses[0], "no status")
}

// TestEndsThatAreNone: what is at the end of a file is believed when it is whole and
// says where the index is; else the file is read as one that still grows.
func TestEndsThatAreNone(t *testing.T) {
	data, err := os.ReadFile(record(t, samples(2_000)...))
	require.NoError(t, err)
	ending := func(at int64) []byte {
		end := bytes.Clone(data[len(data)-endSize:])
		binary.LittleEndian.PutUint64(end, uint64(at))
		binary.LittleEndian.PutUint32(end[16:], checksum(end[:16]))
		return append(bytes.Clone(data[:len(data)-endSize]), end...)
	}
	flipped := bytes.Clone(data)
	flipped[len(data)-endSize+16] ^= 1
	for name, file := range map[string][]byte{
		"the checksum":     flipped,
		"a block":          ending(int64(headerSize)),
		"the header":       ending(0),
		"before all":       ending(-1),
		"behind all":       ending(1 << 60),
		"the end":          ending(int64(len(data) - endSize)),
		"the last byte":    ending(int64(len(data) - 1)),
		"the middle of it": ending(int64(len(data) / 2)),
	} {
		r, err := newReader(name, bytes.NewReader(file), int64(len(file)))
		require.NoError(t, err)
		require.False(t, r.Complete(), name)
		require.Nil(t, r.index, name)
		got, damaged := readAll(t, r)
		require.Empty(t, damaged, name)
		require.Len(t, got, 2_000, name)
		require.NoError(t, r.Close())
	}
}

// TestFindsTheNextMark also where it stands across two pieces that are searched.
func TestFindsTheNextMark(t *testing.T) {
	data, err := os.ReadFile(record(t, samples(10)...))
	require.NoError(t, err)
	for _, garbage := range []int{1, 64<<10 - 7, 64<<10 - 3, 64 << 10, 64<<10 + 1} {
		file := slices.Concat(data[:headerSize], bytes.Repeat([]byte{'x'}, garbage), data[headerSize:])
		r, err := newReader("t", bytes.NewReader(file), int64(len(file)))
		require.NoError(t, err)
		got, damaged := readAll(t, r)
		require.Len(t, got, 10, "behind %d bytes", garbage)
		require.Len(t, damaged, 1)
		require.Equal(t, DamageError{Path: "t", Offset: int64(headerSize), Lost: int64(garbage), Why: "no block begins here"}, *damaged[0])
		require.NoError(t, r.Close())
	}
}

// TestRecordingOfSeveralSources: logs of several servers, one after the other, are
// read as if they had been one.
func TestRecordingOfSeveralSources(t *testing.T) {
	const servers, each = 5, 5_000
	var all []Exchange
	for server := range servers {
		for n := range each {
			x := sampleExchange(n*servers + server)
			all = append(all, x)
		}
	}
	path := record(t, all...)
	r := openRecording(t, path)
	require.True(t, overlap(r.index))
	for range 2 {
		r.Select(Selection{})
		got, damaged := readAll(t, r)
		require.Empty(t, damaged)
		require.Len(t, got, len(all))
		for n, x := range got {
			if !x.At.Equal(sampleExchange(n).At) {
				require.Equal(t, sampleExchange(n).At, x.At, "%d", n)
			}
		}
	}
	r.Select(Selection{From: sampleExchange(20_000).At, To: sampleExchange(20_100).At, Routes: []string{"GET /orders/b/{id}"}})
	got, _ := readAll(t, r)
	require.Len(t, got, 33)
	sum, err := r.Summarize()
	require.NoError(t, err)
	require.EqualValues(t, 33, sum.Exchanges)

	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[r.index[3].offset-5] ^= 1
	bad, err := newReader("bad", bytes.NewReader(data), int64(len(data)))
	require.NoError(t, err)
	got, damaged := readAll(t, bad)
	require.Len(t, damaged, 1)
	require.Equal(t, r.index[2].offset, damaged[0].Offset)
	require.Len(t, got, len(all)-int(r.index[2].count))
	require.True(t, slices.IsSortedFunc(got, func(a, b Exchange) int { return a.At.Compare(b.At) }))
}

func TestUnfinishedRecording(t *testing.T) {
	path := record(t, samples(20_000)...)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	whole := 0
	for cut := len(data) - 1; cut > headerSize; cut -= len(data) / 11 {
		r, err := newReader("cut", bytes.NewReader(data[:cut]), int64(cut))
		require.NoError(t, err)
		require.False(t, r.Complete())
		got, damaged := readAll(t, r)
		require.Empty(t, damaged, "cut at %d", cut)
		for i, x := range got {
			if !x.At.Equal(sampleExchange(i).At) {
				require.Equal(t, sampleExchange(i), x)
			}
		}
		whole = max(whole, len(got))
		require.NoError(t, r.Close())
	}
	require.Equal(t, 20_000, whole, "only the end was missing")
}

func TestGrowingRecording(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.shadow")
	w, err := Create(path, Options{})
	require.NoError(t, err)
	for i := range 10 {
		require.NoError(t, w.Write(sampleExchange(i)))
	}
	got, _ := readAll(t, openRecording(t, path))
	require.Empty(t, got, "they wait in memory")
	require.NoError(t, w.Flush())
	require.NoError(t, w.Write(sampleExchange(10)))
	require.EqualValues(t, 11, w.Count())
	got, _ = readAll(t, openRecording(t, path))
	require.Len(t, got, 10)
	require.NoError(t, w.Close())
	require.NoError(t, w.Close(), "closing twice is fine")
	require.ErrorIs(t, w.Write(sampleExchange(11)), os.ErrClosed)
	got, _ = readAll(t, openRecording(t, path))
	require.Len(t, got, 11)
}

func TestDamagedRecording(t *testing.T) {
	path := record(t, samples(20_000)...)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	r := openRecording(t, path)
	require.Greater(t, len(r.index), 3)
	second, third := r.index[1].offset, r.index[2].offset
	lost := int(r.index[1].count)
	for name, c := range map[string]struct {
		at  int64
		why string
	}{
		"mark":    {second, "no block begins here"},
		"lengths": {second + syncSize + 2, "the checksum of the frame of a block is wrong"},
		"head":    {second + int64(frameSize) + 2, "the checksum of the head of a block is wrong"},
		"data":    {third - 5, "the checksum of the exchanges of a block is wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Clone(data)
			bad[c.at] ^= 0x40
			r, err := newReader("bad.shadow", bytes.NewReader(bad), int64(len(bad)))
			require.NoError(t, err)
			got, damaged := readAll(t, r)
			require.Len(t, damaged, 1)
			require.Equal(t, DamageError{Path: "bad.shadow", Offset: second, Lost: third - second, Why: c.why}, *damaged[0])
			require.Contains(t, damaged[0].Error(), fmt.Sprintf("bad.shadow: damaged at byte %d: ", second))
			require.Len(t, got, 20_000-lost)
			require.NoError(t, r.Close())
		})
	}
}

func TestNoRecording(t *testing.T) {
	folder := t.TempDir()
	newer := []byte(recordingMagic + "\x02 the mark.")
	const make = "; make one with resilience shadow import or resilience shadow record"
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	write("empty", "")
	write("text", "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	write("log", `10.0.0.1 - - [02/Jan/2026:03:04:06 +0000] "GET / HTTP/1.1" 200 10`)
	write("newer", string(newer))
	write("begun", recordingMagic)
	require.NoError(t, syscall.Mkfifo(filepath.Join(folder, "pipe"), 0o600))
	for name, want := range map[string]string{
		"empty": "it is no recording: it is empty" + make,
		"text":  "it is no recording" + make,
		"log":   "it is no recording, but looks like access logs of Apache and nginx, common or combined: resilience shadow import " + filepath.Join(folder, "log") + " --out RECORDING makes one",
		"newer": "it is a recording of version 2; this program reads version 1: use a newer one",
		"begun": fmt.Sprintf("it is no recording: it has only the first %d bytes of one", len(recordingMagic)) + make,
		"pipe":  "it is no file that can be read in any order" + make,
		"none":  "it can not be opened: no such file or directory" + make,
		"":      "it is a folder; name a file in it",
	} {
		path := filepath.Join(folder, name)
		_, err := Open(path)
		var input *InputError
		require.ErrorAs(t, err, &input, name)
		require.Equal(t, path+": "+want, err.Error())
	}
	_, err := Open(filepath.Join(folder, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, CheckInput(filepath.Join(folder, "empty")))
	require.ErrorContains(t, CheckInput(folder), "it is a folder")
	_, err = Create(filepath.Join(folder, "text"), Options{})
	require.ErrorContains(t, err, "is there already")
	_, err = Create(filepath.Join(folder, "new"), Options{MaxBody: 17 << 20})
	require.ErrorContains(t, err, "at most 16777216 (16 MiB)")
}

func TestRecordingLimits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.shadow")
	w, err := Create(path, Options{MaxBody: 10})
	require.NoError(t, err)
	long := sampleExchange(0)
	long.Request.Target = "/" + strings.Repeat("x", maxTarget)
	var tooLong *TooLongError
	require.ErrorAs(t, w.Write(long), &tooLong)
	require.EqualError(t, tooLong, "the target has 65537 bytes; a recording keeps at most 65536")
	long = sampleExchange(0)
	long.Response.Header = http.Header{"X": {strings.Repeat("x", maxHeaders)}}
	require.ErrorAs(t, w.Write(long), &tooLong)
	require.NoError(t, w.Write(sampleExchange(0)), "the others are kept")
	require.NoError(t, w.Close())
	got, _ := readAll(t, openRecording(t, path))
	require.Len(t, got, 1)
	whole := sampleExchange(0).Response.Body
	require.Equal(t, Body{Data: whole.Data[:10], Size: whole.Size, Cut: true, Digest: digestOf(whole.Data)}, got[0].Response.Body)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// TestRecordingOfManyNames: blocks stay within their limits when every exchange has
// a route and a tenant of its own, and bodies of the longest kind.
func TestRecordingOfManyNames(t *testing.T) {
	all := samples(3000)
	for i := range all {
		all[i].Route = fmt.Sprint("GET /", i, strings.Repeat("r", maxRoute))
		all[i].Tenant = fmt.Sprint(i, strings.Repeat("t", maxTenant))
	}
	path := filepath.Join(t.TempDir(), "t.shadow")
	w, err := Create(path, Options{MaxBody: MaxBody})
	require.NoError(t, err)
	all[7].Request.Body.Data, all[7].Response.Body.Data = make([]byte, MaxBody), make([]byte, MaxBody)
	for _, x := range all {
		require.NoError(t, w.Write(x))
	}
	require.NoError(t, w.Close())
	got, damaged := readAll(t, openRecording(t, path))
	require.Empty(t, damaged)
	require.Len(t, got, len(all))
	require.Len(t, got[7].Response.Body.Data, MaxBody)
}

// TestHostileLengths: what a file says of its lengths is not believed.
func TestHostileLengths(t *testing.T) {
	sync := [syncSize]byte{1, 2, 3, 4, 5, 6, 7, 8}
	header := append([]byte(recordingMagic+"\x01"), sync[:]...)
	block := func(f frame, head, data []byte) []byte {
		f.head, f.packed, f.headSum, f.dataSum = len(head), len(data), checksum(head), checksum(data)
		return append(append(f.append(nil, sync), head...), data...)
	}
	forever := binary.AppendUvarint(binary.AppendVarint([]byte{1}, math.MaxInt64), 1)
	forever = append(forever, 0, 0)
	many := head{count: 1 << 60, tenants: []string{""}, routes: []routeHead{{}}}.append(nil)
	for name, c := range map[string]struct {
		file []byte
		why  string
	}{
		"raw length":        {frame{kind: kindBlock, raw: maxRaw + 1}.append(nil, sync), "a block is longer than any may be"},
		"packed length":     {frame{kind: kindBlock, packed: maxPacked + 1}.append(nil, sync), "a block is longer than any may be"},
		"an unknown kind":   {block(frame{kind: 9}, nil, nil), "there are no blocks of kind 9"},
		"a head of nothing": {block(frame{kind: kindBlock}, nil, nil), "the head of a block can not be read: it ends too early"},
		"tenants":           {block(frame{kind: kindBlock}, []byte{1, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, nil), "it ends too early"},
		"not packed":        {block(frame{kind: kindBlock, raw: 10}, many, []byte("0123456789")), "a block can not be unpacked"},
		"a bomb":            {block(frame{kind: kindBlock, raw: 10}, many, packed(t, "zstd", make([]byte, maxRaw+1))), "a block can not be unpacked"},
		"another length":    {block(frame{kind: kindBlock, raw: 10}, many, packed(t, "zstd", make([]byte, 9))), "a block has another length than it says"},
		"times":             {block(frame{kind: kindBlock}, forever, nil), "the head of a block can not be read"},
		"too few exchanges": {block(frame{kind: kindBlock}, many, nil), "it ends too early"},
	} {
		t.Run(name, func(t *testing.T) {
			file := append(bytes.Clone(header), c.file...)
			r, err := newReader("h", bytes.NewReader(file), int64(len(file)))
			require.NoError(t, err)
			got, damaged := readAll(t, r)
			require.Empty(t, got)
			require.NotEmpty(t, damaged)
			require.Contains(t, damaged[0].Why, c.why)
		})
	}
}

// TestLyingIndex: an index that says what is not so loses nothing silently.
func TestLyingIndex(t *testing.T) {
	for name, lie := range map[string]func(w *Writer){
		"no block there":  func(w *Writer) { w.index[1].offset += 5; w.index[1].first = 0 },
		"no block at all": func(w *Writer) { w.index[3].offset = w.offset - 3; w.index[3].first = 0 },
		"times":           func(w *Writer) { w.index[2].first = 0 },
	} {
		path := filepath.Join(t.TempDir(), "t.shadow")
		w, err := Create(path, Options{})
		require.NoError(t, err)
		for _, x := range samples(12_000) {
			require.NoError(t, w.Write(x))
		}
		require.NoError(t, w.Flush())
		require.Len(t, w.index, 4)
		lie(w)
		require.NoError(t, w.Close())
		r := openRecording(t, path)
		require.NotNil(t, r.ordered, name)
		got, damaged := readAll(t, r)
		require.True(t, len(got) == 12_000 || len(damaged) > 0, name)
		require.GreaterOrEqual(t, len(got), 7000, name)
	}
}

// TestExtent wants the index to tell how much a recording has, in whatever order it was
// written.
func TestExtent(t *testing.T) {
	at := func(n int) Exchange { return Exchange{At: recordingStart.Add(time.Duration(n) * time.Second)} }
	path := filepath.Join(t.TempDir(), "extent")
	w, err := Create(path, Options{})
	require.NoError(t, err)
	for _, n := range []int{50, 60, 10, 90, 20} {
		require.NoError(t, w.Write(at(n)))
		require.NoError(t, w.Flush())
	}
	n, _, _, known := openRecording(t, path).Extent()
	require.Equal(t, []any{uint64(0), false}, []any{n, known}, "it is still written")
	require.NoError(t, w.Close())
	n, first, last, known := openRecording(t, path).Extent()
	require.Equal(t, []any{uint64(5), at(10).At, at(90).At, true}, []any{n, first, last, known})
}
