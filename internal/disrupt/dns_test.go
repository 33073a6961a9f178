package disrupt

import (
	"context"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// resolver answers every question for an address with the same one, and says
// that missing.test does not exist.
func resolver(t testing.TB) string {
	t.Helper()
	listener, packets, err := listenBoth(t.Context(), "")
	require.NoError(t, err)
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg).SetReply(q)
		if q.Question[0].Name == "missing.test." {
			a.Rcode = dns.RcodeNameError
		} else {
			a.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 7}, A: net.IPv4(10, 1, 2, 3)}}
		}
		_ = w.WriteMsg(a)
	})
	var running sync.WaitGroup
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: handler}, {Listener: listener, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		running.Go(func() { _ = s.ActivateAndServe() })
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return packets.LocalAddr().String()
}

func dnsFront(t testing.TB, upstream string) (*DNSProxy, *tcpGathered) {
	t.Helper()
	g := &tcpGathered{}
	p, err := NewDNSProxy(t.Context(), "db", plan.Dependency{Upstream: upstream, Protocol: "dns"}, "beta", g.emit)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p, g
}

// resolve asks over a network, and waits for an answer so long.
func resolve(p *DNSProxy, network, name string, wait time.Duration) (answer *dns.Msg, took time.Duration, err error) {
	c := dns.Client{Net: network, Timeout: wait}
	return c.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA), p.address.String())
}

// code asks and gives the code of the answer with the number of addresses; -1
// when there is none.
func code(p *DNSProxy, network, name string) (code, addresses int) {
	if on := p.faults(); len(on) > 0 && on[0].harm.code == noAnswer {
		return unanswered(p, on[0], network, name), 0
	}
	answer, _, err := resolve(p, network, name, patience)
	if err != nil {
		return -1, 0
	}
	return answer.Rcode, len(answer.Answer)
}

// unanswered asks, and waits for an answer for a moment once the fault has met
// the question.
func unanswered(p *DNSProxy, fault *dnsInjection, network, name string) (code int) {
	before := fault.tally.soFar().Touched
	conn, err := dns.DialTimeout(network, p.address.String(), patience)
	if err != nil {
		return -2
	}
	defer conn.Close()
	if err := conn.WriteMsg(new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)); err != nil {
		return -2
	}
	met := eventually(context.Background(), patience, "", func() (bool, error) { return fault.tally.soFar().Touched > before, nil })
	_ = conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	answer, err := conn.ReadMsg()
	switch {
	case met != nil:
		return -2
	case err != nil:
		return -1
	}
	return answer.Rcode
}

func TestDNSPassesOn(t *testing.T) {
	p, g := dnsFront(t, resolver(t))
	for _, network := range []string{"udp", "tcp"} {
		answer, _, err := resolve(p, network, "pay.test", patience)
		require.NoError(t, err)
		require.Equal(t, "10.1.2.3", answer.Answer[0].(*dns.A).A.String())
		require.EqualValues(t, 7, answer.Answer[0].Header().Ttl)
		c, _ := code(p, network, "missing.test")
		require.Equal(t, dns.RcodeNameError, c)
	}
	require.Equal(t, "dns://"+p.address.String(), p.URL())
	require.NoError(t, p.Close())
	count, failed, _ := g.total("NOERROR")
	require.EqualValues(t, 2, count)
	require.Zero(t, failed)
	count, failed, _ = g.total("NXDOMAIN")
	require.EqualValues(t, 2, count)
	require.Zero(t, failed, "the resolver did its work")
}

func TestDNSWithoutResolver(t *testing.T) {
	p, g := dnsFront(t, "127.0.0.1:1") // a port that is never given out
	for _, network := range []string{"udp", "tcp"} {
		c, _ := code(p, network, "pay.test")
		require.Equal(t, dns.RcodeServerFailure, c)
	}
	require.NoError(t, p.Close())
	count, failed, _ := g.total("")
	require.EqualValues(t, 2, count)
	require.EqualValues(t, 2, failed)
}

