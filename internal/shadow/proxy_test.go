package shadow

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// primaryPaths are ways in which servers answer.
var primaryPaths = map[string]http.HandlerFunc{
	"/plain": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked-Host", r.Host)
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "hello "+r.URL.RawQuery)
	},
	"/unsniffed": func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = nil
		fmt.Fprint(w, "<html>no type</html>")
	},
	"/json": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Set-Cookie", "sid=secret; Path=/")
		fmt.Fprint(w, `{"id": 1, "price": 12.50}`)
	},
	"/empty":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
	"/same":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
	"/nosuch":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such page", http.StatusNotFound) },
	"/redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/plain", http.StatusFound) },
	"/hints": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		fmt.Fprint(w, "after the hints")
	},
	"/stream": func(w http.ResponseWriter, _ *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "part %d\n", i)
			_ = http.NewResponseController(w).Flush()
		}
	},
	"/trailers": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		fmt.Fprint(w, "with a sum")
		w.Header().Set("X-Sum", "42")
	},
	"/late": func(w http.ResponseWriter, _ *http.Request) { // as gRPC does
		fmt.Fprint(w, "with a status that nobody announced")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Status", "7")
	},
	"/zipped": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		fmt.Fprint(z, strings.Repeat("zipped ", 1000))
		_ = z.Close()
	},
	"/large": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(largeBody))
		_, _ = w.Write(bytes.Repeat([]byte("0123456789abcdef"), largeBody/16))
	},
	"/broken": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, "ten bytes.")
	},
	"/echo": func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) },
	"/summed": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "sum "+r.Trailer.Get("X-Sum"))
	},
	"/refuses": func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	},
}

// largeBody is longer than what is kept of a body, in bytes.
const largeBody = 3 << 20

// primary is a server whose answers are always the same to the byte.
func primary(t testing.TB) *httptest.Server {
	t.Helper()
	s := newPrimary()
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func newPrimary() *httptest.Server {
	mux := http.NewServeMux()
	for path, handler := range primaryPaths {
		mux.HandleFunc(path, handler)
	}
	mux.HandleFunc("/switch", switching)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
		if r.RequestURI != "*" {
			mux.ServeHTTP(w, r)
		}
	}))
	s.Config.DisableGeneralOptionsHandler = true
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetHTTP2(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Config.ErrorLog = nowhere()
	return s
}

// switching answers in another protocol: an echo.
func switching(w http.ResponseWriter, r *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
	_ = rw.Flush()
	line, _ := rw.ReadString('\n')
	fmt.Fprint(rw, line)
	_ = rw.Flush()
}

// requestsOf are what a client sends to see all behaviours of the primary.
func requestsOf() map[string]string {
	out := map[string]string{
		"head":     "HEAD /large HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n",
		"options":  "OPTIONS * HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n",
		"post":     "POST /echo HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
		"chunked":  "POST /echo HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"summed":   "POST /summed HTTP/1.1\r\nHost: shop.test\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
		"continue": "POST /echo HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nhello",
		"early":    "POST /refuses HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000000\r\nConnection: close\r\n\r\nhello",
		"odd":      "GET /plain?a=%zz;b=/%2F HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n",
		"switch":   "GET /switch HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
	}
	for path := range primaryPaths {
		out[path] = "GET " + path + " HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
	}
	return out
}

// rawAnswer sends bytes and gives all that comes back.
func rawAnswer(t testing.TB, url, request string) string {
	t.Helper()
	scheme, address, _ := strings.Cut(url, "://")
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	if scheme == "https" {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // what it answers is the question here
	}
	require.NoError(t, conn.SetDeadline(time.Now().Add(patient)))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	var head string
	from := bufio.NewReader(conn)
	if strings.Contains(request, "Connection: Upgrade") {
		for !strings.HasSuffix(head, "\r\n\r\n") {
			line, err := from.ReadString('\n')
			require.NoError(t, err)
			head += line
		}
		_, err = io.WriteString(conn, "hello\n")
		require.NoError(t, err)
	}
	answer, err := io.ReadAll(from)
	if err != nil { // a server that does not read all of a request may reset
		require.ErrorContains(t, err, "reset")
	}
	return head + string(answer)
}

