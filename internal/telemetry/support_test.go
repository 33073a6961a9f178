package telemetry

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// heard keeps what is emitted.
type heard struct {
	mu      sync.Mutex
	windows []measure.Window
	events  []measure.Event
	fail    error
}

func (h *heard) emit(b measure.Batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.windows, h.events = append(h.windows, b.Windows...), append(h.events, b.Events...)
	return h.fail
}

// details are those of the warnings.
func (h *heard) details() (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Kind == measure.EventWarning {
			list = append(list, e.Attrs["detail"])
		}
	}
	return list
}

// outlet is one that h hears.
func (h *heard) outlet() *outlet {
	return &outlet{phase: "beta", emit: h.emit, stop: func() {}, said: map[string]int{}}
}

// web is a server that answers all with one handler.
func web(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// modern answers as a Prometheus does that knows lookback_delta, and as the
// handler does otherwise.
func modern(handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("lookback_delta") == "never" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"status":"error","errorType":"bad_data","error":"error parsing lookback delta duration: cannot parse \"never\" to a valid duration"}`)
			return
		}
		handler(w, r)
	}
}

// sourceAt is a source of a kind at a URL.
func sourceAt(kind, url string) plan.Source {
	if kind == "influxdb" {
		return plan.Source{InfluxDB: url, Database: "app", Token: "s3cret-token"}
	}
	return plan.Source{Prometheus: url, Token: "s3cret-token"}
}

// asks puts one question to a server for the seconds from 1000 to 1020, in
// steps of five.
func asks(t *testing.T, kind, url string) ([]series, error) {
	t.Helper()
	a, err := newAsker(sourceAt(kind, url), t.TempDir())
	require.NoError(t, err)
	return a.ask(t.Context(), "up", stretch{1000e9, 1020e9, 5e9}, int64(30*time.Second))
}
