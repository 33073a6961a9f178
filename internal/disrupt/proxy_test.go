package disrupt

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// eachProtocol runs a test for every protocol that clients may speak.
func eachProtocol(t *testing.T, test func(t *testing.T, client *http.Client)) {
	for name, set := range protocols {
		t.Run(name, func(t *testing.T) { test(t, newClient(t, set)) })
	}
}

// sendRaw sends bytes and reads what comes back until the connection is closed.
func sendRaw(t *testing.T, p *Proxy, text string) string {
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
			require.Contains(t, sendRaw(t, plain, text), " 200 ")
			require.Equal(t, uri, <-seen)
			require.Contains(t, sendRaw(t, based, text), " 200 ")
			require.Equal(t, "/v1%2f"+uri, <-seen)
		})
	}
	require.Contains(t, sendRaw(t, plain, "GET http://elsewhere.example/a%2fb?c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 200 ")
	require.Equal(t, "/a%2fb?c", <-seen, "the absolute form goes to the upstream all the same")
	require.Contains(t, sendRaw(t, plain, "GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 400 ")
	require.Contains(t, sendRaw(t, plain, "CONNECT elsewhere.example:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), " 405 ")
}

func TestOptionsOfTheServerAreTheUpstreams(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Allow", r.RequestURI) }))
	s.Config.DisableGeneralOptionsHandler = true
	s.Start()
	defer s.Close()
	p, _ := front(t, plan.Dependency{Upstream: s.URL})
	require.Contains(t, sendRaw(t, p, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "Allow: *\r\n")
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
			answer := sendRaw(t, p, text)
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

func TestTrailersOfAnEmptyBodyArePassed(t *testing.T) {
	p, _ := frontOf(t, func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"Sum", "42")
	})
	eachProtocol(t, func(t *testing.T, client *http.Client) {
		answer := get(t, client, p.URL())
		require.NoError(t, answer.err)
		require.Equal(t, http.Header{"Sum": {"42"}}, answer.Trailer)
	})
}
