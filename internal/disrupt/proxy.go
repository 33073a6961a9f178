package disrupt

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
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Proxy is a reverse proxy in front of one dependency. It measures every
// request as its client saw it, faults included, as [measure.MetricDependency]
// with the dependency's name as the step: milliseconds from the request to the
// end of its response, or to its headers for an upgrade or an event stream.
// Calls of gRPC are measured to their end, streams too, with their code as the
// status (grpc Unavailable).
//
// A request has failed when its status is 500 or more, when its code is
// UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE or
// DATA_LOSS, or when there was no answer (status 0). One that the client gave
// up (status 499) has failed when the client had said all it wanted to and no
// answer had begun: a dependency that hangs is down. One that is under way when
// the proxy is closed is unfinished.
type Proxy struct {
	name     string
	protocol string // http or grpc
	upstream upstream
	listener net.Listener
	port     *port   // below listener
	secure   *secure // the listener, where TLS is served; else nil
	visitors visitors
	server   *http.Server
	switches *httputil.ReverseProxy
	meter    *meter

	injected atomic.Pointer[[]*injection] // never changed in place
	leaving  atomic.Bool                  // clients are asked to leave: drain

	ctx    context.Context // ends when the proxy is closed
	cancel context.CancelFunc

	mu       sync.Mutex
	closed   bool
	handlers sync.WaitGroup
	serving  chan struct{}
	shut     func() error
}

// NewProxy starts a proxy in front of a dependency. It listens where the
// dependency says, or on a free loopback port. Relative paths of TLS files
// start at dir. Windows are handed to emit about once a second. The context
// only limits starting: the proxy works until it is closed.
func NewProxy(ctx context.Context, name string, d plan.Dependency, phase, dir string, emit func(measure.Batch) error) (*Proxy, error) {
	return newProxy(ctx, name, d, phase, dir, emit, time.Tick(time.Second))
}

func newProxy(ctx context.Context, name string, d plan.Dependency, phase, dir string, emit func(measure.Batch) error, ticks <-chan time.Time) (*Proxy, error) {
	if !slices.Contains([]string{"", "http", "grpc"}, d.Protocol) {
		return nil, fmt.Errorf("dependency %q: protocol %q is not one of http and grpc", name, d.Protocol)
	}
	up, err := newUpstream(d, dir)
	if err != nil {
		return nil, fmt.Errorf("dependency %q: %w", name, err)
	}
	listener, err := listen(ctx, d.Listen)
	if err != nil {
		return nil, fmt.Errorf("dependency %q: %w", name, err)
	}
	if up.is(listener.Addr().String()) {
		_ = listener.Close()
		return nil, fmt.Errorf("dependency %q: upstream %s is where its own proxy listens", name, d.Upstream)
	}
	p := &Proxy{name: name, protocol: cmp.Or(d.Protocol, "http"), upstream: up, port: newPort(listener), serving: make(chan struct{})}
	p.listener = p.port
	if d.Serve != nil {
		if p.secure, err = newSecure(p.port, *d.Serve, dir, "h2", "http/1.1"); err != nil {
			_ = listener.Close()
			return nil, fmt.Errorf("dependency %q: %w", name, err)
		}
		p.listener = p.secure
	} else if p.protocol == "grpc" {
		p.listener = packing{p.port}
	}
	p.shut = sync.OnceValue(p.shutDown)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.injected.Store(new([]*injection))
	p.meter = newMeter(name, phase, emit, ticks)
	p.switches = newSwitch(p)
	p.server = newServer(p)
	go func() {
		defer close(p.serving)
		_ = p.server.Serve(p.listener) // until Close
	}()
	return p, nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("can not listen on %s, another process does: stop it, or leave out listen to get a free port: %w", address, err)
	case err != nil:
		return nil, fmt.Errorf("can not listen on %s: %w", address, err)
	}
	return l, nil
}

func newServer(p *Proxy) *http.Server {
	s := &http.Server{
		Handler:                      p,
		BaseContext:                  func(net.Listener) context.Context { return p.ctx },
		ConnContext:                  withConn,
		ConnState:                    p.visitors.track,
		DisableGeneralOptionsHandler: true, // OPTIONS * is for the upstream
		ErrorLog:                     log.New(io.Discard, "", 0),
		Protocols:                    new(http.Protocols),
		// A slow dependency means many open streams; a limit would make it slower.
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1 << 16},
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

// Port is where the proxy listens.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// URL is what clients on this machine call instead of the dependency.
func (p *Proxy) URL() string {
	scheme := "http"
	if p.secure != nil {
		scheme = "https"
	}
	return scheme + "://" + reachable(p.port.address.IP, p.port.address.Port)
}

// CA is the file of the authority that vouches for the proxy, "" without TLS.
func (p *Proxy) CA() string { return p.secure.file() }

func (p *Proxy) authorityPEM() []byte { return p.secure.pem() }

// Close stops the proxy: connections are closed, also those that were
// upgraded, and requests under way end as unfinished. It emits what was not
// yet emitted and returns the first error of emitting. Closing again gives the
// same answer.
func (p *Proxy) Close() error { return p.shut() }

func (p *Proxy) shutDown() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	_ = p.server.Close() // the listener's error is of no use to anybody
	<-p.serving
	p.handlers.Wait()
	p.upstream.transport.CloseIdleConnections()
	err := p.secure.close()
	if emitted := p.meter.close(); emitted != nil {
		err = errors.Join(err, fmt.Errorf("dependency %q: could not hand on what was measured: %w", p.name, emitted))
	}
	return err
}

// enter is called before a request is handled; it is false after closing.
func (p *Proxy) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.handlers.Add(1)
	}
	return !p.closed
}

// add puts a fault into effect, after those of its stage and of earlier ones.
func (p *Proxy) add(i *injection) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("the proxy of dependency %q is closed", p.name)
	}
	list := append(slices.Clone(*p.injected.Load()), i)
	slices.SortStableFunc(list, func(a, b *injection) int { return int(a.of.harm.stage - b.of.harm.stage) })
	p.injected.Store(&list)
	return nil
}

// remove takes a fault out of effect; one that is not in effect is fine.
func (p *Proxy) remove(i *injection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(*p.injected.Load()), func(other *injection) bool { return other == i })
	p.injected.Store(&list)
}
