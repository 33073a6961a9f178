package disrupt

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

const testToken = "a-token-that-nobody-may-see"

// controlled starts a proxy named dep, with a control that is served on
// loopback.
func controlled(t *testing.T, token string, ttl time.Duration) (*Proxy, *Control, string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(ok))
	t.Cleanup(s.Close)
	backlog := &Backlog{}
	p, err := newProxy(t.Context(), "dep", plan.Dependency{Upstream: s.URL}, "", t.TempDir(), backlog.Keep, time.Tick(20*time.Millisecond))
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	c := NewControl(map[string]Dependency{"dep": p}, token, ttl)
	c.Served = map[string]Served{"dep": {Protocol: "http", Backlog: backlog}}
	return p, c, serveControl(t, c, nil)
}

// serveControl serves a control on loopback, until the test ends.
func serveControl(t *testing.T, c *Control, config *tls.Config) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	scheme, address := "http://", l.Addr().String()
	if config != nil {
		l, scheme = tls.NewListener(l, config), "https://"
	}
	served := make(chan error, 1)
	go func() { served <- c.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, c.Close(t.Context()))
		require.NoError(t, <-served)
	})
	return scheme + address
}

func delayed(delay time.Duration) plan.Disruption {
	return plan.Disruption{
		Name: "slow", Dependency: "dep", For: plan.Duration(time.Minute), Share: 1, Settle: new(plan.Duration),
		Latency: &plan.Latency{Delay: plan.Duration(delay)},
	}
}

// ask sends a request to a control as anybody could.
func ask(t *testing.T, method, url, body string, headers ...string) (int, string) {
	t.Helper()
	r := request(t, method, url, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got := do(newClient(t, http1), r)
	require.NoError(t, got.err)
	return got.StatusCode, got.body
}

func TestControlWantsItsToken(t *testing.T) {
	p, _, url := controlled(t, testToken, 0)
	text, err := json.Marshal(Order{Proxy: "dep", Disruption: delayed(time.Minute)})
	require.NoError(t, err)
	for _, header := range [][]string{
		nil,
		{"Authorization", ""},
		{"Authorization", "Bearer"},
		{"Authorization", "Bearer "},
		{"Authorization", "Bearer " + testToken + "x"},
		{"Authorization", testToken},
		{"Authorization", "Basic " + testToken},
		{"Authorization", "Bearer " + testToken[1:]},
	} {
		for _, call := range [][2]string{
			{"GET", "/v1/status"}, {"PUT", "/v1/faults/a"}, {"POST", "/v1/faults/a/renew"}, {"DELETE", "/v1/faults/a"}, {"GET", "/v1/proxies/dep/windows"},
		} {
			status, body := ask(t, call[0], url+call[1], string(text), header...)
			require.Equal(t, 401, status, "%s %v", call, header)
			require.NotContains(t, body, testToken)
		}
	}
	requireWell(t, get(t, newClient(t, http1), p.URL()))
	status, body := ask(t, "GET", url+"/healthz", "")
	require.Equal(t, 200, status)
	require.Equal(t, "ok\n", body)
	status, body = ask(t, "GET", url+"/v1/status", "", "Authorization", "bearer "+testToken)
	require.Equal(t, 200, status, "the scheme is spelled as one likes")
	require.NotContains(t, body, testToken)
	_, err = remoteTo(t, url, "wrong").status(t)
	require.ErrorContains(t, err, "the token is wrong or missing")
}

func TestControlWithoutATokenTakesNothingFromWebPages(t *testing.T) {
	_, _, url := controlled(t, "", 0)
	status, body := ask(t, "DELETE", url+"/v1/faults/a", "", "Origin", "https://evil.example")
	require.Equal(t, 403, status)
	require.Contains(t, body, "no orders from web pages")
	status, _ = ask(t, "DELETE", url+"/v1/faults/a", "")
	require.Equal(t, 200, status)
}

func TestControlSaysWhatIsWrong(t *testing.T) {
	p, _, url := controlled(t, "", 0)
	good := `{"proxy": "dep", "disruption": {"name": "slow", "dependency": "dep", "for": "1m", "latency": {"delay": "1m"}}}`
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"PUT", "/v1/faults/a", `{"proxy": "dep"}`, 400, "an order wants a disruption"},
		{"PUT", "/v1/faults/a", `{"proxi": "dep"}`, 400, `unknown field \"proxi\"`},
		{"PUT", "/v1/faults/a", good + "x", 400, ""},
		{"PUT", "/v1/faults/a", "", 400, ""},
		{"PUT", "/v1/faults/a", strings.Replace(good, "delay", "delai", 1), 400, `unknown key \"delai\" in latency; did you mean \"delay\"?`},
		{"PUT", "/v1/faults/a", strings.Replace(good, `"1m"}}`, `1}}`, 1), 400, "delay wants a duration with its unit"},
		{"PUT", "/v1/faults/a", strings.Replace(good, `"dep"`, `"stock"`, 1), 404, `there is no proxy \"stock\" here: there is dep`},
		{"PUT", "/v1/faults/a.b", good, 400, "the id of a fault is"},
		{"PUT", "/v1/faults/a", strings.Replace(good, `{`, `{"id": "b", `, 1), 400, `but \"a\" in the path`},
		{"PUT", "/v1/faults/a", strings.Replace(good, `{`, `{"ttl": "-1s", `, 1), 400, "can not be negative"},
		{"PUT", "/v1/faults/a", strings.Replace(good, `"slow"`, `"`+strings.Repeat("x", maxOrder)+`"`, 1), 413, "too large"},
		{"PUT", "/v1/faults/a", strings.Replace(good, `"latency": {`, `"kill": {`, 1), 400, ""},
		{"POST", "/v1/check", strings.Replace(good, `"latency": {"delay": "1m"}`, `"certificate": {"kind": "expired"}`, 1), 409, `shows no certificate: add serve: {} to it`},
		{"POST", "/v1/check", strings.Replace(good, `"dep"`, `"stock"`, 1), 404, `there is no proxy \"stock\" here: there is dep`},
		{"POST", "/v1/check", good, 200, `{"instance":"`},
		{"POST", "/v1/faults/never/renew", "", 410, "there is none with the id"},
		{"GET", "/v1/proxies/stock/windows", "", 404, `there is no proxy \"stock\" here`},
		{"GET", "/v1/proxies/dep/windows?after=x", "", 400, "after wants a cursor"},
		{"GET", "/v1/proxies/dep/windows?wait=-1s", "", 400, "wait wants a duration"},
		{"GET", "/v1/nothing", "", 404, ""},
		{"POST", "/v1/status", "", 405, ""},
	} {
		t.Run(fmt.Sprintf("%s %s %.60s", c.method, c.path, c.body), func(t *testing.T) {
			status, body := ask(t, c.method, url+c.path, c.body)
			require.Equal(t, c.status, status, body)
			require.Contains(t, body, c.want)
			requireWell(t, get(t, newClient(t, http1), p.URL()))
		})
	}
}

