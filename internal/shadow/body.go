package shadow

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// What is decoded is limited, because a kilobyte can decode to gigabytes.
const (
	maxEncodings = 3         // that are one inside the other
	maxDecoded   = 1 << 30   // of a body, in bytes
	bombFree     = 32 << 20  // what may be decoded whatever it came from, in bytes
	bombRatio    = 200       // what each byte may decode to beyond that
	maxWindow    = 128 << 20 // of zstd, in bytes
)

// Reasons why a body is damaged, beside those of the formats.
var (
	errBomb   = errors.New("it decodes to far more than it is")
	errNested = fmt.Errorf("it is encoded more than %d times over", maxEncodings)
)

// ReadBody reads a body with its Content-Encoding undone, of which no more than
// keep bytes are kept; the rest is read for its size and digest. It needs memory
// for what is kept alone. What is wrong with it is its Damage: then Data is what
// could be read before that, and the size is not known.
func ReadBody(r io.Reader, h http.Header, keep int64) Body {
	encoding := strings.Join(h.Values("Content-Encoding"), ", ")
	b := Body{Encoding: contentEncoding(encoding)}
	source := &meteredReader{r: r}
	decoded, err := undone(source, b.Encoding)
	if err != nil {
		b.Size, b.Cut, b.Damage = -1, true, err.Error()
		return b
	}
	if decoded != io.Reader(source) {
		decoded = &boundedReader{r: decoded, from: source, free: bombFree, ratio: bombRatio, most: maxDecoded}
	}
	b.fill(decoded, keep)
	return b
}

// BodyOf is ReadBody for a body in memory.
func BodyOf(data []byte, h http.Header, keep int64) Body {
	return ReadBody(bytes.NewReader(data), h, keep)
}

// contentEncoding writes encodings in one way: "gzip, br"; "" for none.
func contentEncoding(value string) string {
	var names []string
	for name := range strings.SplitSeq(strings.ToLower(value), ",") {
		name = strings.TrimPrefix(strings.TrimSpace(name), "x-")
		if name != "" && name != "identity" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// fill reads a body to its end.
func (b *Body) fill(r io.Reader, keep int64) {
	var kept bytes.Buffer
	var sum hash.Hash
	n, err := io.Copy(&kept, io.LimitReader(r, keep))
	var more int64
	if err == nil && n == keep {
		sum = sha256.New()
		sum.Write(kept.Bytes())
		more, err = io.Copy(sum, r)
	}
	if kept.Len() > 0 {
		b.Data = kept.Bytes()
	}
	b.Size, b.Cut = n+more, more > 0
	switch {
	case err != nil:
		b.Size, b.Cut, b.Damage = -1, true, damageText(err)
	case b.Cut:
		b.Digest = hex.EncodeToString(sum.Sum(nil))
	}
}

func damageText(err error) string {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	return shortened(err.Error(), 200)
}

// undone gives a reader without the encodings.
func undone(r io.Reader, encodings string) (io.Reader, error) {
	if encodings == "" {
		return r, nil
	}
	names := strings.Split(encodings, ", ")
	if len(names) > maxEncodings {
		return nil, errNested
	}
	for i := len(names) - 1; i >= 0; i-- { // the last one was applied last
		decode, known := encodingsKnown[names[i]]
		if !known {
			return nil, fmt.Errorf("its encoding %q is not known", shortened(names[i], 40))
		}
		r = &lateReader{from: r, open: decode}
	}
	return r, nil
}

// encodingsKnown are those of a Content-Encoding that can be undone.
var encodingsKnown = map[string]func(io.Reader) (io.Reader, error){
	"gzip":    func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"deflate": undeflate,
	"br":      func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
	"zstd": func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	},
}

// undeflate takes what the standard calls deflate, which has a zlib header, and
// what some servers send without one.
func undeflate(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	start, err := b.Peek(2)
	if err == nil && start[0]&0x0f == 8 && (uint(start[0])<<8|uint(start[1]))%31 == 0 {
		return zlib.NewReader(b)
	}
	return flate.NewReader(b), nil
}

// lateReader opens a decoder when it is read: an empty body is encoded by nothing.
type lateReader struct {
	from io.Reader
	open func(io.Reader) (io.Reader, error)
	r    io.Reader
	err  error
}

func (l *lateReader) Read(p []byte) (int, error) {
	if l.r == nil && l.err == nil {
		b := bufio.NewReader(l.from)
		if _, l.err = b.Peek(1); l.err == nil {
			l.r, l.err = l.open(b)
			if errors.Is(l.err, io.EOF) {
				l.err = io.ErrUnexpectedEOF
			}
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.r.Read(p)
}

// meteredReader counts what is read.
type meteredReader struct {
	r io.Reader
	n int64
}

func (m *meteredReader) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	return n, err
}

// boundedReader ends with an error when what is decoded is out of proportion.
type boundedReader struct {
	r    io.Reader
	from *meteredReader
	n    int64

	free, ratio, most int64 // in bytes; most is 0 for no limit
}

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	b.n += int64(n)
	if b.most > 0 && b.n > b.most || b.n > b.free && b.n > b.ratio*b.from.n {
		return 0, errBomb
	}
	return n, err
}
