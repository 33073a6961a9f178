package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// slowLink is one of 4 Mbit/s, in bytes each second.
const slowLink = 500_000

// BenchmarkInfluxLoss compares how many requests InfluxDB knows of that is up
// and answers all the time, but has less room than it is sent: over a slow link,
// and overloaded. It fails when the harness lost any.
func BenchmarkInfluxLoss(b *testing.B) {
	b.Run("slow-link", func(b *testing.B) {
		i := newInfluxBench(b)
		i.seconds = 2 * benchSeconds // until what waits is more than InfluxDB 1.8 takes in one write
		i.relay.rate.Store(slowLink)
		i.compareLoss("is behind a link of 4 Mbit/s")
	})
	b.Run("overloaded", func(b *testing.B) {
		i := newInfluxBench(b)
		busy := newOverloaded(b, i.relay.Addr().String())
		i.address = busy.Listener.Addr().String()
		i.compareLoss("answers one write of five with 503")
	})
}

// newOverloaded stands before an InfluxDB as one that has no room for a write now
// and then, and says so when it has read it.
func newOverloaded(b *testing.B, to string) *httptest.Server {
	pass := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	var writes atomic.Int64
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/write") || writes.Add(1)%5 != 0 {
			pass.ServeHTTP(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	b.Cleanup(busy.Close)
	return busy
}

// compareLoss runs the traffic once in either way that writes to InfluxDB.
func (i *influxBench) compareLoss(how string) {
	fmt.Printf("\nInfluxDB %d %s, %d requests/s for %d s\n%-20s %12s %12s %12s %12s\n",
		i.influx.Version, how, benchRate, i.seconds, "", "requests", "known", "share", "took")
	for i.Loop() {
		i.reportLoss(ways[1], "k6-known-%")
		ours := i.reportLoss(ways[3], "resilience-known-%")
		require.Equal(i, ours.requests, ours.known, "the harness lost requests")
	}
}

// reportLoss runs the traffic in one way and reports the share of its requests
// that InfluxDB knows of.
func (i *influxBench) reportLoss(w way, unit string) spending {
	s := i.run(w, func() {})
	share := 100 * float64(s.known) / float64(s.requests)
	fmt.Printf("%-20s %12d %12d %11.1f%% %11.0fs\n", w.name, s.requests, s.known, share, s.took.Seconds())
	i.ReportMetric(share, unit)
	return s
}
