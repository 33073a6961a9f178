package shadow

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// harEntry is an exchange in an HTTP archive, versions 1.1 and 1.2
// (http://www.softwareishard.com/blog/har-12-spec/).
type harEntry struct {
	Started  string      `json:"startedDateTime"`
	Time     json.Number `json:"time"` // milliseconds; browsers write null, too
	Request  harMessage  `json:"request"`
	Response harMessage  `json:"response"`
}

// harMessage is a request or an answer.
type harMessage struct {
	Method   string          `json:"method"`
	URL      string          `json:"url"`
	Status   json.Number     `json:"status"`
	Headers  []harPair       `json:"headers"`
	PostData *harContent     `json:"postData"`
	Content  *harContent     `json:"content"`
	BodySize json.Number     `json:"bodySize"`
	Error    json.RawMessage `json:"_error"` // of Chromium
}

type harContent struct {
	Size     json.Number `json:"size"`
	MimeType string      `json:"mimeType"`
	Text     *string     `json:"text"`
	Encoding string      `json:"encoding"`
	Params   []harPair   `json:"params"`
}

type harPair struct {
	Name     string `json:"name"`
	Value    string `json:"value"`
	FileName string `json:"fileName"`
}

func isHAR(start []byte) bool {
	start = bytes.TrimLeft(start, " \t\r\n")
	if !bytes.HasPrefix(start, []byte("{")) {
		return false
	}
	start = bytes.TrimLeft(start[1:], " \t\r\n")
	return bytes.HasPrefix(start, []byte(`"log"`)) && bytes.HasPrefix(bytes.TrimLeft(bytes.TrimLeft(start[5:], " \t\r\n:"), " \t\r\n"), []byte("{"))
}

// harRoom is what an entry may have beside its two bodies, in bytes.
const harRoom = 4 << 20

func readHAR(i *importing, r *bufio.Reader) error {
	if start, _ := r.Peek(3); len(withoutBOM(start)) == 0 {
		_, _ = r.Discard(len(start))
	}
	mostString := 6*int(i.most) + lineRoom // as each character may be written \u00e4
	s := &jsonScanner{r: r, mostString: mostString, mostValue: 2*mostString + harRoom}
	found := false
	err := s.members(func(name string) error {
		if name != "log" {
			return s.skip()
		}
		return s.members(func(name string) error {
			if name != "entries" {
				return s.skip()
			}
			found = true
			return s.elements(func() error { return i.harElement(s) })
		})
	})
	var failed *ImportError
	switch {
	case errors.As(err, &failed):
		return err
	case err == nil && !found:
		err = errors.New(`it has no "entries" in its "log"`)
	}
	return i.harFailed(s, err)
}

// harFailed tells errors of the file from those of the sink, which stay as they are.
func (i *importing) harFailed(s *jsonScanner, err error) error {
	var sink sinkError
	if errors.As(err, &sink) {
		return sink.error
	}
	return i.failed(fmt.Sprint("byte ", s.at), err)
}

// sinkError is an error of whoever takes exchanges.
type sinkError struct{ error }

func (i *importing) harElement(s *jsonScanner) error {
	i.begin()
	place := fmt.Sprint("entry ", i.counts.Read)
	text, tooLong, err := s.capture()
	if err != nil {
		i.skip("it ends in the middle", place)
		return err
	}
	if tooLong {
		i.skip(tooLongReason, place)
		return nil
	}
	x, reason := i.harExchange(text)
	if reason != "" {
		i.skip(reason, place)
		return nil
	}
	if err := i.keep(x, place); err != nil {
		return sinkError{err}
	}
	return nil
}

func (i *importing) harExchange(text []byte) (x Exchange, reason string) {
	var e harEntry
	if !utf8.Valid(text) {
		return x, notUTF8Reason
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return x, "it is no entry of an archive"
	}
	at, ok := momentOf(e.Started)
	if !ok {
		return x, "its startedDateTime can not be read"
	}
	x = Exchange{At: at, Took: durationOf(e.Time.String(), time.Millisecond), Session: "har " + i.o.Name}
	x.Request = Request{Method: e.Request.Method, Header: harHeader(e.Request.Headers)}
	if !isMethod(x.Request.Method) {
		return x, "it has no method"
	}
	if reason := x.Request.setURL(e.Request.URL); reason != "" {
		return x, reason
	}
	x.Request.Header.Del("Host")
	if x.Request.Body, reason = e.Request.PostData.body(x.Request.Header, e.Request.BodySize); reason != "" {
		return x, reason
	}
	return x, e.Response.answer(&x.Response)
}

func (m harMessage) answer(r *Response) (reason string) {
	status, _ := m.Status.Int64()
	if status < 0 || status > 999 {
		return "it has no status"
	}
	r.Status, r.Header = int(status), harHeader(m.Headers)
	if status == 0 {
		r.Failure = "no answer"
		var why string
		if json.Unmarshal(m.Error, &why) == nil && why != "" {
			r.Failure = why
		}
		return ""
	}
	r.Body, reason = m.Content.body(r.Header, m.BodySize)
	return reason
}

// body reads the text of a message. Where an archive has none, but says that there
// was something, the body is Cut.
func (c *harContent) body(h http.Header, travelled json.Number) (b Body, reason string) {
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
	if c.Text == nil || *c.Text == "" {
		return c.withoutText(b, size), ""
	}
	text, cut := uncut(*c.Text)
	b.Data = []byte(text)
	if c.Encoding == "base64" {
		var err error
		if b.Data, err = unbase64(text, cut); err != nil {
			return b, "its body is no base64"
		}
	}
	b.Size, b.Cut = int64(len(b.Data)), cut
	if cut {
		b.Size = -1
		if size > 0 {
			b.Size = size
		}
	}
	return b, ""
}

func (c *harContent) withoutText(b Body, size int64) Body {
	if len(c.Params) > 0 && strings.HasPrefix(c.MimeType, "application/x-www-form-urlencoded") {
		var pairs []string
		for _, p := range c.Params {
			pairs = append(pairs, url.QueryEscape(unescaped(p.Name))+"="+url.QueryEscape(unescaped(p.Value)))
		}
		b.Data = []byte(strings.Join(pairs, "&"))
		b.Size = int64(len(b.Data))
		return b
	}
	if b.Cut = size > 0 || len(c.Params) > 0; b.Cut {
		b.Size = max(size, -1)
		if size <= 0 {
			b.Size = -1
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

// harHeader leaves out what is none: the pseudo headers of HTTP/2, such as
// ":authority".
func harHeader(pairs []harPair) http.Header {
	h := make(http.Header, len(pairs))
	for _, p := range pairs {
		if p.Name != "" && p.Name[0] != ':' {
			value, _ := uncut(p.Value)
			h.Add(strings.TrimSpace(p.Name), strings.TrimSpace(value))
		}
	}
	return h
}
