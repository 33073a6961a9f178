package disrupt

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	server "github.com/Shopify/toxiproxy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// BenchmarkTCP compares ways to the same echo server, in turns, so that all see
// the same machine: directly, by plain io.Copy, through a proxy of Toxiproxy
// embedded without toxics, and through ours without faults. It reports what
// they add to an exchange of 100 bytes over a connection, in microseconds, and
// how fast they carry 64 KiB pieces; the CPU time is that of the whole process.
func BenchmarkTCP(b *testing.B) {
	upstream := echo(b)
	toxi := server.NewProxy(server.NewServer(server.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop()), "db", "127.0.0.1:0", upstream)
	require.NoError(b, toxi.Start())
	b.Cleanup(toxi.Stop)
	ours, _ := tcpFront(b, plan.Dependency{Upstream: upstream})
	plain := tcpServer(b, func(c net.Conn) {
		up, err := net.Dial("tcp", upstream)
		if err != nil {
			return
		}
		defer up.Close()
		go func() { _, _ = io.Copy(up, c); closeWrite(up) }()
		_, _ = io.Copy(c, up)
	})
	routes := []*tcpRoute{{name: "direct", at: upstream}, {name: "copy", at: plain}, {name: "toxiproxy", at: toxi.Listen}, {name: "ours", at: ours.at()}}
	for _, r := range routes {
		c, err := net.Dial("tcp", r.at)
		require.NoError(b, err)
		b.Cleanup(func() { _ = c.Close() })
		r.conn = c
		r.exchange(b, 100, 100)
		r.took, r.cpu = nil, 0
	}
	for sent := 0; sent < b.N; sent += 100 {
		for _, r := range routes {
			r.exchange(b, 100, 100)
		}
	}
	direct := routes[0]
	for _, r := range routes[1:] {
		b.ReportMetric(micros(r.quantile(0.5)-direct.quantile(0.5)), r.name+"-added-p50-µs")
		b.ReportMetric(micros(r.quantile(0.99)-direct.quantile(0.99)), r.name+"-added-p99-µs")
		b.ReportMetric(micros(r.cpu-direct.cpu)/float64(len(r.took)), r.name+"-added-cpu-µs")
	}
	const rounds, pieces, size = 5, 100, 64 << 10
	spent := make([]time.Duration, len(routes))
	for range rounds {
		for i, r := range routes {
			start := time.Now()
			r.exchange(b, pieces, size)
			spent[i] += time.Since(start)
		}
	}
	for i, r := range routes {
		b.ReportMetric(rounds*pieces*size/1e6/spent[i].Seconds(), r.name+"-MB/s")
	}
}

// tcpRoute is one way to the same server.
type tcpRoute struct {
	name, at string
	conn     net.Conn
	took     []time.Duration
	cpu      time.Duration
}

// exchange sends pieces of a size and waits for each to come back.
func (r *tcpRoute) exchange(b *testing.B, n, size int) {
	data := make([]byte, size)
	before := cpuTime(b)
	for range n {
		start := time.Now()
		if _, err := r.conn.Write(data); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(r.conn, data); err != nil {
			b.Fatal(err)
		}
		r.took = append(r.took, time.Since(start))
	}
	r.cpu += cpuTime(b) - before
}

func (r *tcpRoute) quantile(q float64) time.Duration {
	slices.Sort(r.took)
	return r.took[int(q*float64(len(r.took)-1))]
}
