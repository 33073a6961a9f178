package disrupt

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/websocket"

	"resilience/internal/plan"
)

// eachProtocol runs a test for every protocol that clients may speak.
func eachProtocol(t *testing.T, test func(t *testing.T, client *http.Client)) {
	for name, set := range protocols {
		t.Run(name, func(t *testing.T) { test(t, newClient(t, set)) })
	}
}

// raw sends bytes and reads what comes back until the connection is closed.
func raw(t *testing.T, p *Proxy, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", p.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(answer)
}

func TestPathsArePassedAsTheyAre(t *testing.T) {
	seen := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen <- r.RequestURI }))
	defer upstream.Close()
	plain, _ := front(t, plan.Dependency{Upstream: upstream.URL})
	based, _ := front(t, plan.Dependency{Upstream: upstream.URL + "/v1%2f/"})
	for _, uri := range []string{
		"/", "/a/b", "/a%2Fb", "/a%2fb/%2e%2e/c", "/../etc/passwd", "/./x/.", "/a//b///", "/%00", "/a;b=c,d", "/caf\xc3\xa9",
		"/\"<>|^`{}", "/%E2%82%AC", "/a+b%20c", "/?", "/?a=1;b=2&&c=%zz", "/a?b?c=/../%2F", "//double/x", "//", "///", "/:80", "/a:b@c",
	} {
		t.Run(uri, func(t *testing.T) {
			text := "GET " + uri + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
			require.Contains(t, raw(t, plain, text), " 200 ")
			require.Equal(t, uri, <-seen)
			require.Contains(t, raw(t, based, text), " 200 ")
			require.Equal(t, "/v1%2f"+uri, <-seen)
		})
	}
	require.Contains(t, raw(t, plain, "GET http://elsewhere.example/a%2fb?c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 200 ")
	require.Equal(t, "/a%2fb?c", <-seen, "the absolute form goes to the upstream all the same")
	require.Contains(t, raw(t, plain, "GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 400 ")
	require.Contains(t, raw(t, plain, "CONNECT elsewhere.example:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 405 ")
}

func TestOptionsOfTheServerAreTheUpstreams(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Allow", r.RequestURI) }))
	s.Config.DisableGeneralOptionsHandler = true
	s.Start()
	defer s.Close()
	p, _ := front(t, plan.Dependency{Upstream: s.URL})
	require.Contains(t, raw(t, p, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "Allow: *\r\n")
}

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	p, _ := frontOf(t, ok)
	for name, text := range map[string]string{
		"two lengths":         "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
		"unknown coding":      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
		"space before colon":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 3\r\n\r\nabc",
		"two hosts":           "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
		"line in a header":    "GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
		"chunked and chunked": "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			answer := raw(t, p, text)
			require.Regexp(t, `^HTTP/1\.1 (400|501) `, answer)
		})
	}
}

func TestHeadersArePassedAsTheyAre(t *testing.T) {
	seen := make(chan *http.Request, 1)
	p, _ := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		w.Header()["Date"], w.Header()["Content-Type"] = nil, nil
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		_, _ = io.WriteString(w, "<html>")
	})
	eachProtocol(t, func(t *testing.T, client *http.Client) {
		r := request(t, "GET", p.URL(), "")
		huge := strings.Repeat("x", 200<<10)
		r.Header = http.Header{"X-Huge": {huge}, "X-Forwarded-For": {"10.0.0.1"}, "Forwarded": {"for=10.0.0.1"}, "X-Two": {"1", "2"}, "User-Agent": {""}}
		answer := do(client, r)
		require.NoError(t, answer.err)
		require.Equal(t, []string{"a=1", "b=2"}, answer.Header.Values("Set-Cookie"))
		require.NotContains(t, answer.Header, "Content-Type", "nothing is guessed")
		require.NotContains(t, answer.Header, "Date")
		got := <-seen
		require.Equal(t, p.upstream.url.Host, got.Host)
		require.Equal(t, r.Header["X-Huge"], got.Header["X-Huge"])
		delete(got.Header, "X-Huge")
		require.Equal(t, http.Header{"X-Forwarded-For": {"10.0.0.1"}, "Forwarded": {"for=10.0.0.1"}, "X-Two": {"1", "2"}}, got.Header)

		require.NoError(t, get(t, client, p.URL()).err)
		got = <-seen
		require.NotContains(t, got.Header, "X-Forwarded-For", "the proxy does not show itself")
		require.NotContains(t, got.Header, "Accept-Encoding")
	})
}

