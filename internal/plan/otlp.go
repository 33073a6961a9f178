package plan

// OTLP is what runs are told to by the OpenTelemetry protocol over HTTP while
// they go on: a Collector, Prometheus, Mimir and others. The flag --otlp of run
// overrides url.
type OTLP struct {
	URL     string            `yaml:"url,omitempty"`                    // base URL; /v1/metrics is added
	Headers map[string]string `yaml:"headers,omitempty" bind:"secrets"` // of each request
	TLS     *TLS              `yaml:"tls,omitempty"`                    // how to trust it and what to show it
}
