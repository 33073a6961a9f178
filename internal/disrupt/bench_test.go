package disrupt

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// route is one way to the same upstream.
type route struct {
	name string
	url  string
	took []time.Duration
	cpu  time.Duration
}

// BenchmarkProxy compares three ways to an upstream, in turns of a hundred
// requests, so that all see the same machine: directly, through a plain
// httputil.ReverseProxy, and through our proxy. It reports what the two
// proxies add to the direct way, in microseconds a request; the CPU time is
// that of the whole process, client and upstream included.
func BenchmarkProxy(b *testing.B) {
	for _, size := range []int{100, 64 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) { benchmarkProxy(b, size) })
	}
}

func benchmarkProxy(b *testing.B, size int) {
	body := make([]byte, size)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	require.NoError(b, err)
	plain := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(pr *httputil.ProxyRequest) { pr.SetURL(target) },
		Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100},
	})
	defer plain.Close()
	p, _ := frontOf(b, upstream.Config.Handler.ServeHTTP)
	routes := []*route{{name: "direct", url: upstream.URL}, {name: "plain", url: plain.URL}, {name: "ours", url: p.URL()}}
	client := newClient(b, http1)
	for _, r := range routes {
		r.send(b, client, 100) // connections, pools
	}
	for _, r := range routes {
		r.took, r.cpu = nil, 0
	}
	for sent := 0; sent < b.N; sent += 100 {
		for _, r := range routes {
			r.send(b, client, 100)
		}
	}
	direct := routes[0]
	for _, r := range routes[1:] {
		b.ReportMetric(micros(r.quantile(0.5)-direct.quantile(0.5)), r.name+"-added-p50-µs")
		b.ReportMetric(micros(r.quantile(0.99)-direct.quantile(0.99)), r.name+"-added-p99-µs")
		b.ReportMetric(micros(r.cpu-direct.cpu)/float64(len(r.took)), r.name+"-added-cpu-µs/req")
	}
	b.ReportMetric(micros(direct.quantile(0.5)), "direct-p50-µs")
}

func (r *route) send(b *testing.B, client *http.Client, n int) {
	before := cpuTime(b)
	for range n {
		start := time.Now()
		res, err := client.Get(r.url)
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(b, err)
		_ = res.Body.Close()
		r.took = append(r.took, time.Since(start))
	}
	r.cpu += cpuTime(b) - before
}

func (r *route) quantile(q float64) time.Duration {
	slices.Sort(r.took)
	return r.took[int(q*float64(len(r.took)-1))]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