func TestStatusesAndMethods(t *testing.T) {
	p, k := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"1"`)
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.WriteHeader(304)
		case "/302":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/404":
			http.NotFound(w, r)
		case "/500":
			http.Error(w, "no", 500)
		default:
			w.Header().Set("Content-Length", "5")
			_, _ = io.WriteString(w, "hello")
		}
	})
	eachProtocol(t, func(t *testing.T, client *http.Client) {
		for _, status := range []int{204, 304, 302, 404, 500} {
			answer := get(t, client, fmt.Sprintf("%s/%d", p.URL(), status))
			require.NoError(t, answer.err)
			require.Equal(t, status, answer.StatusCode)
			require.Equal(t, `"1"`, answer.Header.Get("Etag"))
		}
		head := do(client, request(t, "HEAD", p.URL(), ""))
		require.NoError(t, head.err)
		require.EqualValues(t, 5, head.ContentLength)
		require.Empty(t, head.body)
	})
	require.NoError(t, p.Close())
	for status, w := range k.byStatus() {
		require.EqualValues(t, 2, w.Count, status)
		require.Equal(t, status == "500", w.Failed == 2, status)
	}
	require.Len(t, k.byStatus(), 6)
}

func TestContinueComesFromTheUpstream(t *testing.T) {
	p, _ := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(413) // without asking for the body
			return
		}
		_, _ = io.Copy(w, r.Body)
	})
	client := newClient(t, http1)
	client.Transport.(*http.Transport).ExpectContinueTimeout = patience
	for path, want := range map[string]int{"/take": 200, "/refuse": 413} {
		r := request(t, "POST", p.URL()+path, "body")
		r.Header.Set("Expect", "100-continue")
		continued := false
		trace := &httptrace.ClientTrace{Got100Continue: func() { continued = true }}
		answer := do(client, r.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
		require.NoError(t, answer.err)
		require.Equal(t, want, answer.StatusCode)
		require.Equal(t, want == 200, continued, "nobody but the upstream asks for the body")
	}
}

func TestEarlyHintsArePassed(t *testing.T) {
	p, _ := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		ok(w, r)
	})
	eachProtocol(t, func(t *testing.T, client *http.Client) {
		var hints []int
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			hints = append(hints, code)
			return nil
		}}
		requireWell(t, do(client, request(t, "GET", p.URL(), "").WithContext(httptrace.WithClientTrace(t.Context(), trace))))
		require.Equal(t, []int{103}, hints)
	})
}

func TestTrailersArePassedBothWays(t *testing.T) {
	p, _ := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Announced")
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
		w.Header().Set("Announced", r.Trailer.Get("Sum")+r.Header.Get("Te"))
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
	})
	eachProtocol(t, func(t *testing.T, client *http.Client) {
		r := request(t, "POST", p.URL(), "body")
		r.ContentLength = -1
		r.Header.Set("Te", "trailers")
		r.Trailer = http.Header{"Sum": {"42"}}
		answer := do(client, r)
		requireWell(t, answer)
		require.Equal(t, http.Header{"Announced": {"42trailers"}, "Grpc-Status": {"0"}}, answer.Trailer)
	})
}

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

// A client that offers HTTP/2 by upgrade is answered in HTTP/1.1: what went
// through an upgraded connection would be neither measured nor disrupted.
func TestUpgradeToHTTP2IsDeclined(t *testing.T) {
	p, _ := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Upgrade")+r.Header.Get("Http2-Settings")+".")
	})
	answer := raw(t, p, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")
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
