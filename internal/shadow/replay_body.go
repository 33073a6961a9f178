package shadow

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// replayKept is how many bytes of a body are kept unless the test says otherwise; of
// the rest only the digest is.
const replayKept = 1 << 20

// eventStream is the type of answers that are sent as things happen, and do not end.
const eventStream = "text/event-stream"

// keeps is how many bytes of a body are kept.
func (p *replaying) keeps() int64 { return cmp.Or(int64(p.test.MaxBody), replayKept) }

// readReplayed reads the body of an answer, decoded, of which so much is kept. The error is one of the
// connection; what is wrong with the body itself is its damage.
func readReplayed(method string, resp *http.Response, kept int64) (Body, error) {
	if method == http.MethodHead || resp.StatusCode == http.StatusNotModified { // its length is that of another answer
		return Body{}, nil
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), eventStream) { // it has no end
		return Body{}, nil
	}
	if n := resp.ContentLength; n >= 0 && n <= min(kept, replayKept) && resp.Header.Get("Content-Encoding") == "" {
		return readPlain(resp.Body, n)
	}
	raw := &rawBody{r: resp.Body}
	b := ReadBody(raw, resp.Header, kept)
	if b.Damage != "" && raw.err == nil {
		_, _ = io.CopyN(io.Discard, raw, replayKept) // so that the connection can be used again
	}
	return b, raw.err
}

// readPlain reads a body that is as long as it was said to be.
func readPlain(r io.Reader, n int64) (b Body, err error) {
	data := make([]byte, n)
	got, err := io.ReadFull(r, data)
	b = Body{Data: data[:got], Size: n}
	if err != nil {
		b.Cut, b.Size, b.Damage = true, -1, damageText(err)
		return b, err
	}
	return b, nil
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

// notSent are headers of a request that belong to the connection it came by.
var notSent = []string{
	"Host", "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Te", "Trailer", "Upgrade", "Content-Length", "Content-Encoding", "Expect",
	"Http2-Settings", "Baggage", ShadowHeader,
}

// sendable gives the recorded headers that can be sent as they are, and those that
// hold secrets, in whose place a recording has pseudonyms: they are sent only with
// values of this replay. The key of a write is one of its own in any case.
func sendable(recorded http.Header, key string) (headers, secrets http.Header) {
	headers, secrets = make(http.Header, len(recorded)+4), http.Header{}
	for name, values := range recorded {
		switch canonical := http.CanonicalHeaderKey(name); {
		case strings.HasPrefix(canonical, ":"), slices.Contains(notSent, canonical):
		case !strings.EqualFold(name, key) && (replaySecret(canonical) || slices.ContainsFunc(values, hasPseudonym)):
			secrets[canonical] = values
		default:
			headers[canonical] = slices.Clone(values)
		}
	}
	headers.Set("Accept-Encoding", acceptable(recorded.Get("Accept-Encoding")))
	if headers.Get("User-Agent") == "" {
		headers.Set("User-Agent", "resilience")
	}
	return headers, secrets
}

// SecretHeader reports whether a header of requests holds credentials, as far as its
// name tells.
func SecretHeader(name string) bool { return replaySecret(http.CanonicalHeaderKey(name)) }

// replaySecret is [SecretHeader] of a name in its canonical form.
func replaySecret(name string) bool {
	return name == "Cookie" || replayNames.isSecret(name)
}

// replayNames remembers which headers hold secrets: names are few.
var replayNames nameCache

// hasPseudonym reports whether a value holds what stands in the place of a secret.
func hasPseudonym(value string) bool {
	_, rest, found := strings.Cut(value, pseudonymMark)
	return found && len(rest) >= 32 && strings.Trim(rest[:32], "0123456789abcdef") == ""
}

// acceptable leaves of a recorded Accept-Encoding what can be decoded.
func acceptable(header string) string {
	var some []string
	for part := range strings.SplitSeq(header, ",") {
		name, _, _ := strings.Cut(part, ";")
		if _, known := encodingsKnown[strings.ToLower(strings.TrimSpace(name))]; known {
			some = append(some, strings.TrimSpace(part))
		}
	}
	if len(some) == 0 {
		return "identity"
	}
	return strings.Join(some, ", ")
}
