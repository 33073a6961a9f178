package canary

import (
	"context"
	"log"
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metric is one that /metrics gives.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newMetric(kind prometheus.ValueType, name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("resilience_canary_"+name, help, labels, nil), kind}
}

// All metrics; docs/status-page.md lists them.
var (
	metricUp        = newMetric(prometheus.GaugeValue, "up", "1 while the daemon works and its state can be written.")
	metricInfo      = newMetric(prometheus.GaugeValue, "info", "1; tells the plan and the location.", "plan", "location")
	metricTried     = newMetric(prometheus.CounterValue, "attempts_total", "Attempts, without those in planned maintenance.", "transaction", "cell")
	metricAccepted  = newMetric(prometheus.CounterValue, "accepted_total", "Attempts that the front door accepted: of attempts_total, the availability.", "transaction", "cell")
	metricServed    = newMetric(prometheus.CounterValue, "served_total", "Attempts that were good in all that was asked: accepted, not wrong, in time.", "transaction", "cell")
	metricGood      = newMetric(prometheus.GaugeValue, "good", "1 if the last attempt was good.", "transaction", "cell")
	metricRow       = newMetric(prometheus.GaugeValue, "row", "How many attempts like the last one there were in a row.", "transaction", "cell")
	metricLast      = newMetric(prometheus.GaugeValue, "last_attempt_timestamp_seconds", "When the last attempt began.", "transaction", "cell")
	metricPlanned   = newMetric(prometheus.GaugeValue, "maintenance", "1 in planned maintenance.", "transaction", "cell")
	metricHealthy   = newMetric(prometheus.GaugeValue, "healthy", "1 if the health endpoint last said that the system is.")
	metricOpen      = newMetric(prometheus.GaugeValue, "incidents_open", "Incidents that go on.")
	metricIncident  = newMetric(prometheus.GaugeValue, "incident_start_timestamp_seconds", "When an incident that goes on began.", "rule", "severity", "owner", "acknowledged")
	metricDone      = newMetric(prometheus.CounterValue, "probes_done_total", "Probes that were carried out.")
	metricLost      = newMetric(prometheus.CounterValue, "probes_lost_total", "Probes that were asked again because the engine ended.")
	metricLate      = newMetric(prometheus.CounterValue, "probes_late_total", "Probes that began late: there are too few VUs.")
	metricSkipped   = newMetric(prometheus.CounterValue, "probes_skipped_total", "Probes that were not begun because the one before was still under way.")
	metricDelivered = newMetric(prometheus.CounterValue, "notices_delivered_total", "Notices that a receiver has.", "receiver")
	metricFailed    = newMetric(prometheus.CounterValue, "notices_failed_total", "Tries to deliver a notice that failed.", "receiver")
	metricDropped   = newMetric(prometheus.CounterValue, "notices_dropped_total", "Reminders that had become pointless.", "receiver")
	metricWaiting   = newMetric(prometheus.GaugeValue, "notices_waiting", "Notices that a receiver does not have yet.", "receiver")
	metricOldest    = newMetric(prometheus.GaugeValue, "notices_oldest_seconds", "How long the oldest of them waits.", "receiver")
)

// metricsCollector tells Prometheus what is known when it asks.
type metricsCollector struct{ face *face }

// newMetrics is the handler of /metrics.
func (s *face) newMetrics() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(metricsCollector{s}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError, ErrorLog: log.New(nothing{}, "", 0), MaxRequestsInFlight: maxAsking,
	})
}

// nothing is where what nobody reads goes to.
type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }

// Describe says nothing: what there is depends on the plan.
func (metricsCollector) Describe(chan<- *prometheus.Desc) {}

// Collect tells what is known now.
func (c metricsCollector) Collect(to chan<- prometheus.Metric) {
	tell := func(m metric, value float64, labels ...string) {
		for i := range labels {
			labels[i] = plain(labels[i]) // which is valid UTF-8, or it would be an error
		}
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
	}
	status, err := c.face.ask(context.Background())
	tell(metricUp, truth(err == nil))
	c.receivers(tell)
	if status.At == 0 {
		return
	}
	tell(metricInfo, 1, status.Plan, status.Location)
	units(status, tell)
	tell(metricOpen, float64(len(status.Open)))
	for _, i := range status.Open {
		tell(metricIncident, seconds(i.Start), i.Rule, i.Severity, i.Owner, strconv.FormatBool(i.Acked != 0))
	}
	for m, n := range map[metric]uint64{
		metricDone: status.Probes.Done, metricLost: status.Probes.Lost, metricLate: status.Probes.Late, metricSkipped: status.Probes.Skipped,
	} {
		tell(m, float64(n))
	}
}

func units(status Status, tell func(metric, float64, ...string)) {
	for _, u := range status.Units {
		if u.Transaction == healthName {
			tell(metricHealthy, truth(u.Good))
			continue
		}
		cell := ""
		if u.Key == "cell" {
			cell = u.Value
		}
		for m, value := range map[metric]float64{
			metricTried: float64(u.Tried), metricAccepted: float64(u.Accepted), metricServed: float64(u.Served), metricGood: truth(u.Good),
			metricRow: float64(u.Row), metricLast: seconds(u.Last), metricPlanned: truth(u.Planned != ""),
		} {
			tell(m, value, u.Transaction, cell)
		}
	}
}

func (c metricsCollector) receivers(tell func(metric, float64, ...string)) {
	for _, r := range c.face.Receivers() {
		age := 0.0
		if r.Oldest != 0 {
			age = max(0, c.face.Now().Sub(at(r.Oldest)).Seconds())
		}
		for m, value := range map[metric]float64{
			metricDelivered: float64(r.Delivered), metricFailed: float64(r.Failed), metricDropped: float64(r.Dropped),
			metricWaiting: float64(r.Waiting), metricOldest: age,
		} {
			tell(m, value, r.Receiver)
		}
	}
}

func truth(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