// inOrder sorts the lines of heads, which net/http writes in an order of its own, and
// joins chunks, which are as large as what was there at the time.
func inOrder(answer string) string {
	parts := strings.Split(answer, "\r\n\r\n")
	if strings.Contains(parts[0], "Transfer-Encoding: chunked") && !strings.Contains(parts[0], "X-Sum") {
		whole, _ := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(body(answer))))
		parts = []string{parts[0], string(whole)}
	}
	for i, part := range parts {
		lines := strings.Split(part, "\r\n")
		if strings.HasPrefix(part, "HTTP/") {
			slices.Sort(lines[1:])
		}
		parts[i] = strings.Join(lines, "\r\n")
	}
	return strings.Join(parts, "\r\n\r\n")
}

// kept is a sink that keeps copies.
type kept struct {
	err       error
	exchanges []Exchange
}

// Write keeps a copy of an exchange.
func (k *kept) Write(x Exchange) error {
	if k.err != nil {
		return k.err
	}
	x.Request.Body.Data = bytes.Clone(x.Request.Body.Data)
	x.Response.Body.Data = bytes.Clone(x.Response.Body.Data)
	k.exchanges = append(k.exchanges, x)
	return nil
}

func asItIs(x Exchange) Exchange { return x }

func methodAndTarget(method, target string) string { return method + " " + target }

// patient is how long tests wait for what comes at once on a machine that has nothing else
// to do, and that others may hold up for seconds.
const patient = time.Minute

// closing gives things time to come to their end, and not for ever.
func closing(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	t.Cleanup(cancel)
	return ctx
}

func startRecorder(t testing.TB, sink Sink, o RecorderOptions) *Recorder {
	t.Helper()
	if o.Redact == nil {
		o.Redact = asItIs
	}
	if o.Route == nil {
		o.Route = methodAndTarget
	}
	r, err := NewRecorder(t.Context(), sink, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close(closing(t)) })
	return r
}

func TestRecorderPassesAnswersOnAsTheyAre(t *testing.T) {
	web := primary(t)
	r := startRecorder(t, &kept{}, RecorderOptions{Upstream: web.URL})
	for name, request := range requestsOf() {
		t.Run(name, func(t *testing.T) {
			want, got := rawAnswer(t, web.URL, request), rawAnswer(t, r.URL(), request)
			require.NotEmpty(t, got)
			require.Equal(t, inOrder(want), inOrder(got))
		})
	}
}

// TestNothingOfOursIsAnsweredToUsers: what a status has elsewhere is the service's here.
func TestNothingOfOursIsAnsweredToUsers(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the service's "+r.URL.Path) }))
	defer web.Close()
	r := startRecorder(t, &kept{}, RecorderOptions{Upstream: web.URL})
	m, _ := startMirror(t, MirrorOptions{Primary: web.URL, Candidate: web.URL})
	sink, _ := startMirror(t, MirrorOptions{Baseline: web.URL, Candidate: web.URL})
	for _, path := range []string{"/metrics", "/healthz", "/debug/pprof/"} {
		get := "GET " + path + " HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
		for _, url := range []string{r.URL(), m.URL()} {
			require.Equal(t, "the service's "+path, body(rawAnswer(t, url, get)))
		}
		require.Contains(t, rawAnswer(t, sink.URL(), get), "204 No Content")
	}
}

func TestRecorderKeepsExchanges(t *testing.T) {
	web, sink := primary(t), &kept{}
	r := startRecorder(t, sink, RecorderOptions{Upstream: web.URL})
	requests := requestsOf()
	for _, name := range []string{"/plain", "/zipped", "/large", "post", "/empty", "head", "/hints", "/trailers"} {
		rawAnswer(t, r.URL(), requests[name])
	}
	require.NoError(t, r.Close(closing(t)))
	require.Equal(t, Recorded{Seen: 8, Recorded: 8, Cut: 1}, r.Counts())
	at := map[string]Exchange{}
	for _, x := range sink.exchanges {
		at[x.Route] = x
		require.WithinDuration(t, time.Now(), x.At, time.Minute)
		require.Equal(t, time.UTC, x.At.Location())
		require.Positive(t, x.Took)
		require.Equal(t, "shop.test", x.Request.Host)
		require.NotContains(t, x.Response.Header, "Trailer")
	}
	require.Equal(t, Body{Data: []byte("hello "), Size: 6}, at["GET /plain"].Response.Body)
	require.Equal(t, "shop.test", at["GET /plain"].Response.Header.Get("X-Asked-Host"))
	require.Equal(t, Body{Data: []byte(strings.Repeat("zipped ", 1000)), Size: 7000, Encoding: "gzip"}, at["GET /zipped"].Response.Body)
	large := at["GET /large"].Response.Body
	require.Equal(t, "5bcd44e1ae4d34173b36402d6b2f1ecd", large.Digest[:32])
	require.Equal(t, []any{int64(largeBody), true, DefaultMaxBody}, []any{large.Size, large.Cut, len(large.Data)})
	require.Equal(t, Body{Data: []byte("hello"), Size: 5}, at["POST /echo"].Request.Body)
	require.Equal(t, Body{Data: []byte("hello"), Size: 5}, at["POST /echo"].Response.Body)
	require.Equal(t, http.StatusNoContent, at["GET /empty"].Response.Status)
	require.Equal(t, Body{}, at["HEAD /large"].Response.Body)
	require.Equal(t, http.StatusOK, at["GET /hints"].Response.Status)
}

