package disrupt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// TCPProxy passes connections on to a dependency without looking into them. It
// measures every connection as [measure.MetricDependency] with the dependency's
// name as the step: milliseconds from accepting to the end of both directions.
// A connection has failed when the dependency could not be connected to or
// reset it, when TLS towards the client did not come about, and when a fault
// ended it; not when the client reset it. One that is open when the proxy is
// closed is unfinished.
type TCPProxy struct {
	name     string
	upstream string // host:port
	dial     func(ctx context.Context) (net.Conn, error)
	port     *port
	listener net.Listener // the port, or TLS on it
	secure   *secure      // nil without TLS towards the clients
	meter    *meter

	ctx    context.Context // ends when the proxy is closed
	cancel context.CancelFunc
	shut   func() error
	tasks  sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	wires    map[*tcpWire]bool
	injected []*tcpInjection
}

var errProxyClosed = errors.New("the proxy is closed")

// NewTCPProxy starts a proxy in front of a dependency at HOST:PORT. It listens
// where the dependency says, or on a free loopback port. With tls it speaks TLS
// to the dependency, with serve to the clients; relative paths start at dir.
// Windows are handed to emit about once a second. The context only limits
// starting: the proxy works until it is closed.
func NewTCPProxy(ctx context.Context, name string, d plan.Dependency, phase, dir string, emit func(measure.Batch) error) (*TCPProxy, error) {
	p, err := newTCPProxy(ctx, name, d, dir)
	if err != nil {
		return nil, fmt.Errorf("dependency %q: %w", name, err)
	}
	p.meter = newMeter(name, phase, emit, time.Tick(time.Second))
	p.tasks.Go(p.accept)
	return p, nil
}

func newTCPProxy(ctx context.Context, name string, d plan.Dependency, dir string) (*TCPProxy, error) {
	address, err := plan.Address(d.Upstream)
	if err != nil {
		return nil, fmt.Errorf("upstream: %w", err)
	}
	dial, err := tcpDialer(address, d.TLS, dir)
	if err != nil {
		return nil, err
	}
	listener, err := listen(ctx, d.Listen)
	if err != nil {
		return nil, err
	}
	if listener.Addr().String() == address {
		_ = listener.Close()
		return nil, fmt.Errorf("upstream %s is where its own proxy listens", address)
	}
	p := &TCPProxy{name: name, upstream: address, dial: dial, port: newPort(listener), wires: map[*tcpWire]bool{}}
	p.listener = p.port
	if d.Serve != nil {
		if p.secure, err = newSecure(p.port, *d.Serve, dir); err != nil {
			_ = listener.Close()
			return nil, err
		}
		p.listener = p.secure
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.shut = sync.OnceValue(p.shutDown)
	return p, nil
}

// dialLimit bounds how long connecting to a dependency may take.
const dialLimit = 30 * time.Second

func tcpDialer(address string, settings *plan.TLS, dir string) (func(context.Context) (net.Conn, error), error) {
	dialer := &net.Dialer{Timeout: dialLimit}
	if settings == nil {
		return func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", address) }, nil
	}
	config, err := settings.Config(dir)
	if err != nil {
		return nil, err
	}
	secure := &tls.Dialer{NetDialer: dialer, Config: config}
	return func(ctx context.Context) (net.Conn, error) { return secure.DialContext(ctx, "tcp", address) }, nil
}

// Port is where the proxy listens.
func (p *TCPProxy) Port() int { return p.port.address.Port }

// URL is where clients on this machine connect to instead of the dependency:
// tcp://HOST:PORT, also with TLS.
func (p *TCPProxy) URL() string { return "tcp://" + reachable(p.port.address.IP, p.port.address.Port) }

// CA is the file of the authority that vouches for the proxy, "" without TLS.
func (p *TCPProxy) CA() string { return p.secure.file() }

func (p *TCPProxy) authorityPEM() []byte { return p.secure.pem() }

// Disruption reads what a disruption of a plan asks for. Disruptions of the same
// seed and different names make different decisions.
func (p *TCPProxy) Disruption(d plan.Disruption, seed int64) (Disruption, error) {
	if d.Certificate != nil {
		return p.secure.disruption(p.name, d, seed)
	}
	harm, err := readTCPHarm(d)
	if err != nil {
		return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
	}
	unit := "connections"
	if harm.refuse {
		unit = "ports"
	}
	return newLocal(p.name, d, seed, unit, func(t *tally) (func() error, error) { return p.inject(harm, t) })
}

// accept takes connections until the proxy is closed.
func (p *TCPProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err == nil {
			p.tasks.Go(func() { p.handle(client) })
			continue
		}
		select {
		case <-p.ctx.Done():
			return
		case <-time.After(acceptPause): // out of file descriptors, say
		}
	}
}

// acceptPause is how long to wait when a connection can not be accepted.
const acceptPause = 10 * time.Millisecond

// handle is the life of one connection.
func (p *TCPProxy) handle(client net.Conn) {
	opened := time.Now()
	fate := measure.Failed
	if upstream, err := p.connect(client); err != nil {
		abort(client)
	} else if w := newTCPWire(client, upstream, opened); p.enter(w) {
		w.run()
		p.leave(w)
		fate = w.fate()
	} else {
		w.abort()
	}
	if p.ctx.Err() != nil {
		fate = measure.Unfinished
	}
	p.meter.addAs(opened, "", fate)
}

// connect finishes TLS with the client and connects to the dependency.
func (p *TCPProxy) connect(client net.Conn) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(p.ctx, dialLimit)
	defer cancel()
	if t, ok := client.(*tls.Conn); ok {
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, err
		}
	}
	return p.dial(ctx)
}

// enter lets the faults in effect meet a new connection. It is false when the
// proxy is closed.
func (p *TCPProxy) enter(w *tcpWire) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.wires[w] = true
	for _, i := range p.injected {
		i.meet(w)
	}
	return true
}

func (p *TCPProxy) leave(w *tcpWire) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.wires, w)
	for _, i := range p.injected {
		i.forget(w)
	}
}

// Close stops the proxy: connections are reset. It emits what was not yet
// emitted and returns the first error of emitting. Closing again gives the same
// answer.
func (p *TCPProxy) Close() error { return p.shut() }

func (p *TCPProxy) shutDown() error {
	p.mu.Lock()
	p.closed = true
	p.cancel()
	for w := range p.wires {
		w.abort()
	}
	p.mu.Unlock()
	_ = p.port.Close() // its error is of no use to anybody
	p.tasks.Wait()
	err := p.secure.close()
	if emitted := p.meter.close(); emitted != nil {
		err = errors.Join(err, fmt.Errorf("dependency %q: could not hand on what was measured: %w", p.name, emitted))
	}
	return err
}
