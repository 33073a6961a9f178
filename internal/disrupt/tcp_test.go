package disrupt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// tcpContract says how to see a fault on connections bite.
type tcpContract struct {
	mild   plan.Disruption // harm that is quickly over
	harsh  plan.Disruption // harm so that nothing comes through for a minute, or ever
	bitten func(tcpReply) bool
	exact  bool // bitten is false for all that were not touched
	keeps  bool // data comes through whole
	unit   string
}

// tcpReply is what a client saw of one connection.
type tcpReply struct {
	err   error
	data  []byte
	first time.Duration // until the first data
	took  time.Duration // until the last data
	end   time.Duration // from there to the end
}

const tcpSlow = 15 * time.Millisecond

func ofMinute() plan.Disruption {
	return plan.Disruption{Latency: &plan.Latency{Delay: plan.Duration(time.Minute)}}
}

var tcpContracts = map[string]tcpContract{
	"latency": {
		mild:   plan.Disruption{Latency: &plan.Latency{Delay: plan.Duration(tcpSlow)}},
		harsh:  ofMinute(),
		bitten: func(r tcpReply) bool { return r.err == nil && r.took >= tcpSlow }, keeps: true,
	},
	"bandwidth": {
		mild:   plan.Disruption{Bandwidth: &plan.Bandwidth{PerSecond: plan.Size(len(tcpPing) * 100)}}, // 10 ms each way
		harsh:  plan.Disruption{Bandwidth: &plan.Bandwidth{PerSecond: 1}},
		bitten: func(r tcpReply) bool { return r.err == nil && r.took >= tcpSlow }, keeps: true,
	},
	"slow_close": {
		mild:   plan.Disruption{SlowClose: &plan.SlowClose{Delay: plan.Duration(tcpSlow)}},
		harsh:  plan.Disruption{SlowClose: &plan.SlowClose{Delay: plan.Duration(time.Minute)}},
		bitten: func(r tcpReply) bool { return r.err == nil && r.took+r.end >= tcpSlow }, keeps: true,
	},
	"slice": {
		mild:   plan.Disruption{Slice: &plan.Slice{Size: plan.Size(len(tcpPing) / 10), Delay: plan.Duration(2 * time.Millisecond)}},
		harsh:  plan.Disruption{Slice: &plan.Slice{Size: 1, Delay: plan.Duration(time.Minute)}},
		bitten: func(r tcpReply) bool { return r.err == nil && r.took >= tcpSlow }, keeps: true,
	},
	"timeout": {
		mild:   plan.Disruption{Timeout: &plan.Timeout{After: plan.Duration(tcpSlow)}},
		harsh:  plan.Disruption{Timeout: &plan.Timeout{}},
		bitten: func(r tcpReply) bool { return len(r.data) == 0 }, exact: true,
	},
	"reset": {
		mild:   plan.Disruption{Reset: &plan.Reset{}},
		harsh:  plan.Disruption{Reset: &plan.Reset{After: plan.Duration(time.Minute)}},
		bitten: func(r tcpReply) bool { return errors.Is(r.err, syscall.ECONNRESET) || errors.Is(r.err, syscall.EPIPE) }, exact: true,
	},
	"truncate": {
		mild:   plan.Disruption{Truncate: &plan.Truncate{After: 10}},
		bitten: func(r tcpReply) bool { return len(r.data) == 10 }, exact: true,
	},
	"corrupt": {
		mild: plan.Disruption{Corrupt: &plan.Corrupt{}},
		bitten: func(r tcpReply) bool {
			return r.err == nil && len(r.data) == len(tcpPing) && !bytes.Equal(r.data, []byte(tcpPing))
		}, exact: true,
	},
	"refuse": {
		mild:   plan.Disruption{Refuse: &plan.Refuse{}},
		bitten: func(r tcpReply) bool { return errors.Is(r.err, syscall.ECONNREFUSED) }, exact: true, unit: "ports",
	},
}

