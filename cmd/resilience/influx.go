package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"resilience/internal/plan"
	"resilience/internal/store"
)

// influxFlag is the URL of an InfluxDB on the command line.
func influxFlag(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "influx", "", "write to the InfluxDB of this `URL`; INFLUX_TOKEN (or INFLUX_TOKEN_FILE), INFLUX_ORG and INFLUX_BUCKET say the rest")
}

// influxFrom finds out where to write: what the flag says goes before the
// plan, and that before the environment. Without a URL there is nowhere.
func influxFrom(p plan.Plan, flag string) (to store.Influx, err error) {
	var in plan.Influx
	if p.Influx != nil {
		in = *p.Influx
	}
	to = store.Influx{
		URL: cmp.Or(flag, in.URL, os.Getenv("INFLUX_URL")), Org: cmp.Or(in.Org, os.Getenv("INFLUX_ORG")),
		Bucket: cmp.Or(in.Bucket, os.Getenv("INFLUX_BUCKET")),
	}
	if to.URL == "" {
		if p.Influx != nil {
			return to, &usageError{"influx: has no url: write one, or give --influx or INFLUX_URL"}
		}
		return to, nil
	}
	if in.Token, err = withSecrets(p, in.Token); err != nil {
		return to, fmt.Errorf("influx: %w", err)
	}
	if to.Token, to.Insecure, err = influxAccess(in.Token); err != nil {
		return to, err
	}
	if to.TLS, err = in.TLS.Config(p.Dir); err != nil {
		return to, fmt.Errorf("influx: %w", err)
	}
	if err := to.Validate(); err != nil {
		return to, &usageError{err.Error()}
	}
	return to, nil
}

// influxAccess is the token, by default that of the environment ("" when there
// is none), and whether it may go over plain http.
func influxAccess(own string) (token string, insecure bool, err error) {
	return plan.InfluxAccess(func(name string) (string, bool) {
		if own != "" && name == "INFLUX_TOKEN" {
			return own, true
		}
		return os.LookupEnv(name)
	})
}

// withSecrets replaces ${secrets.NAME} in a text.
func withSecrets(p plan.Plan, text string) (string, error) {
	var missing error
	bound, err := plan.Bind(text, func(placeholder string) (string, bool) {
		value, err := p.Secret(strings.TrimPrefix(placeholder, "secrets."), os.LookupEnv)
		missing = errors.Join(missing, err)
		return value, err == nil
	})
	if missing != nil {
		return "", missing
	}
	return bound, err
}
