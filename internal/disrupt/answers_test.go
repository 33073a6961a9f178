package disrupt

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/websocket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// harmless is what a fault on bodies finds nothing to harm in.
var harmless = map[string]func(t *testing.T, client *http.Client, url string) received{
	"no content":   func(t *testing.T, c *http.Client, url string) received { return get(t, c, url+"/204") },
	"not modified": func(t *testing.T, c *http.Client, url string) received { return get(t, c, url+"/304") },
	"empty":        func(t *testing.T, c *http.Client, url string) received { return get(t, c, url+"/empty") },
	"head":         func(t *testing.T, c *http.Client, url string) received { return do(c, request(t, "HEAD", url, "")) },
}

func statusOfPath(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/204":
		w.WriteHeader(204)
	case "/304":
		w.WriteHeader(304)
	case "/empty":
	case "/socket":
		websocket.Server{Handler: func(c *websocket.Conn) { _, _ = io.Copy(c, c) }}.ServeHTTP(w, r)
	default:
		ok(w, r)
	}
}

// Only what was harmed is touched: answers without a body are let be by faults
// on bodies, at once, and so are connections that were upgraded.
func TestFaultsOnBodiesNeedABody(t *testing.T) {
	for _, name := range []string{"bandwidth", "corrupt", "slice", "slow_close", "truncate"} {
		t.Run(name, func(t *testing.T) {
			p, _ := frontOf(t, statusOfPath)
			d := contracts[name].mild
			if held := contracts[name].held; held != nil {
				d = *held
			}
			lift := inject(t, d, p, 1)
			eachProtocol(t, func(t *testing.T, client *http.Client) {
				for _, call := range harmless {
					require.NoError(t, call(t, client, p.URL()).err)
				}
			})
			conn, err := websocket.Dial(strings.Replace(p.URL(), "http", "ws", 1)+"/socket", "", "http://localhost")
			require.NoError(t, err)
			require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
			_, err = io.WriteString(conn, "hello")
			require.NoError(t, err)
			back := make([]byte, 5)
			_, err = io.ReadFull(conn, back)
			require.NoError(t, err)
			require.Equal(t, "hello", string(back))
			require.NoError(t, conn.Close())
			requireMeasured(t, p, 9)
			require.Equal(t, measure.Touch{}, lift())

			lift = inject(t, contracts[name].mild, p, 1)
			client := newClient(t, http1)
			for _, call := range harmless {
				require.NoError(t, call(t, client, p.URL()).err)
			}
			require.True(t, contracts[name].bitten(do(client, request(t, "POST", p.URL(), "go"))))
			require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, lift())
		})
	}
}

// An answer that is shorter than what may pass is not touched, nor one that has
// no times.
func TestFaultsNeedSomethingToHarm(t *testing.T) {
	p, _ := frontOf(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		ok(w, r)
	})
	for _, d := range []plan.Disruption{
		{Truncate: &plan.Truncate{After: 2}},
		{Slice: &plan.Slice{Size: 2, Delay: plan.Duration(time.Hour)}},
		{Clock: &plan.Clock{Skew: "1h"}},
	} {
		lift := inject(t, d, p, 1)
		requireWell(t, get(t, newClient(t, http1), p.URL()))
		require.Equal(t, measure.Touch{}, lift())
	}
}

// events is a dependency that sends two events, the second when it is told to.
func events(next <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: a\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-next:
			_, _ = io.WriteString(w, "data: b\n\n")
		case <-r.Context().Done():
		}
	}
}

// Events come as they are sent through faults that leave them as they are, and
// faults on bodies bite in the middle of a stream.
func TestEventStreamsUnderFaults(t *testing.T) {
	const whole = "data: a\n\ndata: b\n\n"
	for name, c := range map[string]struct {
		d    plan.Disruption
		want func(text string, err error) bool
	}{
		"latency":    {slow(mildDelay), func(text string, err error) bool { return text == whole && err == nil }},
		"bandwidth":  {plan.Disruption{Bandwidth: &plan.Bandwidth{PerSecond: 10_000}}, func(text string, err error) bool { return text == whole && err == nil }},
		"slice":      {plan.Disruption{Slice: &plan.Slice{Size: 2}}, func(text string, err error) bool { return text == whole && err == nil }},
		"slow_close": {plan.Disruption{SlowClose: &plan.SlowClose{Delay: plan.Duration(mildDelay)}}, func(text string, err error) bool { return text == whole && err == nil }},
		"clock":      {plan.Disruption{Clock: &plan.Clock{Skew: "1h"}}, func(text string, err error) bool { return text == whole && err == nil }},
		"truncate":   {plan.Disruption{Truncate: &plan.Truncate{After: 12}}, func(text string, err error) bool { return text == whole[:12] && err != nil }},
		"corrupt": {plan.Disruption{Corrupt: &plan.Corrupt{Bytes: 1}}, func(text string, err error) bool {
			return len(text) == len(whole) && text[1:] != whole[1:] && err == nil
		}},
		"reset":   {plan.Disruption{Reset: &plan.Reset{}}, func(_ string, err error) bool { return err != nil }},
		"timeout": {plan.Disruption{Timeout: &plan.Timeout{After: 1}}, func(_ string, err error) bool { return err != nil }},
		"error":   {failing(503, "no"), func(text string, err error) bool { return text == "no" && err == nil }},
	} {
		t.Run(name, func(t *testing.T) {
			next := make(chan struct{}, 1)
			p, _ := frontOf(t, events(next))
			eachProtocol(t, func(t *testing.T, client *http.Client) {
				lift := inject(t, c.d, p, 1)
				text, err := hear(client, p.URL(), next)
				require.True(t, c.want(text, err), "%q %v", text, err)
				require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, lift())
			})
		})
	}
}