// dnsContracts say what is seen of a fault: the code and how many addresses.
var dnsContracts = map[string]struct {
	fault           plan.Disruption
	code, addresses int
}{
	"nxdomain": {answered("nxdomain"), dns.RcodeNameError, 0},
	"servfail": {answered("servfail"), dns.RcodeServerFailure, 0},
	"refused":  {answered("refused"), dns.RcodeRefused, 0},
	"empty":    {answered("empty"), dns.RcodeSuccess, 0},
	"none":     {answered("none"), -1, 0},
}

func answered(answer string, names ...string) plan.Disruption {
	return plan.Disruption{DNS: &plan.DNS{Answer: answer, Names: names}}
}

func TestDNSFaultBitesAndLifts(t *testing.T) {
	require.Len(t, dnsContracts, len(dnsAnswers))
	for name, c := range dnsContracts {
		for _, network := range []string{"udp", "tcp"} {
			t.Run(name+"/"+network, func(t *testing.T) {
				before := goleak.IgnoreCurrent()
				t.Run("run", func(t *testing.T) {
					p, g := dnsFront(t, resolver(t))
					lift := injectOn(t, p, "d", c.fault, 1)
					for range 2 {
						code, addresses := code(p, network, "pay.test")
						require.Equal(t, c.code, code)
						require.Equal(t, c.addresses, addresses)
					}
					want := measure.Touch{Matched: 2, Touched: 2, Unit: "queries"}
					require.Equal(t, want, lift())
					code, addresses := code(p, network, "pay.test")
					require.Equal(t, dns.RcodeSuccess, code)
					require.Equal(t, 1, addresses)
					require.Equal(t, want, lift(), "lifting twice")
					require.NoError(t, p.Close())
					_, _, err := resolve(p, network, "pay.test", 50*time.Millisecond)
					require.Error(t, err)
					if c.code == -1 {
						_, failed, _ := g.total("")
						require.EqualValues(t, 2, failed)
					}
				})
				requireNoLeaks(t, before)
			})
		}
	}
}

func TestDNSFaultIsBounded(t *testing.T) {
	p, _ := dnsFront(t, resolver(t))
	lift := injectOn(t, p, "d", answered("nxdomain", "Pay.test", "*.bad.test"), 1)
	for name, want := range map[string]int{
		"pay.test": dns.RcodeNameError, "PAY.TEST": dns.RcodeNameError, "a.bad.test": dns.RcodeNameError, "a.b.bad.test": dns.RcodeNameError,
		"bad.test": dns.RcodeSuccess, "xpay.test": dns.RcodeSuccess, "pay.test.x": dns.RcodeSuccess, "xbad.test": dns.RcodeSuccess,
	} {
		got, _ := code(p, "udp", name)
		require.Equal(t, want, got, name)
	}
	require.Equal(t, measure.Touch{Matched: 4, Touched: 4, Unit: "queries"}, lift())

	const n, share = 300, 0.3
	d := answered("servfail")
	d.Share = share
	count := func() measure.Touch {
		lift := injectOn(t, p, "d", d, 3)
		var bitten atomic.Uint64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for range n / 10 {
					if c, _ := code(p, "udp", "pay.test"); c == dns.RcodeServerFailure {
						bitten.Add(1)
					}
				}
			})
		}
		wg.Wait()
		touch := lift()
		require.Equal(t, touch.Touched, bitten.Load())
		return touch
	}
	touch := count()
	require.EqualValues(t, n, touch.Matched)
	require.InDelta(t, n*share, touch.Touched, 5*math.Sqrt(n*share*(1-share)))
	require.Equal(t, touch, count(), "the same seed")
	d.Share, d.First = 0, 4
	require.EqualValues(t, 4, count().Touched)
}

func TestDNSFaultFlaps(t *testing.T) {
	p, _ := dnsFront(t, resolver(t))
	d := answered("refused")
	d.Flap = &plan.Flap{On: plan.Duration(40 * time.Millisecond), Off: plan.Duration(40 * time.Millisecond)}
	lift := injectOn(t, p, "d", d, 1)
	for _, want := range []int{dns.RcodeRefused, dns.RcodeSuccess, dns.RcodeRefused, dns.RcodeSuccess} {
		require.Eventually(t, func() bool { c, _ := code(p, "udp", "pay.test"); return c == want }, patience, time.Millisecond)
	}
	require.NotZero(t, lift().Touched)
}

