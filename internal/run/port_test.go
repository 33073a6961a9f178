package run

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// A service's port must not be one that the kernel hands out to others while
// the service starts.
func TestPortsOfServicesAreNotThoseOfConnections(t *testing.T) {
	for range 20 {
		l, err := listenAnywhere()
		require.NoError(t, err)
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		require.GreaterOrEqual(t, port, firstPort)
		require.LessOrEqual(t, port, lastPort)
	}
}