// hear reads events to their end and asks for the second once it has the first.
func hear(client *http.Client, url string, next chan struct{}) (text string, err error) {
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode == 200 {
		first := make([]byte, len("data: a\n\n"))
		if n, err := io.ReadFull(res.Body, first); err != nil {
			return string(first[:n]), err
		}
		text = string(first)
		next <- struct{}{}
	}
	rest, err := io.ReadAll(bufio.NewReader(res.Body))
	return text + string(rest), err
}

// What is lifted in the middle of a stream does not harm the rest of it.
func TestLiftingInTheMiddleOfAStream(t *testing.T) {
	next := make(chan struct{}, 1)
	p, _ := frontOf(t, events(next))
	for _, d := range []plan.Disruption{
		{Truncate: &plan.Truncate{After: 12}},
		{Corrupt: &plan.Corrupt{Bytes: 1}},
		{SlowClose: &plan.SlowClose{Delay: plan.Duration(time.Hour)}},
		{Slice: &plan.Slice{Size: 8, Delay: plan.Duration(time.Millisecond)}},
	} {
		lift := inject(t, d, p, 1)
		res, err := newClient(t, http1).Get(p.URL())
		require.NoError(t, err)
		defer res.Body.Close()
		_, err = io.ReadFull(res.Body, make([]byte, len("data: a\n\n")))
		require.NoError(t, err)
		lift()
		next <- struct{}{}
		rest, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, "data: b\n\n", string(rest))
	}
}

// An upgrade is held back like any request, and what it then carries is not.
func TestUpgradeUnderFaults(t *testing.T) {
	p, _ := frontOf(t, statusOfPath)
	dial := func() error {
		conn, err := websocket.Dial(strings.Replace(p.URL(), "http", "ws", 1)+"/socket", "", "http://localhost")
		if err == nil {
			_ = conn.Close()
		}
		return err
	}
	lift := inject(t, slow(mildDelay), p, 1)
	start := time.Now()
	require.NoError(t, dial())
	require.GreaterOrEqual(t, time.Since(start), mildDelay)
	require.EqualValues(t, 1, lift().Touched)
	for _, d := range []plan.Disruption{{Reset: &plan.Reset{}}, failing(503, ""), {Timeout: &plan.Timeout{After: 1}}} {
		lift := inject(t, d, p, 1)
		require.Error(t, dial())
		require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, lift())
	}
	require.NoError(t, dial())
}

// Over TLS calls of gRPC pass, too, and are harmed; a client that checks minds a
// bad certificate, and comes back when there is a good one.
func TestGRPCOverTLS(t *testing.T) {
	p, _ := front(t, plan.Dependency{Upstream: "http://" + grpcServer(t), Protocol: "grpc", Serve: &plan.Serve{}})
	conn, err := grpc.NewClient("passthrough:///"+p.listener.Addr().String(),
		grpc.WithTransportCredentials(credentials.NewTLS(trusting(t, p.CA()))), grpc.WithDefaultCallOptions(grpc.ForceCodec(plainText{})),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: patience, Backoff: backoff.Config{BaseDelay: time.Millisecond, MaxDelay: time.Millisecond, Multiplier: 1}}))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	requireWell(t, say(t.Context(), conn, "go"))
	lift := inject(t, contracts["error"].mild, p, 1)
	require.True(t, contracts["error"].bitten(say(t.Context(), conn, "go")))
	require.Equal(t, measure.Touch{Matched: 1, Touched: 1}, lift())

	lift = inject(t, plan.Disruption{Certificate: &plan.Certificate{Kind: "expired"}}, p, 1)
	require.Eventually(t, func() bool {
		err := say(t.Context(), conn, "go").err
		return err != nil && strings.Contains(err.Error(), "expired")
	}, patience, time.Millisecond)
	require.NotZero(t, lift().Touched)
	require.Eventually(t, func() bool { return say(t.Context(), conn, "go").err == nil }, patience, time.Millisecond)
}

// pieces counts the parts of a body.
type pieces struct {
	*httptest.ResponseRecorder
	sizes []int
}

func (p *pieces) Write(b []byte) (int, error) {
	p.sizes = append(p.sizes, len(b))
	return p.ResponseRecorder.Write(b)
}

// After lifting, the rest of a body is not cut up any more.
func TestPiecesAreWholeAfterLifting(t *testing.T) {
	tally := bounds{share: 1}.begin()
	out := &pieces{ResponseRecorder: httptest.NewRecorder()}
	slice{size: 2}.touch(out, httptest.NewRequest("GET", "/", nil), &chance{tally: tally}, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "abcde")
		tally.end()
		_, _ = io.WriteString(w, "fghij")
	})
	require.Equal(t, []int{2, 2, 1, 5}, out.sizes)
	require.Equal(t, "abcdefghij", out.Body.String())
}