func TestDNSFaultsOverlap(t *testing.T) {
	p, _ := dnsFront(t, resolver(t))
	liftAnswer := injectOn(t, p, "a", answered("servfail"), 1)
	liftDelay := injectOn(t, p, "b", plan.Disruption{Latency: &plan.Latency{Delay: plan.Duration(20 * time.Millisecond)}}, 1)
	answer, took, err := resolve(p, "udp", "pay.test", patience)
	require.NoError(t, err)
	require.Equal(t, dns.RcodeServerFailure, answer.Rcode)
	require.GreaterOrEqual(t, took, 20*time.Millisecond, "what delays comes first")
	liftAnswer()
	answer, took, err = resolve(p, "tcp", "pay.test", patience)
	require.NoError(t, err)
	require.Equal(t, dns.RcodeSuccess, answer.Rcode)
	require.GreaterOrEqual(t, took, 20*time.Millisecond)
	require.EqualValues(t, 2, liftDelay().Touched)
}

// A question that is being held is answered when the fault is lifted, and let
// go of when the proxy is closed.
func TestDNSLiftReleasesWhatIsHeld(t *testing.T) {
	for _, network := range []string{"udp", "tcp"} {
		p, g := dnsFront(t, resolver(t))
		lift := injectOn(t, p, "d", ofMinute(), 1)
		got := make(chan error, 1)
		ask := func(n uint64) {
			go func() { _, _, err := resolve(p, network, "pay.test", patience); got <- err }()
			require.Eventually(t, func() bool { return p.faults()[0].tally.soFar().Touched == n }, patience, time.Millisecond)
		}
		ask(1)
		require.EqualValues(t, 1, lift().Touched)
		require.NoError(t, <-got)

		injectOn(t, p, "e", ofMinute(), 1)
		asking, err := dns.Dial(network, p.address.String())
		require.NoError(t, err)
		require.NoError(t, asking.WriteMsg(new(dns.Msg).SetQuestion("pay.test.", dns.TypeA)))
		require.Eventually(t, func() bool { return p.faults()[0].tally.soFar().Touched == 1 }, patience, time.Millisecond)
		require.NoError(t, asking.Close(), "gives up")
		require.NoError(t, p.Close())
		_, _, unfinished := g.total("")
		require.EqualValues(t, 1, unfinished)
	}
}

func TestDNSRefusesNonsense(t *testing.T) {
	p, _ := dnsFront(t, resolver(t))
	for _, c := range []struct {
		d    plan.Disruption
		want string
	}{
		{plan.Disruption{}, "no fault given"},
		{answered("nxdomian"), `there is no answer "nxdomian": use one of empty, none,`},
		{plan.Disruption{Reset: &plan.Reset{}}, "reset can not be done to dns: use dns or latency"},
		{plan.Disruption{Latency: &plan.Latency{}}, "delay 0s is not above 0"},
	} {
		c.d.Name, c.d.Dependency = "d", "db"
		_, err := p.Disruption(c.d, 1)
		require.ErrorContains(t, err, c.want)
	}
	for _, c := range []struct {
		d    plan.Dependency
		want string
	}{
		{plan.Dependency{Upstream: "http://127.0.0.1:53"}, "wants HOST:PORT"},
		{plan.Dependency{Upstream: "127.0.0.1:53", Serve: &plan.Serve{}}, "leave out tls and serve"},
		{plan.Dependency{Upstream: p.address.String(), Listen: p.address.String()}, "another process does"},
	} {
		_, err := NewDNSProxy(t.Context(), "db", c.d, "beta", nil)
		require.ErrorContains(t, err, c.want)
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer packets.Close()
	_, err = NewDNSProxy(t.Context(), "db", plan.Dependency{Upstream: "127.0.0.1:53", Listen: packets.LocalAddr().String()}, "beta", nil)
	require.ErrorContains(t, err, "for UDP: stop what does")
}
