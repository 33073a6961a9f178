package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// What could not be lifted is tried again, and only what worked is remembered.
func TestOnceItWorked(t *testing.T) {
	calls := 0
	lift := once(func(context.Context) (measure.Touch, error) {
		if calls++; calls < 3 {
			return measure.Touch{Matched: 7}, errors.New("not now")
		}
		return measure.Touch{Matched: uint64(calls)}, nil
	})
	for range 2 {
		touch, err := lift(t.Context())
		require.EqualError(t, err, "not now")
		require.EqualValues(t, 7, touch.Matched)
	}
	for range 3 {
		touch, err := lift(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 3, touch.Matched)
	}
}

// taken is a port that lost the socket that held it, to somebody else.
func taken(t *testing.T, p *port) (free func()) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.NoError(t, syscall.Close(p.held))
	p.held = notHeld
	l, err := net.Listen("tcp", p.address.String())
	require.NoError(t, err)
	return func() { require.NoError(t, l.Close()) }
}

func TestAPortThatCouldNotOpenIsOpenedLater(t *testing.T) {
	tcp, _ := tcpFront(t, plan.Dependency{Upstream: echo(t), Listen: quietAddress(t)})
	web, err := NewProxy(t.Context(), "db", plan.Dependency{Upstream: "http://" + echo(t), Listen: quietAddress(t)}, "", t.TempDir(), func(measure.Batch) error { return nil })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, web.Close()) })
	for on, port := range map[Dependency]*port{tcp: tcp.port, web: web.port} {
		d, err := on.Disruption(plan.Disruption{Name: "d", Dependency: "db", Refuse: &plan.Refuse{}}, 1)
		require.NoError(t, err)
		lift, err := d.Inject(t.Context(), func(json.RawMessage) error { return nil })
		require.NoError(t, err)
		free := taken(t, port)
		for range 2 {
			_, err = lift(t.Context())
			require.ErrorContains(t, err, "can not listen on")
			_, err = d.Inject(t.Context(), nil)
			require.ErrorContains(t, err, "already in effect")
		}
		free()
		for range 2 {
			touch, err := lift(t.Context())
			require.NoError(t, err)
			require.Equal(t, measure.Touch{Matched: 1, Touched: 1, Unit: "ports"}, touch)
		}
		conn, err := net.Dial("tcp", port.address.String())
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
	requireEcho(t, exchangeWith(tcp.at()))
}

// A flap that could not do its turn is told of, whatever went well afterwards.
func TestTheErrorOfAFlapIsKept(t *testing.T) {
	p, _ := tcpFront(t, plan.Dependency{Upstream: echo(t), Listen: quietAddress(t)})
	d, err := p.Disruption(plan.Disruption{Name: "d", Dependency: "db", Refuse: &plan.Refuse{}, Flap: &plan.Flap{On: plan.Duration(tcpSlow), Off: plan.Duration(tcpSlow)}}, 1)
	require.NoError(t, err)
	lift, err := d.Inject(t.Context(), nil)
	require.NoError(t, err)
	i := func() *tcpInjection { p.mu.Lock(); defer p.mu.Unlock(); return p.injected[0] }()
	p.mu.Lock()
	if !i.refused {
		require.NoError(t, i.begin())
	}
	free := taken(t, p.port)
	p.mu.Unlock()
	turn := func(n int) { // waits for turns of the flap that went well
		was := false
		require.Eventually(t, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			if i.refused != was {
				was = i.refused
				n--
			}
			return n < 0
		}, patience, tcpSlow/10)
	}
	require.Eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return i.err != nil }, patience, tcpSlow/10)
	free()
	turn(3)
	_, err = lift(t.Context())
	require.ErrorContains(t, err, "can not listen on")
	_, err = lift(t.Context())
	require.NoError(t, err)
	requireEcho(t, exchangeWith(p.at()))
}