var tcpPing = string(bytes.Repeat([]byte("0123456789"), 100))

func TestEveryTCPFaultHasAContract(t *testing.T) {
	require.Equal(t, slices.Sorted(maps.Keys(tcpFaults)), slices.Sorted(maps.Keys(tcpContracts)))
}

// echo is a server that answers what it gets, and ends when its client does.
func echo(t testing.TB) string {
	t.Helper()
	return tcpServer(t, func(c net.Conn) { _, _ = io.Copy(c, c) })
}

// tcpServer is a server whose connections are handled and then closed.
func tcpServer(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); conns.Wait() })
	return l.Addr().String()
}

// tcpGathered is what a proxy emitted.
type tcpGathered struct {
	mu      sync.Mutex
	windows []measure.Window
}

func (g *tcpGathered) emit(b measure.Batch) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.windows = append(g.windows, b.Windows...)
	return nil
}

// total adds up what was emitted with a status.
func (g *tcpGathered) total(status string) (count, failed, unfinished uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range g.windows {
		if w.Series.Status == status {
			count, failed, unfinished = count+w.Count, failed+w.Failed, unfinished+w.Unfinished
		}
	}
	return count, failed, unfinished
}

func tcpFront(t testing.TB, d plan.Dependency) (*TCPProxy, *tcpGathered) {
	t.Helper()
	g := &tcpGathered{}
	d.Protocol = "tcp"
	p, err := NewTCPProxy(t.Context(), "db", d, "beta", t.TempDir(), g.emit)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p, g
}

func (p *TCPProxy) at() string { return p.port.address.String() }

// exchangeWith sends the ping and reads what comes, to the end.
func exchangeWith(address string) (r tcpReply) { return exchanged(address, true) }

// exchanged is exchangeWith that says that it has said all, or does not.
func exchanged(address string, ending bool) (r tcpReply) {
	start := time.Now()
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return tcpReply{err: err}
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, r.err = c.Write([]byte(tcpPing)); r.err != nil {
		return r
	}
	if ending {
		_ = c.(*net.TCPConn).CloseWrite()
	}
	buffer := make([]byte, 4096)
	for {
		n, err := c.Read(buffer)
		if n > 0 {
			if r.data = append(r.data, buffer[:n]...); r.first == 0 {
				r.first = time.Since(start)
			}
			r.took = time.Since(start)
		}
		if err != nil {
			r.end = time.Since(start) - r.took
			if !errors.Is(err, io.EOF) {
				r.err = err
			}
			return r
		}
	}
}

func requireEcho(t testing.TB, r tcpReply) {
	t.Helper()
	require.NoError(t, r.err)
	require.True(t, tcpPing == string(r.data), "%d bytes", len(r.data))
}

// injectOn puts a disruption on any dependency.
func injectOn(t testing.TB, on Dependency, name string, d plan.Disruption, seed int64) (lift func() measure.Touch) {
	t.Helper()
	d.Name, d.Dependency = name, "db"
	disruption, err := on.Disruption(d, seed)
	require.NoError(t, err)
	_, err = disruption.Prepare(t.Context())
	require.NoError(t, err)
	l, err := disruption.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.NoError(t, err)
	return func() measure.Touch {
		done, cancel := context.WithCancel(context.Background())
		cancel() // lifting must not need a context that lasts
		start := time.Now()
		touch, err := l(done)
		require.NoError(t, err)
		require.Less(t, time.Since(start), patience/2, "faults hold what they hold for a minute")
		return touch
	}
}

func eachTCPFault(t *testing.T, test func(t *testing.T, c tcpContract, p *TCPProxy)) {
	for name, c := range tcpContracts {
		t.Run(name, func(t *testing.T) {
			before := goleak.IgnoreCurrent()
			t.Run("run", func(t *testing.T) {
				p, _ := tcpFront(t, plan.Dependency{Upstream: echo(t)})
				test(t, c, p)
			})
			requireNoLeaks(t, before)
		})
	}
}

