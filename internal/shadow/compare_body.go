package shadow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"
)

// body compares the bodies, as well as they are known.
func (r *comparison) body(a, b Response) {
	x, y := a.Body, b.Body
	switch {
	case x.Damage != "" && y.Damage != "":
		r.differ(Undecidable, []byte(x.Damage), []byte(y.Damage))
	case x.Damage != "" || y.Damage != "":
		r.differ(Damaged, damage(x), damage(y))
	case x.Cut || y.Cut:
		r.whole = true
		r.beginnings(x, y)
	case bytes.Equal(x.Data, y.Data):
	case len(x.Data) == 0:
		r.differ(Added, nil, y.Data)
	case len(y.Data) == 0:
		r.differ(Missing, x.Data, nil)
	default:
		r.contents(a, b)
	}
}

// nothing reports whether no byte of a body is known, nor its digest.
func (b Body) nothing() bool {
	return b.Cut && len(b.Data) == 0 && b.Damage == "" && b.Digest == ""
}

// unknown reports whether nobody knows anything of a body, not even its size: a browser
// does not look at the page of a redirection.
func (b Body) unknown() bool { return b.nothing() && b.Size < 0 }

// damage tells what is wrong with a body, or that nothing is.
func damage(b Body) []byte {
	if b.Damage == "" {
		return []byte("whole")
	}
	return []byte(b.Damage)
}

// beginnings compares bodies of which at least one is known in part. Nothing makes
// them equal but their digests, or that nobody knows more of either than the same
// beginning and the same size; then it is said that this is all that is known.
func (r *comparison) beginnings(a, b Body) {
	size, size2 := a.size(), b.size()
	both := min(len(a.Data), len(b.Data))
	switch {
	case !bytes.Equal(a.Data[:both], b.Data[:both]):
		r.differ(Changed, firstBytes(a.Data, b.Data), firstBytes(b.Data, a.Data))
	case a.Digest != "" && a.Digest == b.Digest:
	case size >= 0 && size2 >= 0 && size != size2:
		r.differ(Changed, fmt.Appendf(nil, "%d bytes", size), fmt.Appendf(nil, "%d bytes", size2))
	case a.digest() == "" || b.digest() == "":
		r.differ(Undecidable, fmt.Appendf(nil, "the first %d bytes are known", len(a.Data)), fmt.Appendf(nil, "the first %d bytes are known", len(b.Data)))
	case !strings.EqualFold(a.digest(), b.digest()):
		r.differ(Changed, digested(a), digested(b))
	}
}

// size is that of all of it, -1 where nobody knows.
func (b Body) size() int64 {
	if b.Cut {
		return b.Size
	}
	return int64(len(b.Data))
}

// digest is the SHA-256 of all of it, "" where nobody knows.
func (b Body) digest() string {
	switch {
	case b.Cut && strings.HasPrefix(b.Digest, keyedDigest):
		return "" // of the keeper of the key
	case b.Cut:
		return b.Digest
	}
	sum := sha256.Sum256(b.Data)
	return hex.EncodeToString(sum[:])
}

// digested tells the size and the digest of a body.
func digested(b Body) []byte {
	return fmt.Appendf(nil, "%d bytes, SHA-256 %.16s", b.size(), b.digest())
}

// comparesJSON tells whether an answer says that it is JSON.
func comparesJSON(r Response) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind == "application/json" || kind == "text/json" || kind == "application/x-ndjson" || strings.HasSuffix(kind, "+json")
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// contents compares bodies that are not the same byte for byte. What is JSON is
// known by what it says it is, or by what it looks like.
func (r *comparison) contents(a, b Response) {
	x, marked := bytes.CutPrefix(a.Body.Data, byteOrderMark)
	y, marked2 := bytes.CutPrefix(b.Body.Data, byteOrderMark)
	if marked != marked2 {
		r.differ(Encoding, a.Body.Data, b.Body.Data)
	}
	if bytes.Equal(x, y) {
		return
	}
	if looksJSON(x) || looksJSON(y) || comparesJSON(a) || comparesJSON(b) {
		var err, err2 error
		r.a, err = a.Body.parsed(x)
		defer a.Body.unparsed(r.a)
		r.b, err2 = b.Body.parsed(y)
		defer b.Body.unparsed(r.b)
		switch {
		case err == nil && err2 == nil:
			r.value(0, 0)
			return
		case err == nil && errors.Is(err2, errNoJSON), err2 == nil && errors.Is(err, errNoJSON):
			r.differ(Type, x, y)
			return
		}
	}
	r.plain(a, b, x, y)
}

// looksJSON tells what begins like an object or a list.
func looksJSON(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && (text[0] == '{' || text[0] == '[')
}

// plain compares texts, or whatever else it is, that are not the same.
func (r *comparison) plain(a, b Response, x, y []byte) {
	x, y = r.comparer.withoutHosts(x), r.comparer.withoutHosts(y)
	switch {
	case bytes.Equal(x, y):
	case sameButCharset(x, y):
		r.differ(Encoding, firstBytes(x, y), firstBytes(y, x))
	case isText(a, x) && isText(b, y):
		if bytes.Equal(unixLines(x), unixLines(y)) {
			r.differ(Format, fmt.Appendf(nil, "%d bytes", len(x)), fmt.Appendf(nil, "%d bytes", len(y)))
			return
		}
		r.text(a, b, x, y)
	default:
		r.whole = true
		p, q := Body{Data: x}, Body{Data: y}
		r.differ(Changed, append(append(digested(p), "; "...), firstBytes(x, y)...), append(append(digested(q), "; "...), firstBytes(y, x)...))
	}
}

// isText tells texts from what is binary: they are UTF-8, or say that they are texts of
// another charset.
func isText(r Response, data []byte) bool {
	if bytes.IndexByte(data, 0) >= 0 {
		return false
	}
	return utf8.Valid(data) || strings.HasPrefix(mediaOf(r), "text/")
}

// unixLines ends all lines alike, and the text without an empty one.
func unixLines(text []byte) []byte {
	return bytes.TrimRight(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), "\n")
}

// common is the length of what two texts begin with alike.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// firstBytes tells the first bytes of a that b has not.
func firstBytes(a, b []byte) []byte {
	begin := common(a, b)
	end := min(len(a), begin+16)
	return fmt.Appendf(nil, "at %d: %x", begin, a[begin:end])
}
