package shadow

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// untimedStep is what lies between exchanges of a source that does not say when
// they were. They begin at the start of 1970, which says that nobody knows.
const untimedStep = time.Millisecond

// untimed is when the n-th exchange is said to have been.
func untimed(n uint64) time.Time { return time.Unix(0, int64(n)*int64(untimedStep)).UTC() }

// vegetaTarget is a line of vegeta's targets in JSON.
type vegetaTarget struct {
	Method string              `json:"method"`
	URL    string              `json:"url"`
	Body   []byte              `json:"body"` // base64
	Header map[string][]string `json:"header"`
}

func isVegeta(start []byte) bool {
	line := firstLine(start)
	return bytes.HasPrefix(line, []byte("{")) && bytes.Contains(line, []byte(`"url"`)) && bytes.Contains(line, []byte(`"method"`)) &&
		!bytes.Contains(line, []byte(`"response_code"`))
}

func readVegeta(i *importing, r *bufio.Reader) error {
	return i.eachLine(r, func(line []byte, place string) error {
		x, reason := vegetaExchange(line)
		if reason != "" {
			i.skip(reason, place)
			return nil
		}
		x.At = untimed(i.counts.Read - 1)
		return i.keep(x, place)
	})
}

func vegetaExchange(line []byte) (x Exchange, reason string) {
	var t vegetaTarget
	if !utf8.Valid(line) {
		return x, notUTF8Reason
	}
	if err := json.Unmarshal(line, &t); err != nil {
		return x, "it is no target in JSON"
	}
	x.Request = Request{Method: t.Method, Header: canonical(t.Header), Body: Body{Data: t.Body, Size: int64(len(t.Body))}}
	if !isMethod(t.Method) {
		return x, "it has no method"
	}
	if reason := x.Request.setURL(t.URL); reason != "" {
		return x, reason
	}
	if host := x.Request.Header.Get("Host"); host != "" {
		x.Request.Host = host
		x.Request.Header.Del("Host")
	}
	x.Response.Body.Size = -1
	return x, ""
}

// canonical gives headers with the names that net/http has for them.
func canonical(from map[string][]string) http.Header {
	h := make(http.Header, len(from))
	for name, values := range from {
		for _, v := range values {
			h.Add(strings.TrimSpace(name), v)
		}
	}
	return h
}