func (c tcpContract) touch(n uint64) measure.Touch {
	if c.unit == "ports" {
		return measure.Touch{Matched: 1, Touched: 1, Unit: "ports"}
	}
	return measure.Touch{Matched: n, Touched: n, Unit: "connections"}
}

func TestTCPFaultBitesAndLifts(t *testing.T) {
	eachTCPFault(t, func(t *testing.T, c tcpContract, p *TCPProxy) {
		requireEcho(t, exchangeWith(p.at()))
		requireOpen(t, p, 0)
		lift := injectOn(t, p, "d", c.mild, 1)
		for range 5 {
			r := exchangeWith(p.at())
			require.True(t, c.bitten(r), "%+v", r)
			if c.keeps {
				requireEcho(t, r)
			}
		}
		require.Equal(t, c.touch(5), lift())
		for range 5 {
			requireEcho(t, exchangeWith(p.at()))
		}
		require.Equal(t, c.touch(5), lift(), "lifting twice")
		require.Empty(t, p.injected)
	})
}

// After lifting a connection that is still open takes the short way again.
func TestTCPLiftLeavesNoChain(t *testing.T) {
	eachTCPFault(t, func(t *testing.T, c tcpContract, p *TCPProxy) {
		if !c.keeps {
			return // nothing stays open
		}
		client, err := net.Dial("tcp", p.at())
		require.NoError(t, err)
		defer client.Close()
		require.NoError(t, client.SetDeadline(time.Now().Add(patience)))
		ping := func() {
			_, err := client.Write([]byte(tcpPing))
			require.NoError(t, err)
			_, err = io.ReadFull(client, make([]byte, len(tcpPing)))
			require.NoError(t, err)
		}
		chained := func() (out bool) {
			p.mu.Lock()
			defer p.mu.Unlock()
			require.Len(t, p.wires, 1)
			for w := range p.wires {
				for _, l := range []*line{w.down, w.up} {
					l.mu.Lock()
					out = out || l.chain != nil
					l.mu.Unlock()
				}
			}
			return out
		}
		ping()
		require.False(t, chained())
		lift := injectOn(t, p, "d", c.mild, 1)
		ping()
		require.True(t, chained())
		lift()
		ping()
		require.False(t, chained())
	})
}

// A share is kept to within 5 standard deviations of a binomial, what is counted
// is what clients felt, and the same seed touches as many.
func TestTCPFaultIsBoundedByShareAndFirst(t *testing.T) {
	const n, share = 120, 0.3
	eachTCPFault(t, func(t *testing.T, c tcpContract, p *TCPProxy) {
		if c.unit == "ports" {
			return // all or nothing
		}
		count := func(d plan.Disruption) measure.Touch {
			requireOpen(t, p, 0)
			lift := injectOn(t, p, "d", d, 7)
			var bitten atomic.Uint64
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					for range n / 10 {
						r := exchangeWith(p.at())
						if c.bitten(r) {
							bitten.Add(1)
						} else if r.err != nil {
							t.Error(r.err)
						} else if len(r.data) != len(tcpPing) {
							t.Errorf("%+v", r)
						}
					}
				})
			}
			wg.Wait()
			touch := lift()
			if c.exact {
				require.Equal(t, touch.Touched, bitten.Load())
			}
			require.GreaterOrEqual(t, bitten.Load(), touch.Touched)
			return touch
		}
		d := c.mild
		d.Share = share
		touch := count(d)
		require.EqualValues(t, n, touch.Matched)
		require.InDelta(t, n*share, touch.Touched, 5*math.Sqrt(n*share*(1-share)))
		require.Equal(t, touch, count(d), "the same seed")
		d.First = 3
		require.EqualValues(t, 3, count(d).Touched)
	})
}

