package disrupt

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/websocket"
)

// What a client hears must not wait for what it says next, nor for the end.
func TestBodiesStreamBothWays(t *testing.T) {
	p, k := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(buf)
			_, _ = w.Write(buf[:n])
			_ = http.NewResponseController(w).Flush()
			if err != nil {
				return
			}
		}
	})
	eachProtocol(t, func(t *testing.T, client *http.Client) {
		body, pen := io.Pipe()
		defer pen.Close()
		r := request(t, "POST", p.URL(), "")
		r.Body, r.ContentLength = body, -1
		res, err := client.Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		chunk := make([]byte, 8<<10)
		_, _ = rand.Read(chunk)
		back := make([]byte, len(chunk))
		for range 128 { // 1 MiB
			_, err := pen.Write(chunk)
			require.NoError(t, err)
			_, err = io.ReadFull(res.Body, back)
			require.NoError(t, err)
			require.True(t, bytes.Equal(chunk, back))
		}
		require.NoError(t, pen.Close())
		rest, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Empty(t, rest)
	})
	require.NoError(t, p.Close())
	require.EqualValues(t, 2, k.byStatus()["200"].Count)
}

// A body whose length is known is not held back either.
func TestSlowBodyOfKnownLengthIsPassedAsItComes(t *testing.T) {
	goOn := make(chan struct{}, 1)
	p, _ := frontOf(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "2")
		for _, part := range []string{"o", "k"} {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
			<-goOn
		}
	})
	eachProtocol(t, func(t *testing.T, client *http.Client) {
		res, err := client.Get(p.URL())
		require.NoError(t, err)
		defer res.Body.Close()
		one := make([]byte, 1)
		for range 2 {
			_, err = io.ReadFull(res.Body, one)
			require.NoError(t, err)
			goOn <- struct{}{}
		}
	})
}

// An upstream that answers before it has the whole request is heard, and the
// proxy's connections stay usable.
func TestEarlyAnswerWhileUploading(t *testing.T) {
	p, k := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.Header().Set("Connection", "close")
		w.WriteHeader(413)
		_, _ = io.WriteString(w, "too large")
	})
	eachProtocol(t, func(t *testing.T, client *http.Client) {
		for _, size := range []int{1, 1000, 100 << 10} {
			for range 20 {
				answer := do(client, request(t, "POST", p.URL(), strings.Repeat("x", size)))
				require.NoError(t, answer.err)
				require.Equal(t, 413, answer.StatusCode)
				require.Equal(t, "too large", answer.body)
			}
		}
		body, pen := io.Pipe() // an upload without end
		defer pen.Close()
		defer time.AfterFunc(patience, func() { _ = pen.Close() }).Stop()
		r := request(t, "POST", p.URL(), "")
		r.Body, r.ContentLength = body, -1
		go func() { _, _ = pen.Write([]byte("some")) }()
		answer := do(client, r)
		require.NoError(t, answer.err)
		require.Equal(t, 413, answer.StatusCode)
	})
	require.NoError(t, p.Close())
	require.EqualValues(t, 2*61, k.byStatus()["413"].Count)
}

func TestEventsComeOneByOneAndAreMeasuredAtOnce(t *testing.T) {
	next := make(chan string)
	p, k := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case event := <-next:
				_, _ = fmt.Fprintf(w, "data: %s\n\n", event)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	res, err := newClient(t, http1).Get(p.URL())
	require.NoError(t, err)
	defer res.Body.Close()
	requireMeasured(t, p, 1)
	lines := bufio.NewScanner(res.Body)
	for _, event := range []string{"a", "b"} {
		next <- event
		require.True(t, lines.Scan())
		require.Equal(t, "data: "+event, lines.Text())
		require.True(t, lines.Scan())
	}
	require.NoError(t, p.Close())
	require.Zero(t, k.byStatus()["200"].Failed)
	require.EqualValues(t, 1, k.byStatus()["200"].Count)
}

func TestWebSocketPassesThroughAndEndsWithTheProxy(t *testing.T) {
	echo := websocket.Server{Handler: func(c *websocket.Conn) { _, _ = io.Copy(c, c) }}
	p, k := frontOf(t, echo.ServeHTTP)
	conn, err := websocket.Dial(strings.Replace(p.URL(), "http", "ws", 1), "", "http://localhost")
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	for _, text := range []string{"hello", strings.Repeat("x", 100<<10)} {
		_, err := io.WriteString(conn, text)
		require.NoError(t, err)
		back := make([]byte, len(text))
		_, err = io.ReadFull(conn, back)
		require.NoError(t, err)
		require.True(t, text == string(back))
	}
	require.NoError(t, p.Close())
	_, err = conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.EqualValues(t, 1, k.byStatus()["101"].Count)
	require.Zero(t, k.byStatus()["101"].Failed)
}

// The upstream has said all it will and the client waits: nobody but the proxy
// can end this connection.
func TestHalfClosedUpgradeEndsWithTheProxy(t *testing.T) {
	p, _ := frontOf(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: odd\r\n\r\n")
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	})
	conn, err := net.Dial("tcp", p.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: odd\r\n\r\n")
	require.NoError(t, err)
	requireMeasured(t, p, 1)
	closed := make(chan struct{})
	go func() { defer close(closed); _ = p.Close() }()
	soon(t, closed, "the proxy closes")
}

// A client that offers HTTP/2 by upgrade is answered in HTTP/1.1: what went
// through an upgraded connection would be neither measured nor disrupted.
func TestUpgradeToHTTP2IsDeclined(t *testing.T) {
	p, _ := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Upgrade")+r.Header.Get("Http2-Settings")+".")
	})
	answer := sendRaw(t, p, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
	require.Contains(t, answer, "HTTP/1.1 200 ")
	require.True(t, strings.HasSuffix(answer, "\r\n\r\n."), answer)
}

// A slow dependency has many requests open; the proxy must not make them queue.
func TestManyStreamsAtATime(t *testing.T) {
	const n = 400 // more than net/http allows by itself
	arrived, release := make(chan struct{}, n), make(chan struct{})
	p, _ := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		ok(w, r)
	})
	client := newClient(t, h2c)
	client.Transport.(*http.Transport).HTTP2 = &http.HTTP2Config{StrictMaxConcurrentRequests: true} // one connection
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(release)
	for range n {
		wg.Go(func() { _ = get(t, client, p.URL()) })
	}
	for range n {
		soon(t, arrived, "every request gets to the upstream")
	}
}
