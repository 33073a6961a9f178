package shadow

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// candidates are ways in which versions that want to serve behave: each is what one
// of them does with a connection. The one that is dead has none.
var candidates = map[string]func(net.Conn){
	"dead": nil,
	"never answers": func(c net.Conn) {
		_, _ = io.Copy(io.Discard, c)
	},
	"never reads": func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		waitForEnd(c)
	},
	"resets": func(c net.Conn) {
		_ = c.(*net.TCPConn).SetLinger(0)
		_, _ = c.Read(make([]byte, 1))
	},
	"closes": func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) },
	"endless": after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", func(c net.Conn) {
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20))
		for range 1 << 10 { // 1 GiB
			if _, err := io.WriteString(c, chunk); err != nil {
				return
			}
		}
	}),
	"drips": after("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", func(c net.Conn) {
		_, _ = io.WriteString(c, "x")
		waitForEnd(c)
	}),
	"endless header": after("HTTP/1.1 200 OK\r\nX-Long: ", func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, strings.Repeat("x", 1<<16)); err != nil {
				return
			}
		}
	}),
	"endless hints": func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"); err != nil {
				return
			}
		}
	},
	"no status line":      after("HELLO\r\n\r\n", nil),
	"wrong status":        after("HTTP/1.1 2x0 OK\r\n\r\n", nil),
	"broken chunks":       after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n", nil),
	"two lengths":         after("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", nil),
	"too short":           after("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", nil),
	"no header":           after("HTTP/1.1 200 OK\r\n: x\r\n\r\n", nil),
	"gzip that is none":   after("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", nil),
	"gzip bomb":           after("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"+bomb(1), nil),
	"gzip ten times over": after("HTTP/1.1 200 OK\r\nContent-Encoding: gzip"+strings.Repeat(", gzip", 9)+"\r\nConnection: close\r\n\r\n"+bomb(10), nil),
	"switches":            after("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", nil),
	"not text":            after("HTTP/1.1 200 \xff\xfe\r\nX-\x01: \xff\r\nContent-Length: 2\r\n\r\n\xff\xfe", nil),
}

// after sends a head once there is a request.
func after(head string, then func(net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		_, _ = io.WriteString(c, head)
		if then != nil {
			then(c)
		}
	}
}

func waitForEnd(c net.Conn) {
	for buffer := make([]byte, 1<<10); ; {
		if _, err := c.Read(buffer); err != nil {
			return
		}
	}
}

// bomb is 40 MiB of nothing, packed some times over.
func bomb(times int) string {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	zeros := make([]byte, 1<<20)
	for range 40 {
		_, _ = z.Write(zeros)
	}
	_ = z.Close()
	for range times - 1 {
		var next bytes.Buffer
		z := gzip.NewWriter(&next)
		_, _ = z.Write(packed.Bytes())
		_ = z.Close()
		packed = next
	}
	return packed.String()
}

