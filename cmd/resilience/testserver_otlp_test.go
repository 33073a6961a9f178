package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"sync"

	collecting "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"
)

// told is what the server was told by OTLP: the last totals.
type told struct {
	mu       sync.Mutex
	key      string
	attempts int64
	verdict  string
}

// take is the endpoint.
func (t *told) take(w http.ResponseWriter, r *http.Request) {
	unzipped, err := gzip.NewReader(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	body, _ := io.ReadAll(unzipped)
	var export collecting.ExportMetricsServiceRequest
	if err := proto.Unmarshal(body, &export); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.key = r.Header.Get("X-Key")
	for _, m := range export.ResourceMetrics[0].ScopeMetrics[0].Metrics {
		switch m.Name {
		case "resilience.attempts":
			t.attempts = 0
			for _, p := range m.GetSum().DataPoints {
				if attribute(p.Attributes, "metric") == "request" {
					t.attempts += p.GetAsInt()
				}
			}
		case "resilience.verdict":
			t.verdict = attribute(m.GetGauge().DataPoints[0].Attributes, "outcome")
		}
	}
}

func attribute(all []*common.KeyValue, name string) string {
	for _, pair := range all {
		if pair.Key == name {
			return pair.Value.GetStringValue()
		}
	}
	return ""
}

// say tells a script what there is.
func (t *told) say(w http.ResponseWriter, _ *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(w, "%d attempts, verdict %s, key %s\n", t.attempts, t.verdict, t.key)
}
