package shadow

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// harEntry is an exchange in an HTTP archive, versions 1.1 and 1.2
// (http://www.softwareishard.com/blog/har-12-spec/). What begins with _ is not of the
// standard, and may be anything.
type harEntry struct {
	Started   string          `json:"startedDateTime"`
	Time      json.Number     `json:"time"` // milliseconds; browsers write null, too
	Request   harMessage      `json:"request"`
	Response  harMessage      `json:"response"`
	FromCache json.RawMessage `json:"_fromCache"`     // of Chromium: "memory" or "disk"
	FromDisk  json.RawMessage `json:"_fromDiskCache"` // of chrome-har-capturer: true or false
}

// notAsked says why an entry has nothing that a service was asked.
func (e *harEntry) notAsked() (reason string) {
	switch {
	case harText(e.FromCache) != "" || string(e.FromDisk) == "true":
		return "the browser had the answer in a cache"
	case string(e.Response.ByWorker) == "true":
		return "a service worker answered it: what that asked has an entry of its own"
	}
	return ""
}

// harText is a member that may be no text.
func harText(member json.RawMessage) string {
	var text string
	_ = json.Unmarshal(member, &text)
	return text
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
	Error    json.RawMessage `json:"_error"`                   // of Chromium
	Failure  json.RawMessage `json:"_failureText"`             // of Playwright
	ByWorker json.RawMessage `json:"_fetchedViaServiceWorker"` // of Chromium: true or false
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
	if reason := e.notAsked(); reason != "" {
		return x, reason
	}
	x.Request.Header.Del("Host")
	if x.Request.Body, reason = e.Request.PostData.sent(x.Request.Header, e.Request.BodySize, i.most); reason != "" {
		return x, reason
	}
	return x, e.Response.answer(&x.Response, x.Request)
}

// answer reads an answer. Where there is none the status is 0, or -1 of Playwright.
func (m harMessage) answer(r *Response, q Request) (reason string) {
	status, _ := m.Status.Int64()
	if status < -1 || status > 999 {
		return "it has no status"
	}
	why := cmp.Or(harText(m.Error), harText(m.Failure))
	r.Status, r.Header = int(max(status, 0)), harHeader(m.Headers)
	switch {
	case r.Status == 0:
		r.Failure = cmp.Or(why, "no answer")
	case q.Method == http.MethodHead || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified:
		// there is no body: that which an archive has is of the browser's cache
	case m.Content.textless() && (status < 400 && status >= 300 || isPreflight(q)):
		if r.Body.Encoding = contentEncoding(strings.Join(r.Header.Values("Content-Encoding"), ", ")); r.Header.Get("Content-Length") != "0" {
			r.Body.Size, r.Body.Cut = -1, true // browsers do not look at it
		}
	default:
		if r.Body, reason = m.Content.received(r.Header, m.BodySize); why != "" {
			r.Body.Size, r.Body.Cut, r.Body.Damage = -1, true, why
		}
	}
	return reason
}

// isPreflight tells the requests by which browsers ask whether they may ask
// (https://fetch.spec.whatwg.org/#cors-preflight-request).
func isPreflight(q Request) bool {
	return q.Method == http.MethodOptions && q.Header.Get("Access-Control-Request-Method") != ""
}

// harHeader leaves out what is none: the pseudo headers of HTTP/2, such as
// ":authority", and those that Firefox adds to tell its own tools something.
func harHeader(pairs []harPair) http.Header {
	h := make(http.Header, len(pairs))
	for _, p := range pairs {
		if p.Name != "" && p.Name[0] != ':' && !strings.HasPrefix(strings.ToLower(p.Name), "x-firefox-") {
			value, _ := uncut(p.Value)
			h.Add(strings.TrimSpace(p.Name), strings.TrimSpace(value))
		}
	}
	return h
}
