package plan

// Influx is an InfluxDB that runs are written to while they go on. The flag
// --influx of run overrides url; what is left out is taken from INFLUX_URL,
// INFLUX_BUCKET, INFLUX_ORG and INFLUX_TOKEN or INFLUX_TOKEN_FILE.
type Influx struct {
	URL      string `yaml:"url,omitempty"`                  // base URL of an InfluxDB: 1.8, 2 or 3
	Bucket   string `yaml:"bucket,omitempty"`               // in version 1.8 the database, or database/retention-policy
	Org      string `yaml:"org,omitempty"`                  // of versions 2 and 3
	Token    string `yaml:"token,omitempty" bind:"secrets"` // ${secrets.NAME}; in version 1.8 user:password
	TLS      *TLS   `yaml:"tls,omitempty"`                  // how to trust it and what to show it
	Required bool   `yaml:"required,omitempty"`             // a run that is not all there ends with exit code 1; otherwise the verdict warns
}
