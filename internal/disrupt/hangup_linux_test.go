package disrupt

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"resilience/internal/plan"
)

// unread are beginnings of requests of HTTP/1 with a body that is not there as a
// whole, or of which nobody tells how long it is.
var unread = map[string]string{
	"of unknown length": "Transfer-Encoding: chunked\r\n\r\n2\r\ngo\r\n0\r\n\r\n",
	"unfinished":        "Transfer-Encoding: chunked\r\n\r\n2\r\ngo\r\n",
	"large":             "Content-Length: " + strconv.Itoa(100<<10) + "\r\n\r\n" + strings.Repeat("x", 100<<10),
	"asked for":         "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n",
}

// A client that gives up is let go of at once also where its request was not
// read to the end, and the dependency does not hear of that later.
func TestFaultsLetGoOfUploadsThatWereGivenUp(t *testing.T) {
	for _, name := range []string{"bandwidth", "latency", "reset", "timeout"} {
		for body, text := range unread {
			if name == "bandwidth" && body != "large" {
				continue // the others get through
			}
			t.Run(name+"/"+body, func(t *testing.T) {
				defer requireNoLeaks(t, goleak.IgnoreCurrent())
				var heard atomic.Int64
				t.Run("run", func(t *testing.T) {
					p, _ := frontOf(t, func(_ http.ResponseWriter, r *http.Request) {
						if n, _ := io.Copy(io.Discard, r.Body); n < 100<<10 && name == "bandwidth" {
							return
						}
						heard.Add(1)
					})
					lift := inject(t, *contracts[name].held, p, 1)
					conn, err := net.Dial("tcp", p.listener.Addr().String())
					require.NoError(t, err)
					defer conn.Close()
					_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: dep\r\n"+text)
					require.NoError(t, err)
					require.Eventually(t, func() bool { return touched(p) == 1 }, patience, time.Millisecond)
					require.NoError(t, conn.Close())
					requireMeasured(t, p, 1)
					require.EqualValues(t, 1, lift().Touched)
					requireNoneOpen(t, p)
				})
				require.Zero(t, heard.Load())
			})
		}
	}
}

// requireNoneOpen waits until a proxy has no connection any more.
func requireNoneOpen(t *testing.T, p *Proxy) {
	t.Helper()
	require.Eventually(t, func() bool {
		p.visitors.mu.Lock()
		defer p.visitors.mu.Unlock()
		return len(p.visitors.open) == 0
	}, patience, time.Millisecond)
}

// Who sends more than a fault wants to read gets the whole answer and an end of
// the connection, not a reset that may overtake the answer.
func TestAnswersToLargeUploadsEndWell(t *testing.T) {
	p, _ := frontOf(t, ok)
	inject(t, plan.Disruption{Error: &plan.Error{Status: 503, Body: "no"}}, p, 1)
	conn, err := net.Dial("tcp", p.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	const sent = 512 << 10
	_, err = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: dep\r\nContent-Length: 100000000\r\n\r\n"+strings.Repeat("x", sent))
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 503"), string(answer))
	require.True(t, strings.HasSuffix(string(answer), "no"), string(answer))
}
