package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Defaults of what a proxy keeps of what passes by.
const (
	DefaultMaxBody = 1 << 20   // bytes of one body
	DefaultBuffer  = 256 << 20 // bytes of all bodies at once
)

// proxy is a reverse proxy that keeps a copy of what passes by. What it does for
// the users comes first: it streams, waits for nobody but the upstream, and gives
// up a copy rather than an answer.
type proxy struct {
	upstream proxyOrigin
	server   *proxyServer
	reverse  *httputil.ReverseProxy
	budget   *captureBudget
	maxBody  int64
	wanted   func(*http.Request) bool // which requests are kept; asked once for each
	kept     func(*capture)           // takes what was kept; must not block
	fates    proxyFates
	added    prometheus.Histogram // seconds

	ctx    context.Context // ends when the proxy is closed
	cancel context.CancelFunc
}

// prepare sets the bounds of what is kept; 0 is the default, and less is nothing.
func (p *proxy) prepare(maxBody, buffer int64, wanted func(*http.Request) bool, kept func(*capture)) {
	p.budget = &captureBudget{limit: cmp.Or(buffer, DefaultBuffer)}
	p.maxBody = max(0, cmp.Or(maxBody, DefaultMaxBody))
	p.wanted, p.kept, p.added = wanted, kept, newProxyAdded()
}

// startProxy listens, on a free loopback port where none is given, and serves until
// it is closed.
func startProxy(ctx context.Context, p *proxy, listen, upstream string, secured Encryption) error {
	var err error
	if p.upstream, err = newProxyOrigin(upstream, 0, secured); err != nil {
		return err
	}
	l, err := proxyListen(ctx, listen)
	if err != nil {
		return err
	}
	if p.upstream.is(l.Addr().String()) {
		return errors.Join(fmt.Errorf("%s is where the proxy itself listens: it would ask itself", upstream), l.Close())
	}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.reverse = newProxyReverse(p)
	p.server = serveProxy(p.ctx, p, l, secured.Serve)
	return nil
}

// close stops listening, lets what is under way come to its end until the context
// ends, and breaks off the rest.
func (p *proxy) close(ctx context.Context) {
	p.server.close(ctx)
	p.cancel() // ends what was upgraded, too
	p.fates.wait()
	p.upstream.transport.CloseIdleConnections()
}

// newReverse makes what passes requests on, and their answers back, as they are.
func newProxyReverse(p *proxy) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { p.upstream.readdress(r) },
		Transport:      p.upstream.transport,
		ModifyResponse: endUpload,
		// A body of known length whose next part is late is not held back; one of
		// unknown length never is.
		FlushInterval: time.Millisecond,
		BufferPool:    proxyBuffers{},
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			x, ok := w.(*passage)
			if !ok || x.abandoned() || p.ctx.Err() != nil {
				panic(http.ErrAbortHandler) // or the server would answer 200
			}
			x.refused = true
			http.Error(x, fmt.Sprintf("resilience: no answer from the upstream: %v", err), http.StatusBadGateway)
		},
	}
}

// proxyBuffers are what bodies are copied with.
type proxyBuffers struct{}

const proxyBuffer = 64 << 10 // bytes

var proxyBufferPool = sync.Pool{New: func() any { return new([proxyBuffer]byte) }}

// Get lends a buffer.
func (proxyBuffers) Get() []byte { return proxyBufferPool.Get().(*[proxyBuffer]byte)[:] }

// Put takes it back.
func (proxyBuffers) Put(b []byte) { proxyBufferPool.Put((*[proxyBuffer]byte)(b)) }