// A stream of random data lives through faults that come and go.
func TestTCPDataIsWholeThroughFaults(t *testing.T) {
	eachTCPFault(t, func(t *testing.T, c tcpContract, p *TCPProxy) {
		d := c.mild
		if d.Timeout != nil {
			d = c.harsh
		} else if !c.keeps {
			return
		}
		if d.Bandwidth != nil || d.Slice != nil {
			d.Bandwidth, d.Slice = nil, nil
			if c.mild.Bandwidth != nil {
				d.Bandwidth = &plan.Bandwidth{PerSecond: 8 << 20}
			} else {
				d.Slice = &plan.Slice{Size: 1000}
			}
		}
		data := make([]byte, 2<<20)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
		client, err := net.Dial("tcp", p.at())
		require.NoError(t, err)
		defer client.Close()
		require.NoError(t, client.SetDeadline(time.Now().Add(2*patience)))
		requireOpen(t, p, 1)
		var got []byte
		var reading sync.WaitGroup
		reading.Go(func() { got, err = io.ReadAll(client) })
		for i := 0; i < len(data); i += len(data) / 8 {
			lift := injectOn(t, p, "d", d, int64(i))
			sending := make(chan error, 1)
			go func() { _, err := client.Write(data[i : i+len(data)/8]); sending <- err }()
			if d.Timeout == nil {
				require.NoError(t, <-sending)
				require.EqualValues(t, 1, lift().Touched)
				continue
			}
			require.EqualValues(t, 1, lift().Touched)
			require.NoError(t, <-sending)
		}
		require.NoError(t, client.(*net.TCPConn).CloseWrite())
		reading.Wait()
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got), "%d of %d bytes", len(got), len(data))
	})
}

// heldBack has a client send something under a fault that lets nothing pass.
func heldBack(t *testing.T, p *TCPProxy) net.Conn {
	t.Helper()
	client, err := net.Dial("tcp", p.at())
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	require.NoError(t, client.SetDeadline(time.Now().Add(2*patience)))
	_, err = client.Write([]byte(tcpPing))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return touchedBy(p) == 1 }, patience, time.Millisecond)
	return client
}

func touchedBy(p *TCPProxy) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.injected[0].tally.soFar().Touched
}

func TestTCPLiftReleasesWhatIsHeld(t *testing.T) {
	eachTCPFault(t, func(t *testing.T, c tcpContract, p *TCPProxy) {
		if c.harsh.Faults() == nil {
			return
		}
		lift := injectOn(t, p, "d", c.harsh, 1)
		client := heldBack(t, p)
		require.EqualValues(t, 1, lift().Touched)
		got := make([]byte, len(tcpPing))
		_, err := io.ReadFull(client, got)
		require.NoError(t, err)
		require.Equal(t, tcpPing, string(got))
		requireEcho(t, exchangeWith(p.at()))
	})
}

func TestTCPFaultMeetsOpenConnections(t *testing.T) {
	eachTCPFault(t, func(t *testing.T, c tcpContract, p *TCPProxy) {
		client, err := net.Dial("tcp", p.at())
		require.NoError(t, err)
		defer client.Close()
		require.NoError(t, client.SetDeadline(time.Now().Add(patience)))
		echoed := func() tcpReply {
			start, r := time.Now(), tcpReply{}
			if _, r.err = client.Write([]byte(tcpPing)); r.err != nil {
				return r
			}
			got := make([]byte, len(tcpPing))
			n, err := io.ReadFull(client, got)
			r.data, r.took = got[:n], time.Since(start)
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				r.err = err
			}
			return r
		}
		requireEcho(t, echoed())
		lift := injectOn(t, p, "d", c.mild, 1)
		r := echoed()
		switch {
		case c.unit == "ports":
			require.Error(t, r.err)
		case c.mild.SlowClose == nil:
			require.True(t, c.bitten(r), "%+v", r)
		}
		require.Equal(t, c.touch(1), lift())
		if c.keeps {
			requireEcho(t, echoed())
		}
	})
}