func TestRecorderCountsWhatItCanNotKeep(t *testing.T) {
	web := primary(t)
	requests := requestsOf()
	t.Run("what has no end, and no whole answer", func(t *testing.T) {
		sink := &kept{}
		r := startRecorder(t, sink, RecorderOptions{Upstream: web.URL})
		require.Contains(t, rawAnswer(t, r.URL(), requests["switch"]), "\r\n\r\nhello\n")
		rawAnswer(t, r.URL(), requests["/broken"])
		require.NoError(t, r.Close(closing(t)))
		require.Equal(t, Recorded{Seen: 2, Streams: 1, Unanswered: 1}, r.Counts())
		require.Empty(t, sink.exchanges)
	})
	t.Run("an upstream that is dead", func(t *testing.T) {
		r := startRecorder(t, &kept{}, RecorderOptions{Upstream: "http://" + deadAddress(t)})
		require.Contains(t, rawAnswer(t, r.URL(), requests["/plain"]), "502 Bad Gateway")
		require.Equal(t, Recorded{Seen: 1, Unanswered: 1}, r.Counts())
	})
	t.Run("more than there is room for", func(t *testing.T) {
		r := startRecorder(t, &kept{}, RecorderOptions{Upstream: web.URL, Buffer: 64 << 10})
		require.Len(t, body(rawAnswer(t, r.URL(), requests["/large"])), largeBody)
		rawAnswer(t, r.URL(), requests["/plain"])
		require.NoError(t, r.Close(closing(t)))
		require.Equal(t, Recorded{Seen: 2, Recorded: 1, Dropped: 1}, r.Counts())
		require.Zero(t, r.proxy.budget.held.Load())
	})
	t.Run("a disk that is full", func(t *testing.T) {
		var told []error
		full := &kept{err: io.ErrShortWrite}
		r := startRecorder(t, full, RecorderOptions{Upstream: web.URL, Failed: func(err error) { told = append(told, err) }})
		for range 3 {
			require.Contains(t, rawAnswer(t, r.URL(), requests["/plain"]), "200 OK")
		}
		require.ErrorIs(t, r.Close(closing(t)), io.ErrShortWrite)
		require.Equal(t, Recorded{Seen: 3, Failed: 3}, r.Counts())
		require.Len(t, told, 1)
	})
	t.Run("a defect of ours", func(t *testing.T) {
		r := startRecorder(t, &kept{}, RecorderOptions{Upstream: web.URL, Redact: func(Exchange) Exchange { panic("a defect") }})
		require.Contains(t, rawAnswer(t, r.URL(), requests["/plain"]), "200 OK")
		require.ErrorContains(t, r.Close(closing(t)), "a defect")
	})
}

func TestRecorderSpeaksHTTP2(t *testing.T) {
	web, sink := primary(t), &kept{}
	r := startRecorder(t, sink, RecorderOptions{Upstream: strings.Replace(web.URL, "http:", "h2c:", 1)})
	client := &http.Transport{Protocols: new(http.Protocols)}
	client.Protocols.SetUnencryptedHTTP2(true)
	defer client.CloseIdleConnections()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL()+"/echo", strings.NewReader("hello"))
	require.NoError(t, err)
	res, err := client.RoundTrip(q)
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "hello", string(text))
	require.NoError(t, res.Body.Close())
	require.Equal(t, 2, res.ProtoMajor)
	client.CloseIdleConnections()
	require.NoError(t, r.Close(closing(t)))
	require.Equal(t, Recorded{Seen: 1, Recorded: 1}, r.Counts())
	require.Equal(t, "hello", string(sink.exchanges[0].Request.Body.Data))
}

