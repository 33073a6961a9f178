package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// metrics counts what a testserver answered, for a Prometheus to scrape.
type metrics struct {
	mu     sync.Mutex
	counts map[int]int // by status
}

// counting is a handler that counts its answers.
func (m *metrics) counting(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next(seen, r)
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.counts == nil {
			m.counts = map[int]int{}
		}
		m.counts[seen.status]++
	}
}

// ServeHTTP shows the counters in Prometheus's text format. As in most
// exporters, none is there before the first time.
func (m *metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	for _, status := range slices.Sorted(maps.Keys(m.counts)) {
		fmt.Fprintf(w, "requests_total{code=\"%d\"} %d\n", status, m.counts[status])
	}
	fmt.Fprintln(w, "cpu_share 0.4")
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// blabs is a Prometheus that lets nobody in and tells everybody's token.
func blabs(w http.ResponseWriter, r *http.Request) {
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprintf(w, `{"status":"error","error":"nobody is let in with %s"}`, r.Header.Get("Authorization"))
}
