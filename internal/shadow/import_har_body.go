package shadow

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/htmlindex"
)

// received reads the body of an answer, which archives have decoded, and as UTF-8
// whatever it was. Where there is no text, but something that says that there was a
// body, it is Cut; so it is where less came than was announced, unless it is whole JSON
// that somebody wrote otherwise.
func (c *harContent) received(h http.Header, travelled json.Number) (b Body, reason string) {
	b, cut, reason := c.body(h, travelled)
	n := contentLength(h)
	switch {
	case reason != "" || cut || b.Data == nil:
		return b, reason
	case c.Encoding != "base64":
		b.Data = inCharset(b.Data, h)
	}
	b.Size = int64(len(b.Data))
	if b.Encoding == "" && n > b.Size && n != b.Size+lengthOfBOM && !json.Valid(b.Data) {
		b.Size, b.Cut = n, true
	}
	return b, ""
}

// lengthOfBOM is that of the mark before texts in UTF-8, which browsers take away.
const lengthOfBOM = 3

// inCharset gives a text in the charset that the headers say, if it can be written in
// that.
func inCharset(text []byte, h http.Header) []byte {
	_, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || params["charset"] == "" {
		return text
	}
	charset, err := htmlindex.Get(params["charset"])
	if err != nil {
		return text
	}
	if encoded, err := charset.NewEncoder().Bytes(text); err == nil {
		return encoded
	}
	return text
}

// sent reads the body of a request. Browsers write bytes that are no UTF-8 as
// characters of Latin-1, and replace them where they are within a form: its
// Content-Length tells.
func (c *harContent) sent(h http.Header, travelled json.Number, most int64) (b Body, reason string) {
	b, cut, reason := c.body(h, travelled)
	n := contentLength(h)
	if reason != "" || cut || b.Data == nil || n < 0 || n == b.Size {
		return b, reason
	}
	data, isLatin := latin1(b.Data)
	switch {
	case isLatin && n == int64(len(data)):
		return BodyOf(data, h, most), ""
	case strings.ContainsRune(string(b.Data), utf8.RuneError):
		b.Size, b.Cut, b.Damage = -1, true, "the archive has not all of its bytes"
	}
	return b, ""
}

// latin1 gives the bytes of a text all of whose characters are in Latin-1.
func latin1(text []byte) (data []byte, ok bool) {
	for _, r := range string(text) {
		if r > 0xff {
			return nil, false
		}
		data = append(data, byte(r))
	}
	return data, true
}

// contentLength is what the headers say of the length of a body as it travelled; -1
// where they do not.
func contentLength(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// textless reports whether there is nothing of a body but perhaps the fields of a form.
func (c *harContent) textless() bool { return c == nil || c.Text == nil || *c.Text == "" }

// body reads the text of a message; cut says that not all of it was kept.
func (c *harContent) body(h http.Header, travelled json.Number) (b Body, cut bool, reason string) {
	b.Encoding = contentEncoding(strings.Join(h.Values("Content-Encoding"), ", "))
	size, _ := travelled.Int64()
	if c == nil {
		c = &harContent{}
	}
	if h.Get("Content-Type") == "" && c.MimeType != "" && (c.Text != nil || len(c.Params) > 0) {
		h.Set("Content-Type", c.MimeType)
	}
	if n, err := c.Size.Int64(); err == nil {
		size = n
	}
	if c.textless() {
		return c.withoutText(b, h, size), false, ""
	}
	text, cut := uncut(*c.Text)
	b.Data = []byte(text)
	if c.Encoding == "base64" {
		var err error
		if b.Data, err = unbase64(text, cut); err != nil {
			return b, cut, "its body is no base64"
		}
	}
	b.Size, b.Cut = int64(len(b.Data)), cut
	if cut {
		b.Size = -1
		if size > 0 {
			b.Size = size
		}
	}
	return b, cut, ""
}

// withoutText makes a body of the fields of a form, or of what is said of its size.
func (c *harContent) withoutText(b Body, h http.Header, size int64) Body {
	if len(c.Params) > 0 && strings.HasPrefix(c.MimeType, "application/x-www-form-urlencoded") {
		var pairs []string
		for _, p := range c.Params {
			pairs = append(pairs, url.QueryEscape(unescaped(p.Name))+"="+url.QueryEscape(unescaped(p.Value)))
		}
		b.Data = []byte(strings.Join(pairs, "&"))
		b.Size = int64(len(b.Data))
		return b
	}
	known := size > 0
	if !known {
		size = contentLength(h) // Chromium says 0 of a body that it has dropped
		known = size > 0 && b.Encoding == ""
	}
	if b.Cut = size > 0 || len(c.Params) > 0; b.Cut {
		b.Size = -1
		if known {
			b.Size = size
		}
	}
	return b
}

// unbase64 decodes a text that may have white space and, when it was cut, may end
// anywhere.
func unbase64(text string, cut bool) ([]byte, error) {
	text = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, text)
	if cut {
		text = text[:len(text)&^3]
	}
	return base64.StdEncoding.DecodeString(text)
}
