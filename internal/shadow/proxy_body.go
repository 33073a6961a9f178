package shadow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// Bounds of decoding what others encoded.
const (
	captureMostCodings = 3        // encodings of one body, one within the other
	captureLongest     = 64 << 20 // bytes that are looked at; of a body that is longer, nobody knows the size
	captureWindow      = 8 << 20  // bytes that zstd may look back: RFC 9659 wants no more of the web
)

// captureCodings are the encodings of content that can be undone.
var captureCodings = map[string]func(io.Reader) (io.Reader, error){
	"gzip":    func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"x-gzip":  func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
	"deflate": func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
	"br":      func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
	"zstd": func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(captureWindow))
	},
}

// body is what passed by, decoded. Its data is that of the tee where nothing had to
// be decoded, and so must not outlive it.
func (t *captureTee) body(header http.Header) Body {
	encoding := strings.ToLower(strings.Join(header["Content-Encoding"], ", "))
	if encoding == "" || encoding == "identity" || t.size == 0 {
		return Body{Data: t.data, Size: t.size, Cut: t.cut(), Digest: t.sum()}
	}
	b := Body{Encoding: encoding, Size: -1, Cut: true}
	decoded, closers, err := captureDecoding(encoding, bytes.NewReader(t.data))
	defer captureCloseAll(closers)
	if err != nil {
		b.Damage = err.Error()
		return b
	}
	captureRead(&b, decoded, t.max)
	if t.cut() { // that it does not end is our doing
		b.Size, b.Cut, b.Digest, b.Damage = -1, true, "", ""
	}
	return b
}

// captureDecoding undoes a list of encodings, the last first.
func captureDecoding(encoding string, r io.Reader) (io.Reader, []io.Closer, error) {
	names := strings.Split(encoding, ",")
	if len(names) > captureMostCodings {
		return nil, nil, fmt.Errorf("%d encodings within each other; at most %d are undone", len(names), captureMostCodings)
	}
	var closers []io.Closer
	for i := len(names) - 1; i >= 0; i-- {
		name := strings.TrimSpace(names[i])
		open := captureCodings[name]
		if name == "" || name == "identity" {
			continue
		}
		if open == nil {
			return nil, closers, fmt.Errorf("encoding %.40q is not known", name)
		}
		next, err := open(r)
		if err != nil {
			return nil, closers, fmt.Errorf("%s: %w", name, err)
		}
		r = next
		switch c := next.(type) {
		case *zstd.Decoder:
			closers = append(closers, c.IOReadCloser())
		case io.Closer:
			closers = append(closers, c)
		}
	}
	return r, closers, nil
}

func captureCloseAll(closers []io.Closer) {
	for _, c := range closers {
		_ = c.Close() // it was read to where it mattered
	}
}

// captureRead keeps up to most bytes, and counts and digests the rest.
func captureRead(b *Body, r io.Reader, most int64) {
	data, err := io.ReadAll(io.LimitReader(r, most))
	b.Data = data
	digest := sha256.New()
	digest.Write(data)
	rest := int64(0)
	if err == nil {
		rest, err = io.Copy(digest, io.LimitReader(r, captureLongest-most))
	}
	switch more := rest > 0; {
	case errors.Is(err, io.ErrUnexpectedEOF):
		b.Damage = b.Encoding + ": it does not end"
	case err != nil:
		b.Damage = b.Encoding + ": " + err.Error()
	case most+rest >= captureLongest:
		b.Damage = fmt.Sprintf("%s: longer than %d MiB when decoded", b.Encoding, captureLongest>>20)
	default:
		b.Size, b.Cut = int64(len(data))+rest, more
		if more {
			b.Digest = hex.EncodeToString(digest.Sum(nil))
		}
	}
}