func TestTCPFaultsOverlap(t *testing.T) {
	for name, second := range tcpContracts {
		t.Run("with "+name, func(t *testing.T) {
			eachTCPFault(t, func(t *testing.T, first tcpContract, p *TCPProxy) {
				liftFirst, liftSecond := injectOn(t, p, "a", first.mild, 1), injectOn(t, p, "b", second.mild, 2)
				both := exchangeWith(p.at())
				require.True(t, first.bitten(both) || second.bitten(both), "%+v", both)
				liftFirst()
				alone := exchangeWith(p.at())
				require.True(t, second.bitten(alone), "lifting one leaves the other: %+v", alone)
				liftSecond()
				requireEcho(t, exchangeWith(p.at()))
			})
		})
	}
}

func TestTCPFaultLetsGoOfClientsThatGiveUp(t *testing.T) {
	eachTCPFault(t, func(t *testing.T, c tcpContract, p *TCPProxy) {
		if c.harsh.Faults() == nil {
			return
		}
		lift := injectOn(t, p, "d", c.harsh, 1)
		client := heldBack(t, p)
		require.NoError(t, client.Close())
		lift()
		requireOpen(t, p, 0)
	})
}

// requireOpen waits until a proxy has so many connections.
func requireOpen(t *testing.T, p *TCPProxy, n int) {
	t.Helper()
	require.Eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.wires) == n }, patience, time.Millisecond)
}

func TestTCPProxyIsClosedDuringFault(t *testing.T) {
	eachTCPFault(t, func(t *testing.T, c tcpContract, p *TCPProxy) {
		if c.harsh.Faults() == nil {
			return
		}
		lift := injectOn(t, p, "d", c.harsh, 1)
		client := heldBack(t, p)
		require.NoError(t, p.Close())
		_, err := io.ReadAll(client)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		if touched := lift().Touched; c.harsh.Reset == nil {
			require.EqualValues(t, 1, touched)
		} else {
			require.Zero(t, touched, "it was over before its reset was due")
		}
	})
}

// A client that does not read keeps data waiting; lifting does not wait for it,
// and nothing of it is lost.
func TestTCPLiftDoesNotWaitForSlowReaders(t *testing.T) {
	p, _ := tcpFront(t, plan.Dependency{Upstream: echo(t)})
	client, err := net.Dial("tcp", p.at())
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.SetDeadline(time.Now().Add(2*patience)))
	lifts := []func() measure.Touch{
		injectOn(t, p, "a", plan.Disruption{Bandwidth: &plan.Bandwidth{PerSecond: 1 << 30}}, 1),
		injectOn(t, p, "b", plan.Disruption{Latency: &plan.Latency{Delay: plan.Duration(time.Millisecond)}}, 1),
		injectOn(t, p, "c", plan.Disruption{Slice: &plan.Slice{Size: 10_000}}, 1),
	}
	data := make([]byte, 16<<20) // more than the system buffers
	_, _ = rand.NewChaCha8([32]byte{2}).Read(data)
	sending := make(chan error, 1)
	go func() {
		_, err := client.Write(data)
		sending <- errors.Join(err, client.(*net.TCPConn).CloseWrite())
	}()
	require.Eventually(t, func() bool { return touchedBy(p) == 1 }, patience, time.Millisecond)
	for _, lift := range lifts {
		lift()
	}
	got, err := io.ReadAll(client)
	require.NoError(t, err)
	require.NoError(t, <-sending)
	require.True(t, bytes.Equal(data, got), "%d of %d bytes", len(got), len(data))
}

