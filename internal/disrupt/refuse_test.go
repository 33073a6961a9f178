package disrupt

import (
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Without bounds the port itself is closed: what is open is reset, what comes
// is refused, and afterwards the proxy is where it was.
func TestRefusedPort(t *testing.T) {
	p, _ := frontOf(t, ok)
	client, address := newClient(t, http1), p.listener.Addr().String()
	requireWell(t, get(t, client, p.URL()))
	open, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer open.Close()
	visitors := func() int {
		p.visitors.mu.Lock()
		defer p.visitors.mu.Unlock()
		return len(p.visitors.open)
	}
	require.Eventually(t, func() bool { return visitors() == 2 }, patience, patience/10000)

	refuse := plan.Disruption{Refuse: &plan.Refuse{}}
	first, second := inject(t, refuse, p, 1), inject(t, refuse, p, 1)
	_, err = open.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = net.Dial("tcp", address)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.Equal(t, measure.Touch{Matched: 1, Touched: 1, Unit: "ports"}, first())
	_, err = net.Dial("tcp", address)
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "the other one is still in effect")
	second()
	second()
	require.Equal(t, address, p.listener.Addr().String())
	requireWell(t, get(t, client, p.URL()))
	require.NoError(t, p.Close())
}

func TestProxyIsClosedWhileItsPortIs(t *testing.T) {
	p, _ := frontOf(t, ok)
	lift := inject(t, plan.Disruption{Refuse: &plan.Refuse{}}, p, 1)
	require.NoError(t, p.Close())
	require.EqualValues(t, 1, lift().Touched)
}

// Over HTTP/1 a reset is one of the connection.
func TestResetIsOfTheConnection(t *testing.T) {
	p, _ := frontOf(t, ok)
	defer inject(t, plan.Disruption{Reset: &plan.Reset{}}, p, 1)()
	conn, err := net.Dial("tcp", p.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.True(t, errors.Is(err, syscall.ECONNRESET), err)
}
