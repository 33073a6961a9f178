package shadow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const plainRequest = "GET /plain HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"

// TestMirrorFates has one thing go wrong at a time: users are answered, and what became
// of the copy is counted as what it is.
func TestMirrorFates(t *testing.T) {
	web := primary(t)
	long := behaving(t, after("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"+strings.Repeat("x", 200_000), nil))
	events := behaving(t, after("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n", waitForEnd))
	short := behaving(t, candidates["too short"])
	for name, c := range map[string]struct {
		options MirrorOptions
		request string
		want    Mirrored
	}{
		"compared":               {MirrorOptions{Primary: web.URL, Candidate: web.URL}, plainRequest, Mirrored{Seen: 1, Compared: 1}},
		"of nobody in a sample":  {MirrorOptions{Primary: web.URL, Candidate: web.URL, Sample: SessionSample{Share: 1e-18}}, plainRequest, Mirrored{Seen: 1, NotSampled: 1}},
		"a copy of a copy":       {MirrorOptions{Primary: web.URL, Candidate: web.URL}, strings.Replace(plainRequest, "Host:", ShadowHeader+": 1\r\nHost:", 1), Mirrored{Seen: 1, Withheld: 1}},
		"a defect":               {MirrorOptions{Primary: web.URL, Candidate: web.URL, Compare: func(Answers) bool { panic("oh") }}, plainRequest, Mirrored{Seen: 1, Errors: 1}},
		"an answer without room": {MirrorOptions{Primary: web.URL, Candidate: long, Buffer: 64 << 10}, plainRequest, Mirrored{Seen: 1, Dropped: 1}},
		"events":                 {MirrorOptions{Primary: web.URL, Candidate: events}, plainRequest, Mirrored{Seen: 1, Streams: 1}},
		"half a baseline":        {MirrorOptions{Baseline: short, Candidate: web.URL}, plainRequest, Mirrored{Seen: 1, Unanswered: 1}},
		"an upgrade, mirrored":   {MirrorOptions{Baseline: web.URL, Candidate: web.URL}, requestsOf()["switch"], Mirrored{Seen: 1, Streams: 1}},
		"gRPC, mirrored":         {MirrorOptions{Baseline: web.URL, Candidate: web.URL}, strings.Replace(plainRequest, "Host:", "Content-Type: application/grpc\r\nHost:", 1), Mirrored{Seen: 1, Streams: 1}},
		"gRPC-Web, mirrored":     {MirrorOptions{Baseline: web.URL, Candidate: web.URL}, strings.Replace(plainRequest, "Host:", "Content-Type: application/grpc-web+proto\r\nHost:", 1), Mirrored{Seen: 1, Compared: 1}},
		"gRPC-Web by a proxy":    {MirrorOptions{Primary: web.URL, Candidate: web.URL}, strings.Replace(plainRequest, "Host:", "Content-Type: application/grpc-web+proto\r\nHost:", 1), Mirrored{Seen: 1, Compared: 1}},
		"a request without room": {
			MirrorOptions{Baseline: web.URL, Candidate: web.URL, Buffer: 8 << 10, Allow: []string{"POST /echo"}},
			"POST /echo HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 20000\r\nConnection: close\r\n\r\n" + strings.Repeat("x", 20_000),
			Mirrored{Seen: 1, Dropped: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := startMirror(t, c.options)
			require.NotEmpty(t, rawAnswer(t, m.URL(), c.request))
			m.Close(closing(t))
			require.Equal(t, c.want, m.Counts())
			require.Zero(t, m.proxy.budget.held.Load())
		})
	}
}

// TestProxyClosesWhatIsHalf: an answer before the end of a request is the last of its
// connection; and nobody gets through to elsewhere.
func TestProxyClosesWhatIsHalf(t *testing.T) {
	r := startRecorder(t, &kept{}, RecorderOptions{Upstream: primary(t).URL})
	require.Contains(t, rawAnswer(t, r.URL(), "POST /refuses HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000000\r\n\r\nhello"), "\r\nConnection: close\r\n")
	require.Contains(t, rawAnswer(t, r.URL(), "CONNECT shop.test:443 HTTP/1.1\r\nHost: shop.test:443\r\nConnection: close\r\n\r\n"), "405 Method Not Allowed")
}

// TestHalfARequestIsNoRequest: what the proxy elsewhere broke off is not asked.
func TestHalfARequestIsNoRequest(t *testing.T) {
	web := primary(t)
	m, _ := startMirror(t, MirrorOptions{Baseline: web.URL, Candidate: web.URL, Allow: []string{"POST /echo"}})
	conn, err := net.Dial("tcp", strings.TrimPrefix(m.URL(), "http://"))
	require.NoError(t, err)
	_, err = io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10\r\n\r\nhello")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	_, _ = io.Copy(io.Discard, conn)
	require.NoError(t, conn.Close())
	m.Close(closing(t))
	require.Equal(t, Mirrored{Seen: 1, Unanswered: 1}, m.Counts())
}

