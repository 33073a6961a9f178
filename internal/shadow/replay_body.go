package shadow

import (
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Bounds of an answer.
const (
	replayKept = 1 << 20   // bytes of a body that are kept
	replayMost = 512 << 20 // bytes of a body that are read, decoded
)

// replayEncodings are those that an answer may come in.
var replayEncodings = []string{"gzip", "deflate", "identity"}

// acceptable leaves of a recorded Accept-Encoding what can be decoded.
func acceptable(header string) string {
	var some []string
	for part := range strings.SplitSeq(header, ",") {
		name, _, _ := strings.Cut(part, ";")
		if slices.Contains(replayEncodings, strings.ToLower(strings.TrimSpace(name))) {
			some = append(some, strings.TrimSpace(part))
		}
	}
	return strings.Join(some, ", ")
}

// readReplayed reads the body of an answer, decoded. The error is one of the
// connection; what is wrong with the body itself is its damage.
func readReplayed(resp *http.Response) (Body, error) {
	b := Body{Encoding: strings.ToLower(resp.Header.Get("Content-Encoding"))}
	raw := &rawBody{r: resp.Body}
	r, free, err := decoded(b.Encoding, raw)
	if err == nil {
		defer free()
		err = b.fill(r, resp.ContentLength)
	}
	if err != nil && raw.err == nil {
		b.Damage = err.Error()
		_, _ = io.CopyN(io.Discard, raw, replayKept) // so that the connection can be used again
		return b, nil
	}
	return b, raw.err
}

// rawBody remembers an error of the connection.
type rawBody struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (r *rawBody) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

var gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}

// decoded undoes the encoding of a content. One that is not known is left.
func decoded(encoding string, r io.Reader) (out io.Reader, free func(), err error) {
	none := func() {}
	switch encoding {
	case "gzip", "x-gzip":
		z := gzipReaders.Get().(*gzip.Reader)
		if err := z.Reset(r); err != nil {
			if errors.Is(err, io.EOF) { // no body at all
				return strings.NewReader(""), none, nil
			}
			return nil, none, fmt.Errorf("it says gzip, but is not: %w", err)
		}
		return z, func() { gzipReaders.Put(z) }, nil
	case "deflate":
		return deflated(r), none, nil
	}
	return r, none, nil
}

// deflated reads zlib, which deflate means (RFC 9110, section 8.4.1.2), or the bare
// stream that some send.
func deflated(r io.Reader) io.Reader {
	head := make([]byte, 2)
	n, _ := io.ReadFull(r, head)
	whole := io.MultiReader(strings.NewReader(string(head[:n])), r)
	if n == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		if z, err := zlib.NewReader(whole); err == nil {
			return z
		}
	}
	return flate.NewReader(whole)
}

// fill reads a body: its beginning is kept, and a digest of all of it if it is
// longer.
func (b *Body) fill(r io.Reader, length int64) error {
	if length < 0 || length > replayKept {
		length = 4096
	}
	data := make([]byte, 0, length+1)
	for len(data) < replayKept {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := r.Read(data[len(data):min(cap(data), replayKept)])
		data = data[:len(data)+n]
		b.Data, b.Size = data, int64(len(data))
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			b.Cut, b.Size = true, -1
			return err
		}
	}
	return b.digest(r)
}

// digest reads what is not kept.
func (b *Body) digest(r io.Reader) error {
	sum := sha256.New()
	sum.Write(b.Data)
	n, err := io.Copy(sum, io.LimitReader(r, replayMost-replayKept+1))
	switch {
	case err != nil:
		b.Cut, b.Size = true, -1
		return err
	case n == 0:
		return nil
	case b.Size+n > replayMost:
		b.Cut, b.Size = true, -1
		return fmt.Errorf("it is longer than %d MiB, and was read no further", replayMost>>20)
	}
	b.Cut, b.Size, b.Digest = true, b.Size+n, hex.EncodeToString(sum.Sum(nil))
	return nil
}
