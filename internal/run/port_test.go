package run

import (
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// A service's port must not be one that the kernel hands out to others while
// the service starts.
func TestPortsOfServicesAreNotThoseOfConnections(t *testing.T) {
	for range 20 {
		l, _, err := listenAnywhere()
		require.NoError(t, err)
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		require.GreaterOrEqual(t, port, firstPort)
		require.LessOrEqual(t, port, lastPort)
	}
}

// Nor may it be given to the service of another run, although nobody listens there
// yet, or not any more.
func TestPortsOfServicesAreNoOtherRuns(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("ports are claimed on Linux alone")
	}
	b := &bound{ports: map[string]int{}}
	require.NoError(t, b.hold("web", 0))
	b.release()
	_, err := claim(b.ports["web"])
	require.Error(t, err)
	b.disclaim()
	again, err := claim(b.ports["web"])
	require.NoError(t, err)
	require.NoError(t, again.Close())
}