// TestUsersDoNotWaitForTheQueue: what does not fit is shed at once.
func TestUsersDoNotWaitForTheQueue(t *testing.T) {
	web := primary(t)
	m, _ := startMirror(t, MirrorOptions{Primary: web.URL, Candidate: behaving(t, candidates["never answers"]), Timeout: time.Hour, Queue: 1, Copies: 1})
	for range 6 {
		require.NotEmpty(t, rawAnswer(t, m.URL(), plainRequest))
	}
	require.GreaterOrEqual(t, m.Counts().Shed, uint64(3), "one is asked, one more waits")
	hurry, cancel := context.WithCancel(t.Context())
	cancel()
	m.Close(hurry)
	require.EqualValues(t, 6, m.Counts().Shed)
}

// TestWhatWaitedLongIsShed: it would be answered about another state of the world.
func TestWhatWaitedLongIsShed(t *testing.T) {
	web := primary(t)
	m, _ := startMirror(t, MirrorOptions{Primary: web.URL, Candidate: web.URL, Timeout: time.Minute})
	for _, age := range []time.Duration{0, 2 * time.Minute} {
		r := httptest.NewRequest(http.MethodGet, "/plain", http.NoBody)
		c := newCapture(&m.proxy, r)
		c.at = time.Now().Add(-age)
		require.True(t, c.answer(http.StatusOK, http.Header{}))
		m.enqueue(c)
	}
	m.Close(closing(t))
	require.Equal(t, []uint64{1, 1}, []uint64{m.Counts().Compared, m.Counts().Shed})
}

// TestErrorsAreAnswers: a candidate that fails is asked on, for what it says may change.
func TestErrorsAreAnswers(t *testing.T) {
	var asked atomic.Int64
	web := primary(t)
	failing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer failing.Close()
	m, _ := startMirror(t, MirrorOptions{Baseline: web.URL, Candidate: failing.URL, Copies: 1})
	const n = 3 * breakAfter / 2
	for range n {
		rawAnswer(t, m.URL(), plainRequest)
	}
	m.Close(closing(t))
	require.EqualValues(t, n, asked.Load())
	require.Equal(t, Mirrored{Seen: n, Compared: n, Differing: n}, m.Counts())
}

// TestCopiesAreWhatWasAsked, without what belongs to the connection, and leave what is
// compared as it was.
func TestCopiesAreWhatWasAsked(t *testing.T) {
	baseline, _ := asking(t, "one")
	candidate, asked := asking(t, "two")
	m, seen := startMirror(t, MirrorOptions{Primary: baseline, Candidate: candidate})
	rawAnswer(t, m.URL(), "GET /a HTTP/1.1\r\nHost: shop.test\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Authorization: Basic x\r\nTe: trailers\r\nBaggage: a=b\r\nX-End: 1\r\n\r\n")
	m.Close(closing(t))
	got := (<-asked).Header
	delete(got, "Accept-Encoding") // of the transport
	require.Equal(t, http.Header{"Baggage": {"a=b," + shadowBaggage}, "X-End": {"1"}, ShadowHeader: {"1"}}, got)
	require.Len(t, seen.all, 1)
	require.Equal(t, "a=b", seen.all[0].Request.Header.Get("Baggage"))
	require.Empty(t, seen.all[0].Request.Header.Get(ShadowHeader))
}