// behaving is the URL of a server that does the same with each connection.
func behaving(t testing.TB, do func(net.Conn)) string {
	t.Helper()
	if do == nil {
		return "http://" + deadAddress(t)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var all sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() {
				defer c.Close()
				do(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return "http://" + l.Addr().String()
}

// compared keeps what a mirror compares.
type compared struct {
	mu  sync.Mutex
	all []Answers
}

func (c *compared) compare(a Answers) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	a.Request.Body.Data = bytes.Clone(a.Request.Body.Data)
	a.Response.Body.Data = bytes.Clone(a.Response.Body.Data)
	a.Candidate.Body.Data = bytes.Clone(a.Candidate.Body.Data)
	c.all = append(c.all, a)
	return a.Candidate.Status != a.Response.Status || !bytes.Equal(a.Candidate.Body.Data, a.Response.Body.Data)
}

func startMirror(t testing.TB, o MirrorOptions) (*Mirror, *compared) {
	t.Helper()
	seen := &compared{}
	if o.Compare == nil {
		o.Compare = seen.compare
	}
	if o.Route == nil {
		o.Route = methodAndTarget
	}
	o.Timeout = cmp.Or(o.Timeout, patient)
	m, err := NewMirror(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { m.Close(closing(t)) })
	return m, seen
}

// TestMirrorKeepsThePrimarysAnswers sends all requests through mirrors in front of
// all kinds of candidates: users read what they read without one.
func TestMirrorKeepsThePrimarysAnswers(t *testing.T) {
	web := primary(t)
	defer leavesNothing(t, goleak.IgnoreCurrent(), goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait")) // which takes its time to say farewell
	want := map[string]string{}
	for name, request := range requestsOf() {
		want[name] = inOrder(rawAnswer(t, web.URL, request))
	}
	for name, do := range candidates {
		t.Run(name, func(t *testing.T) {
			m, seen := startMirror(t, MirrorOptions{Primary: web.URL, Candidate: behaving(t, do), Timeout: 300 * time.Millisecond})
			for name, request := range requestsOf() {
				require.Equal(t, want[name], inOrder(rawAnswer(t, m.URL(), request)), "%s", name)
			}
			m.Close(closing(t))
			c := m.Counts()
			require.Equal(t, uint64(len(want)), c.Seen)
			require.Equal(t, c.Seen, c.Compared+c.Withheld+c.Streams+c.Unanswered+c.Shed+c.Dropped, "%+v", c)
			require.Equal(t, []uint64{5, 1, 1}, []uint64{c.Withheld, c.Streams, c.Unanswered}, "%+v", c)
			require.Zero(t, m.proxy.budget.held.Load())
			require.NotEmpty(t, seen.all)
			for _, a := range seen.all {
				r := a.Candidate
				require.True(t, r.Failure != "" || r.Body.Damage != "" || r.Body.Size != a.Response.Body.Size || a.Request.Method == "HEAD" || name == "not text", "%s: %+v", name, r)
				require.LessOrEqual(t, len(r.Body.Data), DefaultMaxBody)
			}
		})
	}
}

// leavesNothing wants all goroutines to have ended, and lets them take their time.
func leavesNothing(t *testing.T, but ...goleak.Option) {
	t.Helper()
	for begun := time.Now(); ; {
		err := goleak.Find(but...) // which waits a little itself
		if err == nil {
			return
		}
		if time.Since(begun) > patient {
			t.Error(err)
			return
		}
	}
}

// TestMirrorHoldsLittle floods a mirror whose candidate never answers.
func TestMirrorHoldsLittle(t *testing.T) {
	web := primary(t)
	const buffer = 8 << 20
	m, _ := startMirror(t, MirrorOptions{Primary: web.URL, Candidate: behaving(t, candidates["never answers"]), Timeout: time.Minute, Buffer: buffer, Queue: 50, Copies: 2})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range 30 {
		res, err := http.Get(m.URL() + "/large")
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.EqualValues(t, largeBody, n)
		require.NoError(t, res.Body.Close())
		require.LessOrEqual(t, m.proxy.budget.held.Load(), int64(buffer))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(buffer+8<<20))
	hurry, cancel := context.WithCancel(t.Context())
	cancel()
	m.Close(hurry)
	c := m.Counts()
	require.Equal(t, Mirrored{Seen: 30, Shed: c.Shed, Dropped: c.Dropped}, c)
	require.NotZero(t, c.Shed)
	require.NotZero(t, c.Dropped)
	require.Zero(t, m.proxy.budget.held.Load())
}

// asking is a server that tells what it is asked.
func asking(t testing.TB, answer string) (url string, requests chan *http.Request) {
	t.Helper()
	requests = make(chan *http.Request, 100)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(text))
		requests <- r
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(web.Close)
	return web.URL, requests
}

func TestMirrorCopiesRequests(t *testing.T) {
	first, firstAsked := asking(t, "one")
	second, secondAsked := asking(t, "two")
	m, seen := startMirror(t, MirrorOptions{
		Primary: first, Candidate: second + "/v2", Allow: []string{"POST /search"},
		Route: func(method, target string) string { path, _, _ := strings.Cut(target, "?"); return method + " " + path },
	})
	ask := func(method, target, text string, headers ...string) {
		t.Helper()
		q, err := http.NewRequestWithContext(t.Context(), method, m.URL()+target, strings.NewReader(text))
		require.NoError(t, err)
		q.Host = "shop.test"
		for i := 0; i < len(headers); i += 2 {
			q.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(q)
		require.NoError(t, err)
		got, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, "one", string(got))
	}
	ask(http.MethodGet, "/orders?page=2", "", "Baggage", "a=b", "Cookie", "sid=1")
	ask(http.MethodPost, "/search?x=1", "query")
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, "PROPFIND"} {
		ask(method, "/orders", "write")
	}
	ask(http.MethodGet, "/again", "", "X-Resilience-Shadow", "1")
	m.Close(closing(t))
	require.Equal(t, Mirrored{Seen: 8, Compared: 2, Differing: 2, Withheld: 6}, m.Counts())
	require.Len(t, firstAsked, 8)
	require.Empty(t, (<-firstAsked).Header["X-Resilience-Shadow"], "users are no copies")
	require.Len(t, secondAsked, 2)
	got := map[string]*http.Request{}
	for range 2 {
		r := <-secondAsked
		got[r.Method] = r
		require.Equal(t, "1", r.Header.Get("X-Resilience-Shadow"))
		require.Equal(t, "shop.test", r.Host)
	}
	require.Equal(t, "/v2/orders?page=2", got["GET"].RequestURI)
	require.Equal(t, "a=b,synthetic=true,synthetic.shadow=mirror", got["GET"].Header.Get("Baggage"))
	require.Equal(t, "sid=1", got["GET"].Header.Get("Cookie"))
	text, _ := io.ReadAll(got["POST"].Body)
	require.Equal(t, "query", string(text))
	require.Equal(t, "/v2/search?x=1", got["POST"].RequestURI)
	for _, a := range seen.all {
		require.Equal(t, "one", string(a.Response.Body.Data))
		require.Equal(t, "two", string(a.Candidate.Body.Data))
		require.Equal(t, "shop.test", a.Request.Host)
		require.Nil(t, a.Noise)
	}
}

func TestMirrorAsksForNoise(t *testing.T) {
	first, _ := asking(t, "one")
	second, _ := asking(t, "one")
	third, asked := asking(t, "three")
	m, seen := startMirror(t, MirrorOptions{Primary: first, Candidate: second, Noise: third, OwnHost: true})
	rawAnswer(t, m.URL(), "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
	m.Close(closing(t))
	require.Len(t, seen.all, 1)
	require.Equal(t, "three", string(seen.all[0].Noise.Body.Data))
	require.Equal(t, strings.TrimPrefix(third, "http://"), (<-asked).Host)
}

// TestSink takes what others mirror: requests alone.
func TestSink(t *testing.T) {
	baseline, baselineAsked := asking(t, "one")
	candidate, candidateAsked := asking(t, "two")
	m, seen := startMirror(t, MirrorOptions{Baseline: baseline, Candidate: candidate, MaxBody: 10, Allow: []string{"POST /search"}})
	send := func(request string) {
		t.Helper()
		require.Contains(t, rawAnswer(t, m.URL(), request), "HTTP/1.1 204 No Content")
	}
	send("GET /orders HTTP/1.1\r\nHost: shop.test-shadow\r\nConnection: close\r\n\r\n")
	send("POST /search HTTP/1.1\r\nHost: shop.test-shadow:8080\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
	send("POST /search HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello world")
	send("DELETE /orders HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
	m.Close(closing(t))
	require.Equal(t, Mirrored{Seen: 4, Compared: 2, Differing: 2, Withheld: 1, TooLarge: 1}, m.Counts())
	for _, asked := range []chan *http.Request{baselineAsked, candidateAsked} {
		require.Len(t, asked, 2)
		hosts := []string{(<-asked).Host, (<-asked).Host}
		require.ElementsMatch(t, []string{"shop.test", "shop.test:8080"}, hosts)
	}
	require.Len(t, seen.all, 2)
	require.Equal(t, "one", string(seen.all[0].Response.Body.Data))
	require.Positive(t, seen.all[0].Took)
}

func TestSinkWithoutABaseline(t *testing.T) {
	candidate, _ := asking(t, "two")
	m, seen := startMirror(t, MirrorOptions{Baseline: "http://" + deadAddress(t), Candidate: candidate})
	rawAnswer(t, m.URL(), "GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
	m.Close(closing(t))
	require.Equal(t, Mirrored{Seen: 1, Unanswered: 1}, m.Counts())
	require.Empty(t, seen.all)
}

// TestMirrorRedactsWhatIsKept and compares the answers as they are.
func TestMirrorRedactsWhatIsKept(t *testing.T) {
	first, _ := asking(t, `{"token": "hunter2-of-someone"}`)
	second, _ := asking(t, `{"token": "hunter2-of-another"}`)
	redactor, err := NewRedactor(RedactionRules{Paths: []string{"token"}})
	require.NoError(t, err)
	m, seen := startMirror(t, MirrorOptions{Primary: first, Candidate: second, Redactor: redactor})
	rawAnswer(t, m.URL(), "GET / HTTP/1.1\r\nHost: shop.test\r\nCookie: sid=my-session\r\nConnection: close\r\n\r\n")
	m.Close(closing(t))
	require.Len(t, seen.all, 1)
	all := fmt.Sprintf("%+v %s", seen.all[0].Exchange, seen.all[0].Response.Body.Data)
	require.NotContains(t, all, "hunter2")
	require.NotContains(t, all, "my-session")
	require.NotEmpty(t, seen.all[0].Session)
	require.Contains(t, string(seen.all[0].Answer.Body.Data), "hunter2-of-someone")
	require.NotContains(t, seen.all[0].Hide("body.said", `"hunter2-of-another"`), "hunter2")
}

func TestMirrorIsRefused(t *testing.T) {
	for _, o := range []MirrorOptions{{Candidate: "http://a.test"}, {Candidate: "http://a.test", Primary: "http://b.test", Baseline: "http://b.test"}} {
		_, err := NewMirror(t.Context(), o)
		require.ErrorContains(t, err, "give one of them")
	}
	_, err := NewMirror(t.Context(), MirrorOptions{Primary: "http://a.test", Candidate: "a.test"})
	require.ErrorContains(t, err, "write it as http://")
}

func TestStatus(t *testing.T) {
	web := primary(t)
	m, _ := startMirror(t, MirrorOptions{Primary: web.URL, Candidate: web.URL})
	rawAnswer(t, m.URL(), "GET /plain HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
	rawAnswer(t, m.URL(), requestsOf()["post"])
	m.Close(closing(t))
	status := httptest.NewServer(StatusHandler(m))
	defer status.Close()
	require.Contains(t, rawAnswer(t, status.URL, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), "\r\n\r\nok\n")
	text := rawAnswer(t, status.URL, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	require.Contains(t, text, `resilience_shadow_requests_total{fate="same"} 1`)
	require.Contains(t, text, `resilience_shadow_requests_total{fate="withheld"} 1`)
	require.Contains(t, text, "resilience_shadow_added_seconds_count 2")
	for _, of := range []prometheus.Collector{m, startRecorder(t, &kept{}, RecorderOptions{Upstream: web.URL})} {
		pedantic := prometheus.NewPedanticRegistry()
		require.NoError(t, pedantic.Register(of))
		_, err := pedantic.Gather()
		require.NoError(t, err)
	}
}

// TestMirrorReadsNoEndlessAnswer to its end, however long it may wait.
func TestMirrorReadsNoEndlessAnswer(t *testing.T) {
	var sent atomic.Int64
	chunk := fmt.Sprintf("%x\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20))
	endless := behaving(t, after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", func(c net.Conn) {
		for sent.Load() < 1<<30 {
			n, err := io.WriteString(c, chunk)
			sent.Add(int64(n))
			if err != nil {
				return
			}
		}
	}))
	web := primary(t)
	m, seen := startMirror(t, MirrorOptions{Primary: web.URL, Candidate: endless, Timeout: time.Hour})
	rawAnswer(t, m.URL(), requestsOf()["/plain"])
	require.Eventually(t, func() bool { return m.Counts().Compared == 1 }, patient, time.Millisecond)
	b := seen.all[0].Candidate.Body
	require.Equal(t, []any{int64(-1), true, DefaultMaxBody}, []any{b.Size, b.Cut, len(b.Data)})
	require.Less(t, sent.Load(), int64(mirrorLongest+32<<20))
}

// TestMirrorDecidesNoErrorsAlike wants two versions that both fail to match only where
// users are known to be answered so.
func TestMirrorDecidesNoErrorsAlike(t *testing.T) {
	for name, c := range map[string]struct {
		sink   bool
		status int
		want   []Kind
	}{
		"users were told": {status: 503},
		"nobody knows":    {sink: true, status: 503, want: []Kind{Undecidable}},
		"may be meant":    {sink: true, status: 404},
		"answers":         {sink: true, status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) }))
			defer web.Close()
			judge, err := NewMirrorJudge(Rules{}, CompareOptions{}, FindingOptions{}, nil)
			require.NoError(t, err)
			o := MirrorOptions{Primary: web.URL, Candidate: web.URL, Compare: judge.Compare}
			if c.sink {
				o.Primary, o.Baseline = "", web.URL
			}
			m, err := NewMirror(t.Context(), o)
			require.NoError(t, err)
			rawAnswer(t, m.URL(), "GET /plain HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
			m.Close(closing(t))
			require.EqualValues(t, 1, m.Counts().Compared)
			var got []Kind
			for _, f := range judge.Findings() {
				require.Equal(t, Undecided, f.Class)
				got = append(got, f.Kind)
			}
			require.Equal(t, c.want, got)
		})
	}
}

// TestMirrorShowsNothingDeclared wants values of declared fields in no finding.
func TestMirrorShowsNothingDeclared(t *testing.T) {
	serving := func(text string) string {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text)
		}))
		t.Cleanup(web.Close)
		return web.URL
	}
	judge, err := NewMirrorJudge(Rules{}, CompareOptions{}, FindingOptions{}, nil)
	require.NoError(t, err)
	o := MirrorOptions{
		Primary: serving(`{"user":{"email":"sec1"},"a":{"user":1},"pin":471147114711}`), Candidate: serving(`{"user":{"email":"sec2","x":1},"a":[],"pin":471147114712}`),
		Redactor: redactor(t, RedactionRules{Paths: []string{"user.email"}}), Compare: judge.Compare,
	}
	m, err := NewMirror(t.Context(), o)
	require.NoError(t, err)
	rawAnswer(t, m.URL(), "GET /plain HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
	m.Close(closing(t))
	require.Len(t, judge.Findings(), 4)
	for _, secret := range []string{"sec1", "sec2", "47114711471"} {
		require.NotContains(t, fmt.Sprint(judge.Findings()), secret)
	}
}
