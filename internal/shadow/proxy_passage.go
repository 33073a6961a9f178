package shadow

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// passage is one request on its way through a proxy. It writes the answer, and
// keeps a copy of both where there is room.
type passage struct {
	http.ResponseWriter
	proxy    *proxy
	request  *http.Request
	copying  *capture // nil when nothing is kept
	upload   upload
	refused  bool // the upstream gave no answer, we did
	returned bool // the answer was written to its end
	lost     bool // the answer could not be written
	upgraded bool
}

// ServeHTTP passes a request on, and its answer back.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		http.Error(w, "resilience: this is not a forward proxy", http.StatusMethodNotAllowed)
		return
	}
	if !p.fates.enter() {
		panic(http.ErrAbortHandler)
	}
	defer p.fates.leave()
	x := &passage{ResponseWriter: w, proxy: p, request: r}
	start := time.Now()
	x.begin()
	added := time.Since(start)
	defer func() {
		start := time.Now()
		if !x.returned && !x.abandoned() { // it broke off: what there is of the answer is the user's
			_ = http.NewResponseController(w).Flush()
		}
		x.end()
		p.added.Observe((added + time.Since(start)).Seconds())
	}()
	if r.ContentLength != 0 {
		r = x.upload.of(w, r)
		if r.ProtoMajor == 1 {
			// Without it HTTP/1 would swallow the rest of the request before the
			// first byte of the answer; HTTP/2 is that way anyway.
			_ = http.NewResponseController(w).EnableFullDuplex()
		}
	}
	p.reverse.ServeHTTP(x, r)
	x.returned = true
}

// begin decides whether a copy is kept. What was upgraded to another protocol, and
// calls of gRPC, have no end to wait for and are passed on only.
func (x *passage) begin() {
	f := &x.proxy.fates
	f.seen.Add(1)
	switch r := x.request; {
	case r.Header["Upgrade"] != nil || isGRPC(r.Header):
		f.streams.Add(1)
	case x.proxy.wanted(r):
		if x.copying = newCapture(x.proxy, r); x.copying == nil {
			f.dropped.Add(1)
			return
		}
		x.upload.tee = &x.copying.asked
	}
}

// WriteHeader passes a status on. The server must not add what the upstream did
// not send.
func (x *passage) WriteHeader(status int) {
	if status < 200 {
		if status != http.StatusContinue || !x.waitedFor() {
			x.ResponseWriter.WriteHeader(status)
		}
		return
	}
	h := x.Header()
	if x.copying != nil && strings.HasPrefix(h.Get("Content-Type"), "text/event-stream") {
		x.forget(&x.proxy.fates.streams)
	}
	if x.copying != nil && !x.copying.answer(status, h) {
		x.forget(&x.proxy.fates.dropped)
	}
	for _, name := range []string{"Content-Type", "Date"} {
		if _, ok := h[name]; !ok {
			h[name] = nil
		}
	}
	if x.request.ProtoMajor == 1 && h["Trailer"] != nil && x.request.Method != http.MethodHead {
		h.Del("Content-Length") // of HTTP/2: HTTP/1 has trailers behind chunks only
	}
	if x.request.ProtoMajor == 1 && x.upload.from != nil && !x.upload.done.Load() {
		// An answer before the end of the request. In full duplex net/http trips
		// over the rest of the body when it uses the connection again.
		h.Set("Connection", "close")
	}
	x.ResponseWriter.WriteHeader(status)
}

// waitedFor tells whether the client waits to be asked for its body: the server asks for it
// when that is read, and so when the upstream wants it.
func (x *passage) waitedFor() bool {
	return x.upload.from != nil && httpguts.HeaderValuesContainsToken(x.request.Header["Expect"], "100-continue")
}

// Write passes on a part of the body, and then keeps it.
func (x *passage) Write(p []byte) (int, error) {
	n, err := x.ResponseWriter.Write(p)
	if err != nil {
		x.lost = true
	}
	if x.copying != nil {
		x.copying.answered.keep(p[:n])
	}
	return n, err
}

// Unwrap lets http.ResponseController find what we do not do ourselves.
func (x *passage) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Hijack hands the connection over to another protocol.
func (x *passage) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err == nil {
		x.upgraded = true
	}
	return conn, rw, err
}

// abandoned tells whether the client went away.
func (x *passage) abandoned() bool {
	return x.lost || x.upload.lost.Load() || x.request.Context().Err() != nil
}

// forget gives up the copy, and counts why.
func (x *passage) forget(why *atomic.Uint64) {
	x.copying.release()
	x.copying = nil
	x.upload.tee.stop()
	why.Add(1)
}

// end hands over what was kept, if that is a whole exchange.
func (x *passage) end() {
	c := x.copying
	if c == nil {
		return
	}
	x.upload.tee.stop()
	c.took = time.Since(c.at)
	switch {
	case !x.returned || x.refused || x.upgraded:
		x.forget(&x.proxy.fates.unanswered)
	case c.asked.lost || c.answered.lost:
		x.forget(&x.proxy.fates.dropped)
	default:
		x.copying = nil
		x.proxy.kept(c)
	}
}