// A fault that flaps is felt, not felt, and felt again, also by a connection
// that is open all the time.
func TestTCPFaultFlaps(t *testing.T) {
	flap := &plan.Flap{On: plan.Duration(60 * time.Millisecond), Off: plan.Duration(60 * time.Millisecond)}
	for name, d := range map[string]plan.Disruption{
		"reset": {Reset: &plan.Reset{}, Flap: flap}, "refuse": {Refuse: &plan.Refuse{}, Flap: flap},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := tcpFront(t, plan.Dependency{Upstream: echo(t)})
			lift := injectOn(t, p, "d", d, 1)
			for _, want := range []bool{true, false, true, false, true} {
				require.Eventually(t, func() bool { return tcpContracts[name].bitten(exchangeWith(p.at())) == want }, patience, time.Millisecond)
			}
			require.NotZero(t, lift().Touched)
			requireEcho(t, exchangeWith(p.at()))
		})
	}
	t.Run("timeout", func(t *testing.T) {
		p, _ := tcpFront(t, plan.Dependency{Upstream: echo(t)})
		client, err := net.Dial("tcp", p.at())
		require.NoError(t, err)
		defer client.Close()
		require.NoError(t, client.SetDeadline(time.Now().Add(2*patience)))
		lift := injectOn(t, p, "d", plan.Disruption{Timeout: &plan.Timeout{}, Flap: flap}, 1)
		got, waited := make([]byte, len(tcpPing)), 0
		for waited < 3 {
			on, until := p.injected[0].tally.acts(time.Now())
			held := on && time.Until(until) > time.Duration(flap.On)/2 // and not just by chance
			_, err := client.Write([]byte(tcpPing))
			require.NoError(t, err)
			_, err = io.ReadFull(client, got)
			require.NoError(t, err)
			require.Equal(t, tcpPing, string(got))
			if held && !time.Now().Before(until) {
				waited++
			}
		}
		require.Equal(t, measure.Touch{Matched: 1, Touched: 1, Unit: "connections"}, lift())
	})
}

// While the port refuses nobody else can take it.
func TestTCPRefusalKeepsThePort(t *testing.T) {
	p, _ := tcpFront(t, plan.Dependency{Upstream: echo(t), Listen: quietAddress(t)})
	first, second := injectOn(t, p, "a", plan.Disruption{Refuse: &plan.Refuse{}}, 1), injectOn(t, p, "b", plan.Disruption{Refuse: &plan.Refuse{}}, 1)
	require.ErrorIs(t, exchangeWith(p.at()).err, syscall.ECONNREFUSED)
	l, err := net.Listen("tcp", p.at())
	if err == nil {
		_ = l.Close()
	}
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	first()
	require.ErrorIs(t, exchangeWith(p.at()).err, syscall.ECONNREFUSED, "the other still refuses")
	second()
	requireEcho(t, exchangeWith(p.at()))

	injectOn(t, p, "c", plan.Disruption{Refuse: &plan.Refuse{}}, 1)
	require.NoError(t, p.Close())
	l, err = net.Listen("tcp", p.at())
	require.NoError(t, err, "closing gives the port up")
	require.NoError(t, l.Close())
}

func TestTCPIsMeasured(t *testing.T) {
	p, g := tcpFront(t, plan.Dependency{Upstream: echo(t)})
	for range 3 {
		requireEcho(t, exchangeWith(p.at()))
	}
	requireOpen(t, p, 0) // or one that is about to end would be the first
	lift := injectOn(t, p, "d", plan.Disruption{Truncate: &plan.Truncate{After: 5}, First: 1}, 1)
	require.Len(t, exchangeOpen(t, p.at()), 5)
	lift()
	requireOpen(t, p, 0)
	open, err := net.Dial("tcp", p.at())
	require.NoError(t, err)
	defer open.Close()
	requireOpen(t, p, 1)
	require.NoError(t, p.Close())
	count, failed, unfinished := g.total("")
	require.EqualValues(t, 5, count)
	require.EqualValues(t, 1, unfinished, "open at the end")
	require.EqualValues(t, 1, failed-unfinished, "cut off")
	require.Equal(t, measure.Series{Metric: measure.MetricDependency, Phase: "beta", Step: "db"}, g.windows[0].Series)
}

