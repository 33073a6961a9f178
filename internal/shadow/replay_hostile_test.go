package shadow

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// hijacked answers with bytes of its own and closes the connection.
func hijacked(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, text)
		conn.Close()
	}
}

// hostileAnswers are what a broken candidate may answer.
func hostileAnswers() map[string]http.HandlerFunc {
	var bomb bytes.Buffer
	for inner := []byte(strings.Repeat("\x00", 64<<20)); ; inner = bytes.Clone(bomb.Bytes()) {
		bomb.Reset()
		z := gzip.NewWriter(&bomb)
		_, _ = z.Write(inner)
		z.Close()
		if len(inner) < 64<<20 { // packed twice
			break
		}
	}
	packed := func(encoding string, data []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", encoding)
			_, _ = w.Write(data)
		}
	}
	return map[string]http.HandlerFunc{
		"no HTTP":             hijacked("SSH-2.0-OpenSSH\r\n"),
		"nothing":             hijacked(""),
		"half a head":         hijacked("HTTP/1.1 200 OK\r\nContent-"),
		"broken chunks":       hijacked("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"),
		"less than it said":   hijacked("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a\":1}"),
		"no gzip":             packed("gzip", []byte("plain")),
		"half a gzip":         packed("gzip", bomb.Bytes()[:len(bomb.Bytes())/2]),
		"a bomb":              packed("gzip, gzip", bomb.Bytes()),
		"ten encodings":       packed(strings.Repeat("gzip, ", 9)+"gzip", bomb.Bytes()),
		"an unknown encoding": packed("rot13", []byte("{}")),
		"no UTF-8":            func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{\"a\":\"\xff\xfe\"}")) },
		"deep":                func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("[", 1<<20)) },
		"a lot": func(w http.ResponseWriter, _ *http.Request) {
			block := bytes.Repeat([]byte("x"), 1<<20)
			for range 100 {
				_, _ = w.Write(block)
			}
		},
		"a redirect to nowhere": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(http.StatusFound)
		},
	}
}

// TestReplayOfABrokenCandidate wants all of them to be counted and compared, in
// bounded memory, and the replay to end.
func TestReplayOfABrokenCandidate(t *testing.T) {
	answers := hostileAnswers()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := answers[strings.ReplaceAll(strings.TrimPrefix(r.URL.Path, "/"), "-", " ")]; h != nil {
			h(w, r)
			return
		}
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	defer server.Close()
	server.Config.ErrorLog = nil
	var exchanges []Exchange
	for name := range answers {
		for i := range 2 {
			exchanges = append(exchanges, recordedGet(0, fmt.Sprint(name, i), "/"+strings.ReplaceAll(name, " ", "-")))
		}
	}
	s := staged{test: unhurried(), tape: tape{exchanges: exchanges}, baseline: answering(`{"ok":true}`, 0)}
	require.NoError(t, s.test.Speed.UnmarshalText([]byte("max")))
	s.test.MaxVUs = 4
	outside := s.outside()
	transport := &http.Transport{}
	stub := outside.Sender
	outside.Sender = func(target plan.Target, hosts []string, dir string, conns int) (Sender, error) {
		sender, err := stub(target, hosts, dir, conns)
		if target.URL == server.URL {
			sender.Transport = transport
		}
		return sender, err
	}
	stream := s.stream()
	stream.Target.URL = server.URL
	r, err := NewReplay(stream, outside)
	require.NoError(t, err)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var all measure.Batch
	ctx, cancel := context.WithTimeout(t.Context(), 10*patient)
	defer cancel()
	require.NoError(t, r.Run(ctx, func(b measure.Batch) error {
		all.Windows, all.Events = append(all.Windows, b.Windows...), append(all.Events, b.Events...)
		return nil
	}))
	transport.CloseIdleConnections()
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(32<<20), "nothing of it is kept")
	require.EqualValues(t, len(exchanges), replaySummed(all, measure.MetricRequest)[measure.Candidate].Count)
	require.EqualValues(t, 2*6, replaySummed(all, measure.MetricRequest)[measure.Candidate].Failed, "no answer, or a redirect that is not accepted")
	require.EqualValues(t, len(exchanges), replaySummed(all, measure.MetricComparison)[measure.Candidate].Count)
	places := map[string]bool{}
	for _, e := range happened(all, measure.EventDifference) {
		places[e.Name] = true
	}
	require.Len(t, places, len(answers), "each of them is told")
	require.Equal(t, "true", happened(all, measure.EventTestEnd)[0].Attrs["complete"])
}

// TestReplayOfAnswersWithoutBodies wants a length that is that of another answer
// not to be waited for.
func TestReplayOfAnswersWithoutBodies(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodHead:
			w.Header().Set("Content-Length", "100")
		case r.URL.Path == "/same":
			w.Header().Set("Etag", `"a"`)
			w.WriteHeader(http.StatusNotModified)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer server.Close()
	head := recordedGet(0, "a", "/items")
	head.Request.Method = http.MethodHead
	s := staged{
		test: unhurried(), tape: tape{exchanges: []Exchange{head, recordedGet(0, "b", "/same"), recordedGet(0, "c", "/nothing")}},
		candidate: toServer{server}, baseline: toServer{server},
	}
	all := s.run(t, t.Context())
	require.EqualValues(t, 3, replaySummed(all, measure.MetricComparison)[measure.Candidate].Count)
	require.Empty(t, happened(all, measure.EventDifference))
	for _, w := range all.Windows {
		require.NotEqual(t, "error", w.Series.Status)
	}
}

// toServer sends to a server whatever the target is called.
type toServer struct{ server *httptest.Server }

func (s toServer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Host = strings.TrimPrefix(s.server.URL, "http://")
	return s.server.Client().Transport.RoundTrip(req)
}
