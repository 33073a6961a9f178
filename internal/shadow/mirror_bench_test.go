package shadow

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkMirror compares ways to the same server, in turns, so that all see the
// same machine: through a plain httputil.ReverseProxy, and through mirrors whose
// candidate is absent (nothing is copied), the server itself (all is copied, redacted
// and compared), dead, or never answers; the last two for long enough to be known. It reports what they add at the median to an
// answer of 1 kB over one connection, in microseconds; the target is 100.
func BenchmarkMirror(b *testing.B) {
	text := `{"items": [` + strings.Repeat(`{"id": 12345, "price": 12.50},`, 32) + `{}]}`
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	}))
	b.Cleanup(web.Close)
	ways := []*way{
		{name: "plain", url: plainProxy(b, web.URL)},
		{name: "absent", url: benchMirror(b, web.URL, "http://"+deadAddress(b), true)},
		{name: "copied", url: benchMirror(b, web.URL, web.URL, false)},
		{name: "dead", url: benchMirror(b, web.URL, "http://"+deadAddress(b), false)},
		{name: "slow", url: benchMirror(b, web.URL, behaving(b, candidates["never answers"]), false)},
	}
	for _, w := range ways {
		w.dial(b)
		for range 200 {
			w.ask(b)
		}
		w.took = w.took[:0]
	}
	const turn = 20
	for sent := 0; sent < b.N; sent += turn {
		for _, w := range ways {
			for range turn {
				w.ask(b)
			}
		}
	}
	for _, w := range ways[1:] {
		b.ReportMetric(float64((w.quantile(0.5)-ways[0].quantile(0.5)).Nanoseconds())/1e3, w.name+"-added-µs-p50")
		b.ReportMetric(float64((w.quantile(0.99)-ways[0].quantile(0.99)).Nanoseconds())/1e3, w.name+"-added-µs-p99")
	}
}

func plainProxy(b *testing.B, upstream string) string {
	to, err := url.Parse(upstream)
	require.NoError(b, err)
	plain := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 10, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	b.Cleanup(plain.Close)
	return plain.URL
}

func benchMirror(b *testing.B, primary, candidate string, withhold bool) string {
	redactor, err := NewRedactor(RedactionRules{})
	require.NoError(b, err)
	judge, err := NewMirrorJudge(Rules{}, CompareOptions{}, FindingOptions{}, nil)
	require.NoError(b, err)
	o := MirrorOptions{
		Primary: primary, Candidate: candidate, Timeout: time.Second,
		Redactor: redactor, Route: new(Routes).RouteOf, Compare: judge.Compare,
	}
	if withhold {
		o.Sample = SessionSample{Share: 1e-9}
	}
	m, _ := startMirror(b, o)
	b.Cleanup(func() { // those of a candidate that never answers are not waited for
		hurry, cancel := context.WithCancel(context.Background())
		cancel()
		m.Close(hurry)
	})
	return m.URL()
}

// way is one way to the same server.
type way struct {
	name, url string
	conn      net.Conn
	request   []byte
	answer    []byte
	took      []time.Duration
}

func (w *way) dial(b *testing.B) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close() })
	w.conn, w.answer = conn, make([]byte, 64<<10)
	w.request = fmt.Appendf(nil, "GET /orders?page=2 HTTP/1.1\r\nHost: shop.test\r\nUser-Agent: bench\r\nAccept: application/json\r\nCookie: sid=0123456789abcdef\r\n\r\n")
}

// ask sends one request and reads the answer, which ends with "{}]}".
func (w *way) ask(b *testing.B) {
	start := time.Now()
	if _, err := w.conn.Write(w.request); err != nil {
		b.Fatal(err)
	}
	for n := 0; ; {
		more, err := w.conn.Read(w.answer[n:])
		if err != nil {
			b.Fatal(err)
		}
		if n += more; strings.HasSuffix(string(w.answer[max(0, n-4):n]), "{}]}") {
			break
		}
	}
	w.took = append(w.took, time.Since(start))
}

func (w *way) quantile(q float64) time.Duration {
	slices.Sort(w.took)
	return w.took[int(q*float64(len(w.took)-1))]
}
