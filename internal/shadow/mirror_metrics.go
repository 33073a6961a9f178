package shadow

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newAdded is of how long users waited for the copying, in seconds.
func newProxyAdded() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "resilience_shadow_added_seconds",
		Help:    "What deciding on a copy and handing it over added to a request.",
		Buckets: []float64{1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 1e-2, 1e-1},
	})
}

var (
	shadowFateDesc    = prometheus.NewDesc("resilience_shadow_requests_total", "Requests by what became of them.", []string{"fate"}, nil)
	shadowWaitingDesc = prometheus.NewDesc("resilience_shadow_waiting", "Exchanges that wait to be copied or written.", nil, nil)
	shadowHeldDesc    = prometheus.NewDesc("resilience_shadow_buffer_bytes", "Memory that copies of bodies take.", nil, nil)
)

// Describe tells of the metrics of a mirror.
func (m *Mirror) Describe(to chan<- *prometheus.Desc) { describeFates(to, m.proxy.added) }

// Collect gives the metrics of a mirror.
func (m *Mirror) Collect(to chan<- prometheus.Metric) {
	c := m.Counts()
	collectFates(to, map[string]uint64{
		"same": c.Compared - min(c.Compared, c.Differing), "differing": c.Differing, "withheld": c.Withheld,
		"not_sampled": c.NotSampled, "streams": c.Streams, "unanswered": c.Unanswered, "conditions": c.Conditions, "too_large": c.TooLarge,
		"dropped": c.Dropped, "shed": c.Shed, "errors": c.Errors,
	}, len(m.queue), m.proxy.budget, m.proxy.added)
}

// Describe tells of the metrics of a recorder.
func (r *Recorder) Describe(to chan<- *prometheus.Desc) { describeFates(to, r.proxy.added) }

// Collect gives the metrics of a recorder.
func (r *Recorder) Collect(to chan<- prometheus.Metric) {
	c := r.Counts()
	collectFates(to, map[string]uint64{
		"recorded": c.Recorded, "not_sampled": c.NotSampled, "streams": c.Streams, "unanswered": c.Unanswered,
		"dropped": c.Dropped, "failed": c.Failed,
	}, len(r.queue), r.proxy.budget, r.proxy.added)
}

func describeFates(to chan<- *prometheus.Desc, added prometheus.Histogram) {
	to <- shadowFateDesc
	to <- shadowWaitingDesc
	to <- shadowHeldDesc
	added.Describe(to)
}

func collectFates(to chan<- prometheus.Metric, fates map[string]uint64, waiting int, b *captureBudget, added prometheus.Histogram) {
	for fate, n := range fates {
		to <- prometheus.MustNewConstMetric(shadowFateDesc, prometheus.CounterValue, float64(n), fate)
	}
	to <- prometheus.MustNewConstMetric(shadowWaitingDesc, prometheus.GaugeValue, float64(waiting))
	to <- prometheus.MustNewConstMetric(shadowHeldDesc, prometheus.GaugeValue, float64(b.held.Load()))
	added.Collect(to)
}

// StatusHandler serves /healthz and, in Prometheus' text format, /metrics of a mirror
// or a recorder.
func StatusHandler(of prometheus.Collector) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(of)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux
}
