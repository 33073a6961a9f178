package shadow

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// packed encodes data.
func packed(t testing.TB, encoding string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zlib":
		w = zlib.NewWriter(&out)
	case "flate":
		w, err = flate.NewWriter(&out, 6)
	case "br":
		w = brotli.NewWriterLevel(&out, 2)
	case "zstd":
		w, err = zstd.NewWriter(&out)
	}
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestReadBody(t *testing.T) {
	text := strings.Repeat("hello ", 1000)
	pack := func(encodings ...string) []byte {
		data := []byte(text)
		for _, e := range encodings {
			data = packed(t, e, data)
		}
		return data
	}
	for encoding, data := range map[string][]byte{
		"": []byte(text), "gzip": pack("gzip"), "deflate": pack("zlib"), "Deflate": pack("flate"), "br": pack("br"), "zstd": pack("zstd"), "x-gzip": pack("gzip"),
		"gzip, br": pack("gzip", "br"), "gzip,identity , gzip, zstd": pack("gzip", "gzip", "zstd"),
	} {
		h := http.Header{}
		h.Set("Content-Encoding", encoding)
		whole := BodyOf(data, h, 1<<20)
		require.Equal(t, Body{Data: []byte(text), Size: 6000, Encoding: contentEncoding(encoding)}, whole, encoding)
		require.Equal(t, Body{Data: []byte(text[:7]), Size: 6000, Cut: true, Digest: digestOf([]byte(text)), Encoding: contentEncoding(encoding)}, BodyOf(data, h, 7))
		if encoding != "" {
			cut := BodyOf(data[:len(data)-3], h, 1<<20)
			require.True(t, cut.Cut)
			require.NotEmpty(t, cut.Damage, encoding)
			require.EqualValues(t, -1, cut.Size)
		}
		require.Equal(t, Body{Encoding: contentEncoding(encoding)}, BodyOf(nil, h, 10), "no body is fine, as after HEAD")
	}
	for encoding, packer := range map[string]string{"gzip": "gzip", "deflate": "zlib", "zstd": "zstd", "br": "br"} {
		b := BodyOf(pack(packer)[:1], http.Header{"Content-Encoding": {encoding}}, 10)
		require.Equal(t, []any{int64(-1), true, "it ends too early"}, []any{b.Size, b.Cut, b.Damage}, encoding)
	}
	for encoding, want := range map[string]string{
		"gzip, gzip, gzip, gzip": "it is encoded more than 3 times over", "lzma": `its encoding "lzma" is not known`, "gzip": "gzip: invalid header",
	} {
		b := BodyOf([]byte("raw bytes with a password"), http.Header{"Content-Encoding": {encoding}}, 100)
		require.Equal(t, Body{Size: -1, Cut: true, Encoding: encoding, Damage: want}, b)
	}
}

// TestHeavyBodyBombs: kilobytes that decode to gigabytes are not decoded to their end.
func TestHeavyBodyBombs(t *testing.T) {
	withoutRaceDetector(t)
	zeros := make([]byte, 40<<20)
	for _, encodings := range [][]string{{"gzip"}, {"br"}, {"zstd"}, {"gzip", "gzip"}, {"zstd", "zstd", "zstd"}} {
		data := zeros
		for _, e := range encodings {
			data = packed(t, e, data)
		}
		before := heapNow()
		b := BodyOf(data, http.Header{"Content-Encoding": {strings.Join(encodings, ", ")}}, 1000)
		require.Equal(t, errBomb.Error(), b.Damage)
		require.Len(t, b.Data, 1000)
		require.Less(t, heapNow()-before, int64(24<<20))
	}
}

// TestBounds: what is decoded may be long, or in proportion to what it was.
func TestBounds(t *testing.T) {
	for name, c := range map[string]struct {
		in, out int64
		want    int64 // bytes that are read
	}{
		"little is free":      {1, 100, 100},
		"more is not":         {1, 101, -1},
		"in proportion":       {60, 120, 120},
		"out of it":           {60, 121, -1},
		"as long as it may":   {1000, 500, 500},
		"longer than it may":  {1000, 501, -1},
		"nothing is anything": {0, 0, 0},
	} {
		r := &boundedReader{r: io.LimitReader(repeated("x"), c.out), from: &meteredReader{n: c.in}, free: 100, ratio: 2, most: 500}
		n, err := io.Copy(io.Discard, r)
		if c.want < 0 {
			require.ErrorIs(t, err, errBomb, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want, n, name)
	}
}

// TestLongBody: all of it is read, little of it is kept.
func TestLongBody(t *testing.T) {
	const long = 64 << 20
	before := heapNow()
	b := ReadBody(io.LimitReader(repeated("0123456789"), long), nil, 1000)
	require.Less(t, heapNow()-before, int64(8<<20))
	require.EqualValues(t, long, b.Size)
	require.Len(t, b.Digest, 64)
	require.Len(t, b.Data, 1000)
}
