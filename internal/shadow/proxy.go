package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"syscall"
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
	listener net.Listener
	server   *http.Server
	reverse  *httputil.ReverseProxy
	budget   *captureBudget
	maxBody  int64
	wanted   func(*http.Request) bool // which requests are kept; asked once for each
	kept     func(*capture)           // takes what was kept; must not block
	fates    proxyFates
	added    prometheus.Histogram // seconds

	ctx     context.Context // ends when the proxy is closed
	cancel  context.CancelFunc
	serving chan struct{}
}

// prepare sets the bounds of what is kept; 0 is the default, and less is nothing.
func (p *proxy) prepare(maxBody, buffer int64, wanted func(*http.Request) bool, kept func(*capture)) {
	p.budget = &captureBudget{limit: cmp.Or(buffer, DefaultBuffer)}
	p.maxBody = max(0, cmp.Or(maxBody, DefaultMaxBody))
	p.wanted, p.kept, p.added = wanted, kept, newProxyAdded()
}

// startProxy listens, on a free loopback port where none is given, and serves until
// it is closed.
func startProxy(ctx context.Context, p *proxy, listen, upstream string) error {
	var err error
	if p.upstream, err = newProxyOrigin(upstream, 0); err != nil {
		return err
	}
	if p.listener, err = proxyListen(ctx, listen); err != nil {
		return err
	}
	if p.upstream.is(p.listener.Addr().String()) {
		return errors.Join(fmt.Errorf("%s is where the proxy itself listens: it would ask itself", upstream), p.listener.Close())
	}
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.reverse = newProxyReverse(p)
	p.server = newProxyServer(p.ctx, p)
	p.serving = make(chan struct{})
	go func() {
		defer close(p.serving)
		_ = p.server.Serve(p.listener) // until it is closed
	}()
	return nil
}

func proxyListen(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("can not listen on %s, another process does: stop it, or name another port: %w", address, err)
	case err != nil:
		return nil, fmt.Errorf("can not listen on %s: %w", address, err)
	}
	return l, nil
}

// newHTTPServer serves HTTP/1.1 and, without TLS, HTTP/2.
func newProxyServer(ctx context.Context, handler http.Handler) *http.Server {
	s := &http.Server{
		Handler:                      handler,
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		DisableGeneralOptionsHandler: true, // OPTIONS * is for the upstream
		ReadHeaderTimeout:            time.Minute,
		ErrorLog:                     log.New(io.Discard, "", 0),
		Protocols:                    new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// url is what clients on this machine call.
func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

// close stops listening, lets what is under way come to its end until the context
// ends, and breaks off the rest.
func (p *proxy) close(ctx context.Context) {
	if err := p.server.Shutdown(ctx); err != nil {
		_ = p.server.Close()
	}
	p.cancel() // ends what was upgraded, too
	<-p.serving
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
