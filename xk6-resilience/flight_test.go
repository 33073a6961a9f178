package xk6resilience

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddressOfAFlight(t *testing.T) {
	v := &vu{}
	first := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	second := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2}
	for _, addr := range []net.Addr{first, first, second, first, &net.UnixAddr{Name: "/socket", Net: "unix"}} {
		require.Equal(t, addr.String(), (&flight{vu: v, remote: addr}).String())
	}
	require.Empty(t, (&flight{vu: v}).String())
}
