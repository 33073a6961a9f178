package plan

import (
	"fmt"
	"strconv"
)

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

// InfluxAccess is what environment variables say of the access to InfluxDB:
// INFLUX_TOKEN, or what is in the file that INFLUX_TOKEN_FILE names, "" when
// there is neither; and whether INFLUX_INSECURE_HTTP lets a token go over plain
// http, inside a network that is trusted. An error never holds the token.
func InfluxAccess(getenv func(string) (string, bool)) (token string, insecure bool, err error) {
	if text, _ := getenv("INFLUX_INSECURE_HTTP"); text != "" {
		if insecure, err = strconv.ParseBool(text); err != nil {
			return "", false, fmt.Errorf("INFLUX_INSECURE_HTTP is %q: want true or false", text)
		}
	}
	path, _ := getenv("INFLUX_TOKEN_FILE")
	if token, _ = getenv("INFLUX_TOKEN"); token != "" || path == "" {
		return token, insecure, nil
	}
	token, err = Plan{Secrets: map[string]Secret{"INFLUX_TOKEN_FILE": {File: path}}}.Secret("INFLUX_TOKEN_FILE", getenv)
	return token, insecure, err
}
