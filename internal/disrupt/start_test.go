package disrupt

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// leftBehind is what is known to remain of others' code that was run.
var leftBehind []goleak.Option

func TestMain(m *testing.M) {
	if actAsChild() || actAsPod(m) {
		return
	}
	if code := m.Run(); code != 0 {
		os.Exit(code)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := findLeaks(leftBehind...); err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

// patience is how long anything may take that is not about time. It only
// bounds tests that have failed already.
const patience = time.Minute

// kept collects what a proxy emits.
type kept struct {
	mu      sync.Mutex
	windows []measure.Window
	fail    error
}

func (k *kept) emit(b measure.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.windows = append(k.windows, b.Windows...)
	return k.fail
}

// byStatus adds up what was measured, by status.
func (k *kept) byStatus() map[string]measure.Window {
	k.mu.Lock()
	defer k.mu.Unlock()
	sums := map[string]measure.Window{}
	for _, w := range k.windows {
		sum := sums[w.Series.Status]
		sum.Count += w.Count
		sum.Failed += w.Failed
		sum.Unfinished += w.Unfinished
		sum.Max = max(sum.Max, w.Max)
		sums[w.Series.Status] = sum
	}
	return sums
}

// front starts a proxy named dep in front of a dependency.
func front(t testing.TB, d plan.Dependency) (*Proxy, *kept) {
	t.Helper()
	k := &kept{}
	p, err := newProxy(t.Context(), "dep", d, "beta", t.TempDir(), k.emit, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p, k
}

// frontOf starts a dependency and a proxy in front of it.
func frontOf(t testing.TB, h http.HandlerFunc) (*Proxy, *kept) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return front(t, plan.Dependency{Upstream: s.URL})
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

// newClient makes a client of its own connections over the given protocols.
func newClient(t testing.TB, set func(*http.Protocols)) *http.Client {
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true, MaxIdleConnsPerHost: 100}
	set(transport.Protocols)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func http1(p *http.Protocols) { p.SetHTTP1(true) }
func h2c(p *http.Protocols)   { p.SetUnencryptedHTTP2(true) }

var protocols = map[string]func(*http.Protocols){"http1": http1, "h2c": h2c}

// received is a response that was read to its end.
type received struct {
	*http.Response
	body string
	took time.Duration
	err  error
}

func do(c *http.Client, r *http.Request) received {
	start := time.Now()
	res, err := c.Do(r)
	if err != nil {
		return received{err: err, took: time.Since(start)}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return received{Response: res, body: string(body), took: time.Since(start), err: err}
}

func request(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	return r
}

func get(t testing.TB, c *http.Client, url string) received {
	t.Helper()
	return do(c, request(t, http.MethodGet, url, ""))
}

// soon waits for a channel.
func soon(t testing.TB, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		require.FailNow(t, "never happened: "+what)
	}
}

// requireNoLeaks waits until no goroutine runs but those that are ignored. What
// was closed may need a while to end on a busy machine, longer than goleak waits.
func requireNoLeaks(t testing.TB, ignore ...goleak.Option) {
	t.Helper()
	require.NoError(t, findLeaks(ignore...))
}

func findLeaks(ignore ...goleak.Option) error {
	for end := time.Now().Add(patience / 6); ; {
		if err := goleak.Find(ignore...); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// quietAddress is a free one that stays free while nobody listens there: the
// kernel gives its port to nobody who asks for any.
func quietAddress(t testing.TB) string {
	t.Helper()
	for {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(10_000)))
		if l, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, l.Close())
			return address
		}
	}
}

var errFull = errors.New("disk full")

// requireMeasured waits until n more requests were measured: they have ended.
func requireMeasured(t testing.TB, p *Proxy, n uint64) {
	t.Helper()
	var count uint64
	require.Eventually(t, func() bool {
		p.meter.mu.Lock()
		windows := p.meter.aggregator.Take()
		p.meter.mu.Unlock()
		_ = p.meter.emit(measure.Batch{Windows: windows})
		for _, w := range windows {
			count += w.Count
		}
		return count == n
	}, patience, time.Millisecond)
}
