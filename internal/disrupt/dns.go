package disrupt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// DNSProxy passes questions on to a resolver, over UDP or TCP as they came, and
// its answers back as they are. It measures every question as
// [measure.MetricDependency] with the dependency's name as the step and the
// code of the answer, such as NOERROR or NXDOMAIN, as the status: milliseconds
// until it was answered. A question has failed when the resolver did not
// answer, which is answered with SERVFAIL, and when the answer is SERVFAIL or
// REFUSED or, by a fault, none. One that is open when the proxy is closed is
// unfinished.
type DNSProxy struct {
	name     string
	upstream string // host:port
	address  *net.TCPAddr
	servers  []*dns.Server
	meter    *meter

	ctx    context.Context // ends when the proxy is closed
	cancel context.CancelFunc
	shut   func() error
	tasks  sync.WaitGroup

	mu       sync.Mutex
	injected []*dnsInjection
}

// NewDNSProxy starts a proxy in front of a resolver at HOST:PORT, which is asked
// over UDP and TCP. It listens where the dependency says, or on a free loopback
// port, over both. Windows are handed to emit about once a second. The context
// only limits starting: the proxy works until it is closed.
func NewDNSProxy(ctx context.Context, name string, d plan.Dependency, phase string, emit func(measure.Batch) error) (*DNSProxy, error) {
	p, err := newDNSProxy(ctx, name, d)
	if err != nil {
		return nil, fmt.Errorf("dependency %q: %w", name, err)
	}
	p.meter = newMeter(name, phase, emit, time.Tick(time.Second))
	for _, s := range p.servers {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		p.tasks.Go(func() { _ = s.ActivateAndServe() }) // until Shutdown
		<-started
	}
	return p, nil
}

func newDNSProxy(ctx context.Context, name string, d plan.Dependency) (*DNSProxy, error) {
	address, err := plan.Address(d.Upstream)
	switch {
	case err != nil:
		return nil, fmt.Errorf("upstream: %w", err)
	case d.TLS != nil || d.Serve != nil:
		return nil, errors.New("dns is spoken without TLS: leave out tls and serve")
	}
	listener, packets, err := listenBoth(ctx, d.Listen)
	if err != nil {
		return nil, err
	}
	p := &DNSProxy{name: name, upstream: address, address: listener.Addr().(*net.TCPAddr)}
	if p.address.String() == address {
		return nil, errors.Join(fmt.Errorf("upstream %s is where its own proxy listens", address), listener.Close(), packets.Close())
	}
	p.servers = []*dns.Server{
		{Listener: listener, Handler: p, MsgAcceptFunc: acceptAll},
		{PacketConn: packets, Handler: p, MsgAcceptFunc: acceptAll, UDPSize: dns.MaxMsgSize},
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.shut = sync.OnceValue(p.shutDown)
	return p, nil
}

// acceptAll leaves it to the resolver to refuse what it does not like.
func acceptAll(h dns.Header) dns.MsgAcceptAction {
	const response = 1 << 15
	if h.Bits&response != 0 {
		return dns.MsgIgnore
	}
	return dns.MsgAccept
}

// listenBoth listens on the same port of TCP and UDP. A free port of one may be
// taken of the other: then it looks for another.
func listenBoth(ctx context.Context, address string) (net.Listener, net.PacketConn, error) {
	const tries = 10
	for n := 1; ; n++ {
		listener, err := listen(ctx, address)
		if err != nil {
			return nil, nil, err
		}
		packets, err := new(net.ListenConfig).ListenPacket(ctx, "udp", listener.Addr().String())
		if err == nil {
			return listener, packets, nil
		}
		_ = listener.Close()
		taken := listener.Addr().(*net.TCPAddr).Port != portOf(address) && errors.Is(err, syscall.EADDRINUSE)
		if !taken || n == tries {
			return nil, nil, fmt.Errorf("can not listen on %s for UDP: stop what does, or leave out listen to get a free port: %w", listener.Addr(), err)
		}
	}
}

// portOf gives the port of an address, 0 when it names none.
func portOf(address string) int {
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return 0
	}
	return a.Port
}

// Port is where the proxy listens, on TCP and UDP.
func (p *DNSProxy) Port() int { return p.address.Port }

// URL is where clients on this machine ask instead: dns://HOST:PORT.
func (p *DNSProxy) URL() string { return "dns://" + reachable(p.address.IP, p.address.Port) }

// ServeDNS answers one question; it implements [dns.Handler].
func (p *DNSProxy) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	start := time.Now()
	for _, i := range p.faults() {
		if i.touch(w, question) {
			p.meter.addAs(start, i.status(), fateOf(i.harm.code == noAnswer || dnsFailed(i.harm.code)))
			return
		}
	}
	network := w.LocalAddr().Network()
	answer, code, err := p.ask(network, question)
	if err == nil {
		_, err = w.Write(answer)
		p.meter.addAs(start, dns.RcodeToString[code], fateOf(err != nil || dnsFailed(code)))
		return
	}
	reply(w, question, dns.RcodeServerFailure)
	if p.ctx.Err() != nil { // we did not wait for it
		p.meter.addAs(start, "", measure.Unfinished)
		return
	}
	p.meter.addAs(start, "", measure.Failed)
}

func fateOf(failed bool) measure.Fate {
	if failed {
		return measure.Failed
	}
	return measure.OK
}

// dnsFailed tells whether a code says that the resolver could not do its work.
func dnsFailed(code int) bool { return code == dns.RcodeServerFailure || code == dns.RcodeRefused }

// reply answers in the resolver's place.
func reply(w dns.ResponseWriter, question *dns.Msg, code int) {
	_ = w.WriteMsg(new(dns.Msg).SetRcode(question, code)) // a client that is gone wants nothing
}

// askLimit bounds how long a resolver may take: longer than clients wait.
const askLimit = 10 * time.Second

// ask passes a question on, and gives the answer as it came with its code.
func (p *DNSProxy) ask(network string, question *dns.Msg) (answer []byte, code int, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, askLimit)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, network, p.upstream)
	if err != nil {
		return nil, 0, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.SetDeadline(time.Unix(1, 0)) })()
	conn := &dns.Conn{Conn: raw, UDPSize: dns.MaxMsgSize}
	if err := conn.WriteMsg(question); err != nil {
		return nil, 0, err
	}
	for {
		var header dns.Header
		answer, err := conn.ReadMsgHeader(&header)
		if err != nil {
			return nil, 0, err
		}
		if header.Id == question.Id { // or it is late, or from somebody else
			return answer, int(header.Bits & 0xf), nil
		}
	}
}

func (p *DNSProxy) faults() []*dnsInjection {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.injected)
}

// Close stops the proxy: questions under way are not answered. It emits what
// was not yet emitted and returns the first error of emitting. Closing again
// gives the same answer.
func (p *DNSProxy) Close() error { return p.shut() }

func (p *DNSProxy) shutDown() error {
	p.cancel()
	for _, s := range p.servers {
		_ = s.Shutdown() // waits for the questions under way
	}
	p.tasks.Wait()
	if err := p.meter.close(); err != nil {
		return fmt.Errorf("dependency %q: could not hand on what was measured: %w", p.name, err)
	}
	return nil
}