// TestMirrorLeaksNothing compares answers as they are, and shows no secret of them:
// not in findings, nor in the recording of what differs, nor in metrics.
func TestMirrorLeaksNothing(t *testing.T) {
	const web = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJtZSJ9.c2VjcmV0"
	jsonBodies := func(n int) string {
		return fmt.Sprintf(`{"user":{"email":"leak%d@x.test","a":{"b":"leak%d"}},"pin":471147114711%d,"password":"leak%d","token":"leak-token-%d","said":"leak-token-%d","inner":"{\"password\":\"leak%d\"}","list":[{"secret":"leak%d","n":%d}],"jwt":"%s%d"}`, n, n, n, n, n, n, n, n, n, web, n)
	}
	deep := func(n int) string {
		return strings.Repeat(`{"a":`, 600) + fmt.Sprintf(`{"password":"leak%d","x":"leak%d"}`, n, n) + strings.Repeat("}", 600)
	}
	for name, c := range map[string]struct {
		media string
		body  func(n int) string
	}{
		"json": {"application/json", jsonBodies}, "deep": {"application/json", deep},
		"nan": {"application/json", func(n int) string { return strings.Replace(jsonBodies(n), `{"user"`, `{"ratio":NaN,"user"`, 1) }},
		"html": {"text/html", func(n int) string {
			return fmt.Sprintf(`<input name="csrf_token" value="leak%d"><a href="https://x.test/?token=leak%d">%s%d</a><p>password: leak%d`, n, n, web, n, n)
		}},
		"form":  {"application/x-www-form-urlencoded", func(n int) string { return fmt.Sprintf("password=leak%d&token=leak-token-%d", n, n) }},
		"lines": {"text/plain", func(n int) string { return fmt.Sprintf("password leak%d\ntoken: leak%d %s%d\n", n, n, web, n) }},
	} {
		t.Run(name, func(t *testing.T) {
			serving := func(n int) string {
				web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", c.media)
					w.Header().Set("X-Api-Key", fmt.Sprint("leak", n))
					w.Header().Set("Location", fmt.Sprint("/login?token=leak", n))
					w.Header().Set("Set-Cookie", fmt.Sprintf("sid=leak%d; Max-Age=%d", n, n))
					_, _ = io.WriteString(w, c.body(n))
				}))
				t.Cleanup(web.Close)
				return web.URL
			}
			var keeps []Exchange
			judge, err := NewMirrorJudge(Rules{}, CompareOptions{}, FindingOptions{}, sinkOf(func(x Exchange) error {
				keeps = append(keeps, x)
				return nil
			}))
			require.NoError(t, err)
			m, err := NewMirror(t.Context(), MirrorOptions{
				Primary: serving(1), Candidate: serving(2), Noise: serving(1), Compare: judge.Compare,
				Redactor: redactor(t, RedactionRules{Paths: []string{"user.email", "user.a"}}),
			})
			require.NoError(t, err)
			rawAnswer(t, m.URL(), "GET /plain?token=leak HTTP/1.1\r\nHost: shop.test\r\nCookie: sid=leak-session\r\nConnection: close\r\n\r\n")
			m.Close(closing(t))
			require.Len(t, keeps, 1)
			require.Greater(t, len(judge.Findings()), 2)
			shown := fmt.Sprintf("%v", judge.Findings())
			status := httptest.NewServer(StatusHandler(m))
			defer status.Close()
			shown += rawAnswer(t, status.URL, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			// Numbers that are looked for are longer than those that a time may have in it.
			kept := fmt.Sprintf("%v %s", keeps, keeps[0].Response.Body.Data)
			for _, secret := range []string{"leak", "471147114711", web} {
				require.NotContains(t, shown, secret)
				if name != "html" && name != "lines" { // a recording keeps texts that are no secret by what they look like
					require.NotContains(t, kept, secret)
				}
			}
			require.NotContains(t, shown, string(Undecidable))
		})
	}
}

func TestMirroredHost(t *testing.T) {
	for host, want := range map[string]string{
		"shop.test": "shop.test", "shop.test:80": "shop.test:80", "shop.test-shadow": "shop.test", "shop.test-shadow:80": "shop.test:80", "shop.test:80-shadow": "shop.test:80",
	} {
		require.Equal(t, want, mirroredHost(host), host)
	}
}

// TestMirrorFailures wants the same words for the same reason.
func TestMirrorFailures(t *testing.T) {
	for want, err := range map[string]error{
		"timeout":                          &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded},
		"connection refused":               &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		"connection reset":                 fmt.Errorf("write 127.0.0.1:1234: %w", syscall.EPIPE),
		"connection closed before the end": io.ErrUnexpectedEOF,
		"the host is not known":            &net.DNSError{Name: "shop.test", IsNotFound: true},
		`malformed HTTP status code "2x0"`: errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP status code "2x0"`),
	} {
		require.Equal(t, want, mirrorFailure(err))
	}
	require.Equal(t, "timeout", mirrorFailure(fmt.Errorf("ask: %w", context.DeadlineExceeded)))
}

// sinkOf is a sink that is a function.
type sinkOf func(Exchange) error

// Write implements [Sink].
func (f sinkOf) Write(x Exchange) error { return f(x) }

// TestJudgeKeepsCopies of what differs in more than noise.
func TestJudgeKeepsCopies(t *testing.T) {
	var keeps []Exchange
	judge, err := NewMirrorJudge(Rules{}, CompareOptions{}, FindingOptions{}, sinkOf(func(x Exchange) error {
		keeps = append(keeps, x)
		return nil
	}))
	require.NoError(t, err)
	asked, answered := []byte("asked"), []byte(`{"n":1}`)
	a := Answers{Exchange: Exchange{Route: "POST /a", Request: Request{Body: Body{Data: asked}}, Response: jsonAnswer(string(answered))}, Candidate: jsonAnswer(`{"n":2}`)}
	a.Response.Body.Data = answered
	a.Answer = a.Response
	require.True(t, judge.Compare(a))
	copy(asked, "xxxxx")
	copy(answered, "xxxxxxx")
	require.Equal(t, "asked", string(keeps[0].Request.Body.Data), "the body is used again")
	require.Equal(t, `{"n":1}`, string(keeps[0].Response.Body.Data))

	a.Answer, a.Candidate, a.Noise = jsonAnswer(`{"m":1}`), jsonAnswer(`{"m":1}`), new(jsonAnswer(`{"m":2}`))
	judge.Compare(a)
	a.Candidate = jsonAnswer(`{"m":3}`)
	require.False(t, judge.Compare(a), "it is noise")
	require.Len(t, keeps, 1)
}