// What docs/proxy.md shows is what happens.
func TestControlByHand(t *testing.T) {
	p, c, url := controlled(t, "", time.Minute)
	client := newClient(t, http1)
	status, body := ask(t, "PUT", url+"/v1/faults/a", `{"proxy": "dep", "seed": 1, "ttl": "1h", "disruption":
		{"name": "down", "dependency": "dep", "for": "1m", "error": {"status": 500}, "match": {"path": "/pay"}}}`)
	require.Equal(t, 200, status, body)
	var a answer
	require.NoError(t, json.Unmarshal([]byte(body), &a))
	require.Equal(t, c.Instance, a.Instance)
	require.Equal(t, StateActive, a.Lease.State)
	require.Equal(t, plan.Duration(time.Minute), a.Lease.TTL, "it says which it took")
	require.Equal(t, 500, get(t, client, p.URL()+"/pay").StatusCode)
	requireWell(t, get(t, client, p.URL()))
	_, body = ask(t, "GET", url+"/v1/status", "")
	require.Contains(t, body, `"max_ttl":"1m0s","proxies":[{"name":"dep","url":"`+p.URL()+`"`)
	require.Contains(t, body, `"name":"down","fault":"error","state":"active"`)
	for range 2 {
		status, body = ask(t, "DELETE", url+"/v1/faults/a", "")
		require.Equal(t, 200, status, body)
		require.Contains(t, body, `"state":"lifted"`)
		require.Contains(t, body, `"matched":1,"touched":1`)
	}
	requireWell(t, get(t, client, p.URL()+"/pay"))
}

func TestControlOverTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS() // for its certificate
	defer s.Close()
	c := NewControl(map[string]Dependency{"dep": newPretend()}, testToken, 0)
	url := serveControl(t, c, &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12})

	_, err := remoteTo(t, url, testToken).status(t)
	require.ErrorContains(t, err, "certificate signed by unknown authority")
	require.ErrorAs(t, err, &unsent{}, "the token was not sent")

	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	trusting, err := NewController(url, testToken, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	defer trusting.Close()
	got, err := trusting.Status(t.Context())
	require.NoError(t, err)
	require.Equal(t, c.Instance, got.Instance)
}

// remoteTo is a controller for tests.
func remoteTo(t *testing.T, url, token string) tester {
	t.Helper()
	c, err := NewController(url, token, nil)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return tester{c}
}

type tester struct{ *Controller }

func (c tester) status(t *testing.T) (ControlStatus, error) {
	t.Helper()
	return c.Status(t.Context())
}

func TestSomethingElseIsNoControl(t *testing.T) {
	leak := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leak <- r.Header.Get("Authorization") }))
	defer other.Close()
	for name, h := range map[string]http.HandlerFunc{
		"a page":     ok,
		"not found":  http.NotFound,
		"other json": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"error": "x"}`) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(h)
			defer s.Close()
			c := remoteTo(t, s.URL, testToken)
			_, err := c.status(t)
			require.ErrorContains(t, err, "is not the control of a `resilience proxy`")
			require.NotContains(t, err.Error(), testToken)
			require.Empty(t, leak)
		})
	}
	for _, url := range []string{"", "127.0.0.1:80", "ftp://x", "http://"} {
		_, err := NewController(url, "", nil)
		require.ErrorContains(t, err, "a control has a URL such as")
	}
}

func TestBacklog(t *testing.T) {
	b := &Backlog{}
	window := func(n int) measure.Window { return measure.Window{Start: int64(n)} }
	var all []measure.Window
	for n := range 2500 {
		all = append(all, window(n))
	}
	require.NoError(t, b.Keep(measure.Batch{Windows: all}))
	require.EqualValues(t, 2500, b.Cursor())
	var read []measure.Window
	cursor := uint64(0)
	for range 3 {
		again, _ := b.page(cursor)
		p := b.after(t.Context(), cursor)
		require.Equal(t, again, p, "asking again gives the same")
		require.Zero(t, p.Missed)
		read, cursor = append(read, p.Batch.Windows...), p.Cursor
	}
	require.Equal(t, all, read)

	for n := range maxBacklog + 10 {
		require.NoError(t, b.Keep(measure.Batch{Windows: []measure.Window{window(n)}, Events: []measure.Event{{Seq: uint64(n)}}}))
	}
	p := b.after(t.Context(), cursor)
	require.EqualValues(t, maxBacklog+20, p.Missed)
	require.Len(t, p.Batch.Windows, maxPage/2)
	require.EqualValues(t, maxBacklog/2+10, p.Batch.Windows[0].Start)
	require.Len(t, b.held, maxBacklog)

	cursor = b.Cursor()
	got := make(chan page)
	go func() { got <- b.after(t.Context(), cursor) }()
	require.Eventually(t, func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.more != nil }, patience, time.Millisecond)
	require.NoError(t, b.Keep(measure.Batch{Windows: []measure.Window{window(7)}}))
	require.Equal(t, page{Batch: measure.Batch{Windows: []measure.Window{window(7)}}, Cursor: cursor + 1}, <-got)
	require.Equal(t, cursor+1000, b.after(cancelled(t), cursor+1000).Cursor, "a cursor that is ahead stays")
}

func FuzzOrder(f *testing.F) {
	o := order("a", "slow", time.Second)
	text, err := json.Marshal(o)
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte(`{"proxy": "dep", "disruption": {"name": "a", "for": "1s", "error": {"body": "${x} $${y}"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var o, back Order
		if json.Unmarshal(text, &o) != nil {
			return
		}
		text, err := json.Marshal(o)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &back), "%s", text)
		again, err := json.Marshal(back)
		require.NoError(t, err)
		require.True(t, bytes.Equal(text, again), "%s\n%s", text, again)
	})
}

func cancelled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
