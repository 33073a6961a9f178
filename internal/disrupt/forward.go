package disrupt

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// hops are the headers that end with a connection (RFC 9110, section 7.6.1),
// beside those that Connection names.
var hops = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func removeHops(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hops {
		delete(h, name)
	}
}

// forward passes one request on, and its answer back, as
// [net/http/httputil.ReverseProxy] does, but for what only proxies want that
// are not transparent, and without its copies: the headers of a request are
// nobody else's any more.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request) {
	b := &passed{w: w}
	out := p.outgoing(b, r)
	if body, ok := out.Body.(*lent); ok {
		defer body.closed.Store(true) // the transport may read when we have returned
	}
	res, err := p.upstream.transport.RoundTrip(out)
	b.begin()
	switch {
	case err != nil:
		p.refuse(w, r, err)
		return
	case res.StatusCode == http.StatusSwitchingProtocols:
		_ = res.Body.Close()
		p.refuse(w, r, errUnasked)
		return
	}
	defer res.Body.Close()
	b.header(res)
	if err := b.body(res); err != nil {
		panic(http.ErrAbortHandler) // so that the client can tell
	}
	_ = res.Body.Close() // now the trailers are there
	b.trailers(res)
}

var errUnasked = errors.New("it switched protocols without being asked to")

// noAgent keeps the transport from adding its own.
var noAgent = []string{""}

// outgoing is the request that is sent to the upstream.
func (p *Proxy) outgoing(b *passed, r *http.Request) *http.Request {
	type outgoing struct { // one allocation
		url   url.URL
		trace httptrace.ClientTrace
		body  lent
	}
	o := &outgoing{url: *r.URL, trace: httptrace.ClientTrace{Got1xxResponse: b.interim}}
	readdress(&o.url, p.upstream.url, r.RequestURI)
	h := r.Header
	trailers := httpguts.HeaderValuesContainsToken(h["Te"], "trailers")
	removeHops(h)
	if trailers {
		h["Te"] = []string{"trailers"}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = noAgent
	}
	out := (&http.Request{
		Method: r.Method, URL: &o.url, Header: h, ContentLength: r.ContentLength, Trailer: r.Trailer,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(httptrace.WithClientTrace(r.Context(), &o.trace))
	if r.ContentLength != 0 {
		o.body.from, o.body.request = r.Body, r
		out.Body = &o.body
	}
	return out
}

// lent is the body of a request in the hands of the transport, until it is
// closed. Closing leaves the body to the server.
type lent struct {
	from    io.Reader
	request *http.Request
	ended   atomic.Bool
	closed  atomic.Bool
}

func (l *lent) Read(p []byte) (int, error) {
	if l.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := l.from.Read(p)
	if err != nil {
		l.ended.Store(true)
	}
	return n, err
}

// Close looks after the client where the transport left a part, because the
// upstream answered without it: a fault may hold that answer back.
func (l *lent) Close() error {
	if !l.closed.Swap(true) && !l.ended.Load() {
		watchHangUp(l.request)
	}
	return nil
}

// passed is what is handed back of an upstream's response.
type passed struct {
	w         http.ResponseWriter
	announced []string // trailers

	mu      sync.Mutex // of w: what waits too long is flushed from elsewhere
	final   bool       // interim answers are over
	flushed bool
	held    bool  // something was written that was not flushed
	over    bool  // the body is
	err     error // of flushing
}

// interim passes on an answer such as 103.
func (b *passed) interim(code int, header textproto.MIMEHeader) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.final {
		return nil
	}
	h := b.w.Header()
	for name, values := range header {
		h[name] = values
	}
	b.w.WriteHeader(code)
	clear(h)
	return nil
}

func (b *passed) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.final = true
}

// header passes on the status and the headers.
func (b *passed) header(res *http.Response) {
	removeHops(res.Header)
	h := b.w.Header()
	for name, values := range res.Header {
		h[name] = values
	}
	if len(res.Trailer) > 0 {
		b.announced = slices.Collect(maps.Keys(res.Trailer))
		h["Trailer"] = []string{strings.Join(b.announced, ", ")}
	}
	b.w.WriteHeader(res.StatusCode)
}

// patient is how long headers wait for the body, and a part of a body of known
// length for the next one, to share a packet with it.
const patient = time.Millisecond

// bufferSize is what is copied at a time, in bytes: twice that of io.Copy, which
// takes a sixth off what the proxy adds to an answer of 64 KiB (BenchmarkProxy).
const bufferSize = 64 << 10

// buffers is what bodies are copied with, shared by all proxies.
type buffers struct{}

var bufferPool = sync.Pool{New: func() any { return new([bufferSize]byte) }}

func (buffers) Get() []byte  { return bufferPool.Get().(*[bufferSize]byte)[:] }
func (buffers) Put(b []byte) { bufferPool.Put((*[bufferSize]byte)(b)) }

// body passes on the body as it comes. One of unknown length may be a stream,
// whose reader waits for each part.
func (b *passed) body(res *http.Response) error {
	if res.Body == http.NoBody {
		return nil
	}
	late := time.AfterFunc(patient, b.flushLate)
	defer b.finish(late)
	buffer := buffers{}.Get()
	defer buffers{}.Put(buffer)
	stream := res.ContentLength < 0
	for left := res.ContentLength; ; {
		n, err := res.Body.Read(buffer)
		left -= int64(n)
		if n > 0 {
			// The end of the handler flushes what completes the body.
			more := left != 0 && err == nil
			if err := b.write(buffer[:n], more && stream); err != nil {
				return err
			}
			if more && !stream {
				late.Reset(patient)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (b *passed) write(p []byte, now bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	_, err := b.w.Write(p)
	b.held = !now
	if err == nil && now {
		b.flushed, err = true, flush(b.w)
	}
	return err
}

// flushLate passes on headers, or a part of a body, after which nothing comes.
func (b *passed) flushLate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if (b.held || !b.flushed) && !b.over {
		b.held, b.flushed, b.err = false, true, flush(b.w)
	}
}

// finish makes sure that nothing is flushed from elsewhere any more.
func (b *passed) finish(late *time.Timer) {
	late.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
}

// trailers passes on what comes after the body.
func (b *passed) trailers(res *http.Response) {
	if len(res.Trailer) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.flushed {
		_ = flush(b.w) // or a short body would get a length, and no trailers
	}
	h := b.w.Header()
	for name, values := range res.Trailer {
		if !slices.Contains(b.announced, name) {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}
