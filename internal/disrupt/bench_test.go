package disrupt

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"syscall"
	"testing"
	"time"

	agentgrpc "github.com/grafana/xk6-disruptor/pkg/agent/protocol/grpc"
	agenthttp "github.com/grafana/xk6-disruptor/pkg/agent/protocol/http"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// way is one way to the same upstream.
type way struct {
	name string
	call func()
	took []time.Duration
	busy time.Duration // from its first call of a turn to the last, all turns
	cpu  time.Duration
}

// BenchmarkProxy compares ways to an upstream, in turns of a hundred requests,
// so that all see the same machine: directly, through a plain
// httputil.ReverseProxy, through bare forwarding with net/http, through our
// proxy and through that of xk6-disruptor's agent. It reports what each adds to
// the direct way, in microseconds a request, and how long requests took; the
// CPU time is that of the whole process, client and upstream included. How many
// requests there are does not depend on -benchtime. (fasthttp is not among them: it speaks
// HTTP/1.1 alone, so that neither HTTP/2 nor gRPC could pass.)
func BenchmarkProxy(b *testing.B) {
	for _, size := range []int{100, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) { benchmarkHTTP(b, size) })
	}
	b.Run("grpc", benchmarkGRPC)
}

func benchmarkHTTP(b *testing.B, size int) {
	body := make([]byte, size)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	require.NoError(b, err)
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	plain := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(target) }, Transport: transport})
	defer plain.Close()
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { forwardBarely(w, r, transport, target) }))
	defer bare.Close()
	p, _ := frontOf(b, upstream.Config.Handler.ServeHTTP)
	agent, listener := newAgentListener(b)
	disruptor, err := agenthttp.NewProxy(listener, upstream.URL, agenthttp.Disruption{})
	require.NoError(b, err)
	go func() { _ = disruptor.Start() }()
	defer func() { _ = disruptor.Force() }()

	client := newClient(b, http1)
	get := func(url string) func() {
		return func() {
			res, err := client.Get(url)
			require.NoError(b, err)
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(b, err)
			_ = res.Body.Close()
		}
	}
	compare(b, []*way{
		{name: "direct", call: get(upstream.URL)},
		{name: "plain", call: get(plain.URL)},
		{name: "bare", call: get(bare.URL)},
		{name: "ours", call: get(p.URL())},
		{name: "agent", call: get("http://" + agent)},
	})
}

func benchmarkGRPC(b *testing.B) {
	upstream := grpcServer(b)
	p, _, _ := grpcFrontOf(b, upstream)
	agent, listener := newAgentListener(b)
	leftBehind = append(leftBehind, goleak.IgnoreAnyFunction("google.golang.org/grpc/internal/grpcsync.(*CallbackSerializer).run")) // its connection is never closed
	disruptor, err := agentgrpc.NewProxy(listener, upstream, agentgrpc.Disruption{})
	require.NoError(b, err)
	go func() { _ = disruptor.Start() }()
	defer func() { _ = disruptor.Force() }()
	const message = "\x0a\x02ok" // in the format of Protocol Buffers, which the agent decodes
	call := func(address string) func() {
		conn := grpcClient(b, address)
		return func() { require.NoError(b, say(b.Context(), conn, message).err) }
	}
	compare(b, []*way{
		{name: "direct", call: call(upstream)},
		{name: "bare", call: call(bareGRPC(b, upstream))},
		{name: "ours", call: call(p.listener.Addr().String())},
		{name: "agent", call: call(agent)},
	})
}

// bareGRPC is a proxy of net/http's HTTP/2 that does the least it can.
func bareGRPC(b *testing.B, upstream string) (address string) {
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	target := &url.URL{Scheme: "http", Host: upstream}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { forwardBarely(w, r, transport, target) }))
	s.Config.Protocols = transport.Protocols
	s.Start()
	b.Cleanup(func() { s.Close(); transport.CloseIdleConnections() })
	return s.Listener.Addr().String()
}

func newAgentListener(b *testing.B) (string, net.Listener) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	return l.Addr().String(), l
}

// forwardBarely is the least that forwards.
func forwardBarely(w http.ResponseWriter, r *http.Request, transport http.RoundTripper, target *url.URL) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = target.Scheme, target.Host, ""
	res, err := transport.RoundTrip(out)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer res.Body.Close()
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.StatusCode)
	_, _ = io.Copy(w, res.Body)
	for name, values := range res.Trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
}

// turns is how often each way has its turn of a hundred requests.
const turns = 100

// compare takes the ways, the direct one first, in turns, each time another one
// first, and reports one line for each.
func compare(b *testing.B, ways []*way) {
	for _, w := range ways {
		w.send(b, 200) // connections, pools
		w.took, w.cpu, w.busy = nil, 0, 0
	}
	for n := range turns {
		for i := range ways {
			ways[(n+i)%len(ways)].send(b, 100)
		}
	}
	direct := ways[0]
	for _, w := range ways {
		b.Run(w.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op") // it is not measured here
			b.ReportMetric(float64(len(w.took))/w.busy.Seconds(), "req/s")
			b.ReportMetric(micros(w.cpu-direct.cpu)/float64(len(w.took)), "added-cpu-µs/req")
			for q, name := range map[float64]string{0.5: "p50", 0.95: "p95", 0.99: "p99"} {
				b.ReportMetric(micros(w.quantile(q)), name+"-µs")
				b.ReportMetric(micros(w.quantile(q)-direct.quantile(q)), "added-"+name+"-µs")
			}
		})
	}
}

func (w *way) send(b *testing.B, n int) {
	before, begin := cpuTime(b), time.Now()
	for range n {
		start := time.Now()
		w.call()
		w.took = append(w.took, time.Since(start))
	}
	w.busy += time.Since(begin)
	w.cpu += cpuTime(b) - before
}

func (w *way) quantile(q float64) time.Duration {
	slices.Sort(w.took)
	return w.took[int(q*float64(len(w.took)-1))]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