// TestRecorderStreams makes sure that parts of an answer arrive when they are sent,
// whether its length is known or not.
func TestRecorderStreams(t *testing.T) {
	for name, length := range map[string]string{"of unknown length": "", "of known length": "12"} {
		t.Run(name, func(t *testing.T) {
			next := make(chan struct{})
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if length != "" {
					w.Header().Set("Content-Length", length)
				}
				for range 2 {
					fmt.Fprint(w, "part. ")
					_ = http.NewResponseController(w).Flush()
					select {
					case <-next:
					case <-r.Context().Done():
					}
				}
			}))
			defer web.Close()
			r := startRecorder(t, &kept{}, RecorderOptions{Upstream: web.URL})
			res, err := http.Get(r.URL())
			require.NoError(t, err)
			defer res.Body.Close()
			parts := bufio.NewReader(res.Body)
			for range 2 {
				part, err := parts.ReadString(' ')
				require.NoError(t, err)
				require.Equal(t, "part. ", part)
				next <- struct{}{}
			}
		})
	}
}

func TestSampleIsStable(t *testing.T) {
	of := func(user string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", "sid="+user)
		return r
	}
	s, in := SessionSample{Share: 0.1}, 0
	for i := range 10_000 {
		user := strconv.Itoa(i)
		if s.has(of(user)) {
			in++
			require.True(t, s.has(of(user)))
			require.True(t, SessionSample{Share: 0.2}.has(of(user)), "a larger sample holds the smaller one")
		}
	}
	require.InDelta(t, 1000, in, 100) // five standard deviations would be 150
	key, err := SessionKeyOf("cookie:sid")
	require.NoError(t, err)
	require.Equal(t, "7", key(of("7")))
	_, err = SessionKeyOf("sid")
	require.ErrorContains(t, err, "write header:NAME or cookie:NAME")
}

func TestOriginsAreRefused(t *testing.T) {
	for url, says := range map[string]string{
		"shop.test:80":          "write it as http://, https:// or h2c://HOST:PORT",
		"http://":               "has no host",
		"http://u:p@shop.test":  "leave out the user and the password",
		"http://shop.test/?a=b": "leave out everything after the path",
		"http://%zz":            "the address can not be read",
	} {
		_, err := NewRecorder(t.Context(), &kept{}, RecorderOptions{Upstream: url})
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "u:p")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	taken := l.Addr().String()
	_, err = NewRecorder(t.Context(), &kept{}, RecorderOptions{Upstream: "http://shop.test", Listen: taken})
	require.ErrorContains(t, err, "another process does")
	own := deadAddress(t)
	_, err = NewRecorder(t.Context(), &kept{}, RecorderOptions{Upstream: "http://" + own, Listen: own})
	require.ErrorContains(t, err, "it would ask itself")
}

// A proxy that is its own upstream would ask itself without end.
func TestOriginsThatAreThisProxy(t *testing.T) {
	for _, c := range []struct {
		upstream, listens string
		same              bool
	}{
		{"http://127.0.0.1:81", "127.0.0.1:81", true},
		{"http://localhost:81", "127.0.0.1:81", true},
		{"http://127.0.0.1:81", "[::]:81", true},
		{"http://127.0.0.1", "0.0.0.0:80", true},
		{"http://0.0.0.0:81", "127.0.0.1:81", true},
		{"http://127.0.0.1:82", "[::]:81", false},
		{"http://10.0.0.1:81", "[::]:81", false},
		{"http://shop.test:81", "127.0.0.1:81", false},
	} {
		o, err := newProxyOrigin(c.upstream, 0, Encryption{})
		require.NoError(t, err)
		require.Equal(t, c.same, o.is(c.listens), "%s at %s", c.upstream, c.listens)
	}
}

func TestTargetsKeepTheirEncoding(t *testing.T) {
	for base, targets := range map[string]map[string]string{
		"http://shop.test":      {"/a%2Fb?": "/a%2Fb?", "/": "/", "/a|b": "/a|b", "*": "*", "//x": "//x", "/?q=a b": "/?q=a b"},
		"http://shop.test/v2/":  {"/a%2Fb?x=1": "/v2/a%2Fb?x=1", "//x": "/v2//x"},
		"http://shop.test/%41/": {"/a": "/%41/a"},
	} {
		o, err := newProxyOrigin(base, 0, Encryption{})
		require.NoError(t, err)
		for target, want := range targets {
			require.Equal(t, want, o.at(target).RequestURI(), "%s at %s", target, base)
		}
	}
}
