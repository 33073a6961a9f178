package shadow

import (
	"io"
	"log"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func nowhere() *log.Logger { return log.New(io.Discard, "", 0) }

// deadAddress is one where nobody listens.
func deadAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// body is what follows the head of an answer.
func body(answer string) string {
	_, b, _ := strings.Cut(answer, "\r\n\r\n")
	return b
}
