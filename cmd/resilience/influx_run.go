package main

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"

	"resilience/internal/store"
)

// openRun opens the record that ref means: an id, the beginning of one, last, a
// file, or a run in InfluxDB. Done lets go of it.
func openRun(ctx context.Context, ref string) (db *store.DB, done func() error, err error) {
	path, remove, is, err := fromInflux(ctx, ref)
	if !is {
		path, err = store.Find(runsDir, ref)
	}
	if err != nil {
		remove()
		return nil, nil, &usageError{err.Error()}
	}
	if db, err = store.Open(path); err != nil {
		remove()
		return nil, nil, err
	}
	return db, func() error { defer remove(); return db.Close() }, nil
}

// influxSchemes are how a run in InfluxDB is named, and how that one is asked.
var influxSchemes = map[string]string{"influx": "http", "influxs": "https"}

func isInflux(ref string) bool {
	scheme, _, _ := strings.Cut(ref, "://")
	return influxSchemes[scheme] != ""
}

// fromInflux collects a run that is named by a URL such as
// influx://HOST:8086/BUCKET?run=ID (or influxs:// for https) into a record
// in a folder of its own, which done removes. Is is false for any other name.
func fromInflux(ctx context.Context, ref string) (path string, done func(), is bool, err error) {
	done = func() {}
	if !isInflux(ref) {
		return "", done, false, nil
	}
	u, err := url.Parse(ref)
	if err != nil || u.Query().Get("run") == "" {
		return "", done, true, errors.New("a run in InfluxDB is named like influx://HOST:8086/BUCKET?run=ID (influxs:// for https)")
	}
	from := store.Influx{URL: (&url.URL{Scheme: influxSchemes[u.Scheme], Host: u.Host, User: u.User}).String(), Org: os.Getenv("INFLUX_ORG"), Bucket: strings.Trim(u.Path, "/")}
	if from.Token, from.Insecure, err = influxAccess(""); err != nil {
		return "", done, true, err
	}
	dir, err := os.MkdirTemp("", "resilience-influx-")
	if err != nil {
		return "", done, true, err
	}
	done = func() { _ = os.RemoveAll(dir) }
	path, err = store.Collect(ctx, from, u.Query().Get("run"), dir)
	return path, done, true, err
}
