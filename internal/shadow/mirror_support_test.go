package shadow

import (
	"fmt"
	"io"
	"log"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func nowhere() *log.Logger { return log.New(io.Discard, "", 0) }

// deadAddress is one where nobody listens: it is taken, so that nobody will who asks for
// any that is free.
func deadAddress(t testing.TB) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(socket) })
	require.NoError(t, syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1), "for who asks for this one")
	require.NoError(t, syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	bound, err := syscall.Getsockname(socket)
	require.NoError(t, err)
	return fmt.Sprintf("127.0.0.1:%d", bound.(*syscall.SockaddrInet4).Port)
}

// body is what follows the head of an answer.
func body(answer string) string {
	_, b, _ := strings.Cut(answer, "\r\n\r\n")
	return b
}