// exchangeOpen sends the ping without ending, and reads to the end.
func exchangeOpen(t *testing.T, address string) []byte {
	t.Helper()
	c, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	_, err = c.Write([]byte(tcpPing))
	require.NoError(t, err)
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	return got
}

// Without a dependency a client is reset, which is as near to being refused as
// an accepted connection can come.
func TestTCPWithoutDependency(t *testing.T) {
	p, g := tcpFront(t, plan.Dependency{Upstream: "127.0.0.1:1"}) // a port that is never given out
	require.Error(t, exchangeWith(p.at()).err)
	require.NoError(t, p.Close())
	count, failed, _ := g.total("")
	require.EqualValues(t, 1, count)
	require.EqualValues(t, 1, failed)
}

func TestTCPDisruptionRefusesNonsense(t *testing.T) {
	p, _ := tcpFront(t, plan.Dependency{Upstream: echo(t)})
	for name, c := range map[string]struct {
		d    plan.Disruption
		want string
	}{
		"none":        {plan.Disruption{}, "no fault given"},
		"two":         {plan.Disruption{Reset: &plan.Reset{}, Refuse: &plan.Refuse{}}, "more than one fault given (refuse, reset)"},
		"error":       {plan.Disruption{Error: &plan.Error{}}, "error can not be done to tcp: use one of bandwidth, corrupt,"},
		"match":       {plan.Disruption{Reset: &plan.Reset{}, Match: &plan.Match{Path: "/"}}, "leave out match"},
		"share":       {plan.Disruption{Reset: &plan.Reset{}, Share: 2}, "share 2 is not"},
		"refuse":      {plan.Disruption{Refuse: &plan.Refuse{}, Share: 0.5}, "leave out share and first"},
		"certificate": {plan.Disruption{Certificate: &plan.Certificate{Kind: "expired"}}, "shows no certificate: add serve"},
		"delay":       {plan.Disruption{Latency: &plan.Latency{}}, "latency: delay"},
		"rate":        {plan.Disruption{Bandwidth: &plan.Bandwidth{}}, "per_second must be more"},
		"size":        {plan.Disruption{Slice: &plan.Slice{}}, "size must be more"},
		"bytes":       {plan.Disruption{Corrupt: &plan.Corrupt{Bytes: 2}}, "bytes 2 is not"},
		"closing":     {plan.Disruption{SlowClose: &plan.SlowClose{}}, "slow_close: delay 0s"},
	} {
		t.Run(name, func(t *testing.T) {
			c.d.Name, c.d.Dependency = "d", "db"
			_, err := p.Disruption(c.d, 1)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := p.Disruption(plan.Disruption{Name: "d", Dependency: "other", Reset: &plan.Reset{}}, 1)
	require.ErrorContains(t, err, `is for dependency "other"`)
	require.NoError(t, p.Close())
	d, err := p.Disruption(plan.Disruption{Name: "d", Dependency: "db", Reset: &plan.Reset{}}, 1)
	require.NoError(t, err)
	_, err = d.Inject(t.Context(), nil)
	require.ErrorIs(t, err, errProxyClosed)
}

// Delays that vary are drawn from the seed, like all that is decided by chance.
func TestTCPJitterFollowsTheSeed(t *testing.T) {
	ms := plan.Duration(time.Millisecond)
	h, err := readTCPHarm(plan.Disruption{Latency: &plan.Latency{Delay: 10 * ms, Jitter: 5 * ms}})
	require.NoError(t, err)
	delays := func() (list []time.Duration) {
		d := h.toxic(rand.New(rand.NewPCG(1, 2))).(drawn)
		for range 5 {
			list = append(list, d.latency.of(d.random.Float64()))
		}
		return list
	}
	require.Equal(t, delays(), delays())
}
