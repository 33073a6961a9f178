package shadow

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"time"

	"resilience/internal/measure"
)

// shadowBaggage marks a copy as a replay's requests are marked, for services behind
// services, which hand it on (https://www.w3.org/TR/baggage/).
const shadowBaggage = "synthetic=true,synthetic.shadow=mirror"

// mirrorLongest is how much of an answer is read, in bytes. Of one that is longer,
// nobody knows the size.
const mirrorLongest = 64 << 20

// mirrorAskers are those that are asked for each request, each over connections of
// its own.
type mirrorAskers struct {
	candidate       proxyOrigin
	baseline, noise *proxyOrigin // nil for none
	ownHost         bool
}

func newAskers(o MirrorOptions) (mirrorAskers, error) {
	a := mirrorAskers{ownHost: o.OwnHost}
	var err error
	if a.candidate, err = newProxyOrigin(o.Candidate, o.Copies, o.TLS); err != nil {
		return a, err
	}
	for _, other := range []struct {
		url string
		to  **proxyOrigin
	}{{o.Baseline, &a.baseline}, {o.Noise, &a.noise}} {
		if other.url == "" {
			continue
		}
		made, err := newProxyOrigin(other.url, o.Copies, o.TLS)
		if err != nil {
			return a, err
		}
		*other.to = &made
	}
	return a, nil
}

func (a mirrorAskers) close() {
	a.candidate.transport.CloseIdleConnections()
	for _, o := range []*proxyOrigin{a.baseline, a.noise} {
		if o != nil {
			o.transport.CloseIdleConnections()
		}
	}
}

// mirrorAsked are the answers to one request.
type mirrorAsked struct {
	candidate       *mirrorAnswer
	baseline, noise *mirrorAnswer // nil where nobody was asked
}

func (a mirrorAsked) all() []*mirrorAnswer {
	all := []*mirrorAnswer{a.candidate}
	for _, other := range []*mirrorAnswer{a.baseline, a.noise} {
		if other != nil {
			all = append(all, other)
		}
	}
	return all
}

func (a mirrorAsked) release() {
	for _, one := range a.all() {
		one.body.release()
	}
}

func (a mirrorAsked) lost() bool {
	for _, one := range a.all() {
		if one.body.lost {
			return true
		}
	}
	return false
}

func (a mirrorAsked) stream() bool {
	for _, one := range a.all() {
		if one.stream {
			return true
		}
	}
	return false
}

// ask asks the candidate and the baseline at the same time, and the one that tells noise
// when both have answered, as [job.send] does. Each may take so long.
func (a mirrorAskers) ask(ctx context.Context, each time.Duration, c *capture, b *captureBudget, most int64) (out mirrorAsked) {
	ask := func(of proxyOrigin) *mirrorAnswer {
		within, cancel := context.WithTimeout(ctx, each)
		defer cancel()
		answer := newAnswer(b, most)
		answer.get(within, of, a.copyOf(c, of))
		return answer
	}
	var baseline sync.WaitGroup
	if a.baseline != nil {
		baseline.Go(func() { out.baseline = ask(*a.baseline) })
	}
	out.candidate = ask(a.candidate)
	baseline.Wait()
	if a.noise != nil {
		out.noise = ask(*a.noise)
	}
	return out
}

// copyOf is the request again, marked as a copy.
func (a mirrorAskers) copyOf(c *capture, o proxyOrigin) *http.Request {
	h := maps.Clone(c.header)
	removeProxyHops(h)
	delete(h, "Expect")
	delete(h, "Content-Length")
	if a.baseline != nil && safeMethod(c.method) { // nobody else's answer is compared: what users have in their caches is of no use
		takeConditions(h)
	}
	h[ShadowHeader] = []string{"1"}
	marks := shadowBaggage
	if own := strings.Join(h["Baggage"], ","); own != "" {
		marks = own + "," + marks
	}
	h["Baggage"] = []string{marks}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = []string{""} // or the transport would add its own
	}
	r := &http.Request{Method: c.method, URL: o.at(c.target), Header: h, Host: c.host}
	if a.ownHost {
		r.Host = ""
	}
	if len(c.asked.data) > 0 {
		r.ContentLength = int64(len(c.asked.data))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(c.asked.data)), nil }
		r.Body, _ = r.GetBody()
	}
	return r
}

// proxyHops end with a connection (RFC 9110, section 7.6.1), beside those that
// Connection names.
var proxyHops = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func removeProxyHops(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range proxyHops {
		delete(h, name)
	}
}

// mirrorAnswer is what a copy was answered.
type mirrorAnswer struct {
	status int
	header http.Header
	body   captureTee
	at     time.Time // when it was asked for
	took   time.Duration
	err    error // there was no answer
	broken error // it did not come to its end
	long   bool  // nor was it read to it
	stream bool
}

func newAnswer(b *captureBudget, most int64) *mirrorAnswer {
	return &mirrorAnswer{body: captureTee{budget: b, max: most}}
}

// get asks, and reads the answer.
func (a *mirrorAnswer) get(ctx context.Context, o proxyOrigin, r *http.Request) {
	a.at = time.Now()
	defer func() { a.took = time.Since(a.at) }()
	var again measure.Resending
	res, err := o.roundTrip(again.Watch(ctx), r)
	if err == nil {
		err = firstAnswer(&again, res)
	}
	if err != nil {
		a.err = err
		return
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusSwitchingProtocols {
		a.err = errSwitched
		return
	}
	removeProxyHops(res.Header)
	a.status, a.header = res.StatusCode, res.Header
	if a.stream = strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream"); a.stream {
		return
	}
	a.body.decoded = res.Header.Get("Content-Encoding") == ""
	buffer := proxyBuffers{}.Get()
	defer proxyBuffers{}.Put(buffer)
	for {
		n, err := res.Body.Read(buffer)
		a.body.keep(buffer[:n])
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			a.broken = err
			return
		case a.body.lost:
			return
		case a.body.size > mirrorLongest:
			a.long = true
			return
		}
	}
}

var errSwitched = errors.New("it switched protocols without being asked to")

// response is the answer, decoded.
func (a *mirrorAnswer) response() Response {
	if a.err != nil {
		return Response{Failure: mirrorFailure(a.err)}
	}
	r := Response{Status: a.status, Header: a.header, Body: a.body.body(a.header)}
	if a.long {
		r.Body.Size, r.Body.Cut, r.Body.Digest = -1, true, ""
	}
	if a.broken != nil {
		r.Body.Size, r.Body.Cut, r.Body.Digest = -1, true, ""
		r.Body.Damage = mirrorFailure(a.broken)
	}
	return r.during(a.at, a.at.Add(a.took))
}

// mirrorFailure says in few words why there was no answer: the same words for the same
// reason, without ports and other chance.
func mirrorFailure(err error) string {
	var timeout net.Error
	var name *net.DNSError
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return "connection closed before the end"
	case errors.As(err, &name):
		return "the host is not known"
	}
	text := err.Error()
	for _, part := range []string{"malformed", "invalid", "too large", "exceeded", "tls:", "x509:"} {
		if at := strings.Index(text, part); at >= 0 {
			return strings.ToValidUTF8(text[at:min(len(text), at+80)], "?")
		}
	}
	return strings.ToValidUTF8(text[:min(len(text), 120)], "?")
}
