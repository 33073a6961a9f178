package shadow

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"slices"
	"time"
)

// A string in a block is a number: that of an earlier string of the block, or one
// of these.
const (
	textNew     = 0 // the string follows and has the next number
	textPlain   = 1 // the string follows and is not numbered
	textNumbers = 2 // the number of the first string
	textShort   = 256
)

// Bits that say what a body has.
const (
	bodyCut = 1 << iota
	bodyDigest
	bodyEncoding
	bodyDamage
	bodyBits = 1<<iota - 1
)

// encoder writes the exchanges of one block.
type encoder struct {
	raw   []byte
	known map[string]uint64
	last  int64    // time of the exchange before, in Unix nanoseconds
	names []string // of headers, for sorting
}

func (e *encoder) reset(first int64) {
	e.raw, e.last = e.raw[:0], first
	if e.known == nil {
		e.known = map[string]uint64{}
	}
	clear(e.known)
}

func (e *encoder) number(n uint64) { e.raw = binary.AppendUvarint(e.raw, n) }

func (e *encoder) text(s string) {
	if n, ok := e.known[s]; ok {
		e.number(n)
		return
	}
	if len(s) <= textShort {
		e.known[s] = uint64(len(e.known)) + textNumbers
		e.number(textNew)
	} else {
		e.number(textPlain)
	}
	e.number(uint64(len(s)))
	e.raw = append(e.raw, s...)
}

func (e *encoder) exchange(x *Exchange) {
	at := x.At.UnixNano()
	e.number(uint64(at - e.last))
	e.last = at
	e.number(uint64(max(x.Took, 0)))
	e.text(x.Session)
	e.text(x.Tenant)
	e.text(x.Route)
	e.text(x.Request.Method)
	e.text(x.Request.Host)
	e.text(x.Request.Target)
	e.header(x.Request.Header)
	e.body(&x.Request.Body)
	e.number(uint64(max(x.Response.Status, 0)))
	e.text(x.Response.Failure)
	e.header(x.Response.Header)
	e.body(&x.Response.Body)
}

// header writes headers by name, so that the same exchange gives the same bytes.
func (e *encoder) header(h http.Header) {
	e.names = e.names[:0]
	for name := range h {
		e.names = append(e.names, name)
	}
	slices.Sort(e.names)
	e.number(uint64(len(e.names)))
	for _, name := range e.names {
		e.text(name)
		e.number(uint64(len(h[name])))
		for _, value := range h[name] {
			e.text(value)
		}
	}
}

func (e *encoder) body(b *Body) {
	e.raw = append(e.raw, bitsOf(b))
	e.raw = binary.AppendVarint(e.raw, b.Size)
	e.number(uint64(len(b.Data)))
	e.raw = append(e.raw, b.Data...)
	for _, text := range []string{b.Digest, b.Encoding, b.Damage} {
		if text != "" {
			e.text(text)
		}
	}
}

func bitsOf(b *Body) (bits byte) {
	if b.Cut {
		bits |= bodyCut
	}
	if b.Digest != "" {
		bits |= bodyDigest
	}
	if b.Encoding != "" {
		bits |= bodyEncoding
	}
	if b.Damage != "" {
		bits |= bodyDamage
	}
	return bits
}

// fit gives an exchange the size that a recording allows, or says why it can not.
func (w *Writer) fit(x *Exchange) error {
	x.At = time.Unix(0, x.At.UnixNano()).UTC()
	x.Route, x.Tenant = shortened(x.Route, maxRoute), shortened(x.Tenant, maxTenant)
	for _, t := range []struct{ what, text string }{
		{"target", x.Request.Target},
		{"host", x.Request.Host},
		{"method", x.Request.Method},
		{"session", x.Session},
		{"failure", x.Response.Failure},
	} {
		if len(t.text) > maxTarget {
			return &TooLongError{What: t.what, Size: len(t.text), Limit: maxTarget}
		}
	}
	for _, h := range []http.Header{x.Request.Header, x.Response.Header} {
		if size := headersSize(h); size > maxHeaders {
			return &TooLongError{What: "header", Size: size, Limit: maxHeaders}
		}
	}
	w.fitBody(&x.Request.Body)
	w.fitBody(&x.Response.Body)
	return nil
}

func (w *Writer) fitBody(b *Body) {
	b.Encoding, b.Damage, b.Digest = shortened(b.Encoding, maxRoute), shortened(b.Damage, maxRoute), shortened(b.Digest, maxRoute)
	if int64(len(b.Data)) <= w.maxBody {
		return
	}
	if !b.Cut {
		b.Size, b.Digest, b.Cut = int64(len(b.Data)), digestOf(b.Data), true
	}
	b.Data = slices.Clone(b.Data[:w.maxBody]) // the rest need not wait in memory
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func shortened(s string, most int) string {
	if len(s) > most {
		return s[:most]
	}
	return s
}

func headersSize(h http.Header) int {
	size := 0
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(value) + 8 // and what numbers take at most
		}
		size += 8
	}
	return size
}

// weight is about what an exchange takes in a block, in bytes.
func weight(x *Exchange) int {
	return 64 + len(x.Request.Target) + headersSize(x.Request.Header) + headersSize(x.Response.Header) +
		len(x.Request.Body.Data) + len(x.Response.Body.Data)
}
