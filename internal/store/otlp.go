package store

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"resilience/gates"
	"resilience/internal/measure"
)

// OTLPTarget is what understands the OpenTelemetry protocol over HTTP: a
// Collector, Prometheus, Mimir and others.
type OTLPTarget struct {
	URL     string            // base URL, http or https; /v1/metrics is added
	Headers map[string]string // with credentials
	TLS     *tls.Config       // nil: the system's
}

// Validate wants a URL, and headers that nobody overhears.
func (t OTLPTarget) Validate() error {
	u, err := url.Parse(t.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return errors.New("the URL of an OTLP endpoint is like http://127.0.0.1:4318")
	case u.User != nil:
		return errors.New("credentials are never written in the URL of an OTLP endpoint: put them into headers")
	case len(t.Headers) > 0 && u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("headers would go to %s unencrypted: write the URL as https://", u.Host)
	}
	return nil
}

const metricsPath = "/v1/metrics"

func (t OTLPTarget) endpoint() string {
	return strings.TrimSuffix(strings.TrimSuffix(t.URL, "/"), metricsPath) + metricsPath
}

const (
	otlpEvery   = 5 * time.Second // between two exports
	otlpTimeout = 5 * time.Second // of one export
)

// OTLP tells what a run measures by the OpenTelemetry protocol while it goes on.
// All of it is cumulative: what could not be sent is in what is sent next, so
// that an outage costs detail and no counts, and memory is bounded by the number
// of series. It is safe for concurrent use.
type OTLP struct {
	run      gates.Run
	exporter *otlpmetrichttp.Exporter
	closing  chan struct{}
	done     chan struct{}
	ended    sync.Once

	mu     sync.Mutex
	totals map[measure.Series]*measure.Window
	active map[fault]bool // whether it is in effect
	judged []gates.Verdict
	sent   int   // exports that were accepted
	failed int   // exports that were not
	last   error // of the last export; nil when it was accepted
}

// fault names a disruption of a phase.
type fault struct{ phase, name string }

// NewOTLP begins to send what a run measures; nothing is sent before there is
// something. A target that is not valid is an error.
func NewOTLP(ctx context.Context, to OTLPTarget, run gates.Run) (*OTLP, error) {
	if err := to.Validate(); err != nil {
		return nil, err
	}
	options := []otlpmetrichttp.Option{
		otlpmetrichttp.WithEndpointURL(to.endpoint()), otlpmetrichttp.WithHeaders(to.Headers), otlpmetrichttp.WithTimeout(otlpTimeout),
		otlpmetrichttp.WithCompression(otlpmetrichttp.GzipCompression),
		otlpmetrichttp.WithRetry(otlpmetrichttp.RetryConfig{}), // the next export says all of it again
	}
	if to.TLS != nil && strings.HasPrefix(to.URL, "https:") {
		options = append(options, otlpmetrichttp.WithTLSClientConfig(to.TLS))
	}
	exporter, err := otlpmetrichttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("OTLP: %w", err)
	}
	o := &OTLP{
		run: run, exporter: exporter, closing: make(chan struct{}), done: make(chan struct{}),
		totals: map[measure.Series]*measure.Window{}, active: map[fault]bool{},
	}
	go o.export(context.WithoutCancel(ctx))
	return o, nil
}

// Append adds what was measured to the totals. It never waits for whoever they
// are sent to.
func (o *OTLP) Append(batch measure.Batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range batch.Windows {
		total := o.totals[w.Series]
		if total == nil {
			total = &measure.Window{Series: w.Series}
			o.totals[w.Series] = total
		}
		total.Merge(w)
	}
	for _, e := range batch.Events {
		switch e.Kind {
		case measure.EventDisruption:
			o.active[fault{e.Phase, e.Name}] = true
		case measure.EventLifted:
			o.active[fault{e.Phase, e.Name}] = e.Attrs["error"] != ""
		}
	}
}

// export sends the totals from time to time.
func (o *OTLP) export(ctx context.Context) {
	defer close(o.done)
	ticker := time.NewTicker(otlpEvery)
	defer ticker.Stop()
	for {
		select {
		case <-o.closing:
			return
		case <-ticker.C:
			o.once(ctx)
		}
	}
}

// once sends the totals once.
func (o *OTLP) once(ctx context.Context) {
	o.mu.Lock()
	points := metricsOf(o.run, o.totals, o.active, o.judged, time.Now())
	o.mu.Unlock()
	if points == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, otlpTimeout)
	defer cancel()
	err := o.exporter.Export(ctx, points)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last = err; err != nil {
		o.failed++
		return
	}
	o.sent++
}

// Close sends the totals a last time, with the verdicts, until they are accepted
// or ctx ends. An error says what whoever listens does not have. Closing again
// does nothing.
func (o *OTLP) Close(ctx context.Context, verdicts []gates.Verdict) (err error) {
	o.ended.Do(func() { err = o.close(ctx, verdicts) })
	return err
}

func (o *OTLP) close(ctx context.Context, verdicts []gates.Verdict) error {
	close(o.closing)
	<-o.done
	o.mu.Lock()
	o.judged = verdicts
	o.mu.Unlock()
	for {
		o.once(ctx)
		o.mu.Lock()
		err := o.last
		o.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(backoffBase):
			if err != nil {
				continue
			}
		}
		shut := o.exporter.Shutdown(context.WithoutCancel(ctx))
		if err != nil {
			return fmt.Errorf("the last totals were not accepted: %w", err)
		}
		return shut
	}
}

// String says in a line what was sent.
func (o *OTLP) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := fmt.Sprintf("told %d times", o.sent)
	if o.sent == 1 {
		text = "told 1 time"
	}
	if o.failed > 0 {
		text += fmt.Sprintf(", and %d in vain", o.failed)
	}
	return text
}

// metricsOf are nil when there is nothing to tell.
func metricsOf(run gates.Run, totals map[measure.Series]*measure.Window, active map[fault]bool, judged []gates.Verdict, now time.Time) *metricdata.ResourceMetrics {
	all := append(counted(run, totals, now), told(active, judged, now)...)
	if len(all) == 0 {
		return nil
	}
	return &metricdata.ResourceMetrics{
		Resource:     resourceOf(run),
		ScopeMetrics: []metricdata.ScopeMetrics{{Scope: scopeOf(run), Metrics: all}},
	}
}
