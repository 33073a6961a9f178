package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readSchema reads which tags and fields a measurement has, by the page that a
// test of internal/store holds against what is written.
func readSchema(t *testing.T) map[string]map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../../docs/influxdb.md")
	require.NoError(t, err)
	schema, measurement := map[string]map[string]bool{}, ""
	heading, key := regexp.MustCompile("^### `(\\w+)`"), regexp.MustCompile("^\\| `(\\w+)` \\|")
	for line := range strings.Lines(string(text)) {
		if m := heading.FindStringSubmatch(line); m != nil {
			measurement = m[1]
			schema[measurement] = map[string]bool{}
		}
		if m := key.FindStringSubmatch(line); m != nil {
			schema[measurement][m[1]] = true
		}
	}
	require.NotEmpty(t, schema[windows], "the page was read")
	return schema
}

var (
	measurementOf = regexp.MustCompile(`FROM "(\w+)"`)
	nameOf        = regexp.MustCompile(`(AS )?"([^"]*)"`)
	literal       = regexp.MustCompile(`'[^']*'|~ /[^/]*/`)
)

// unknown gives what a query names and the schema does not have.
func unknown(schema map[string]map[string]bool, query string) []string {
	query = literal.ReplaceAllString(query, "")
	of := measurementOf.FindStringSubmatch(query)
	if of == nil || schema[of[1]] == nil {
		return []string{"no measurement"}
	}
	known := map[string]bool{of[1]: true}
	var wrong []string
	names := nameOf.FindAllStringSubmatch(query, -1)
	for _, name := range names {
		if name[1] != "" {
			known[name[2]] = true
		}
	}
	for _, name := range names {
		if !known[name[2]] && !schema[of[1]][name[2]] {
			wrong = append(wrong, name[2])
		}
	}
	return wrong
}

// TestQueriesFitTheSchema finds a measurement, tag or field that nobody writes.
func TestQueriesFitTheSchema(t *testing.T) {
	schema := readSchema(t)
	for _, q := range allQueries(t) {
		require.Empty(t, unknown(schema, q.Text), "%s: %s", q.Where, q.Text)
	}
	for query, want := range map[string][]string{
		`SELECT "count" AS "n", "n" FROM "resilience_windows" WHERE "run" =~ /^"x"$/`: nil,
		`SELECT "counts" FROM "resilience_windows"`:                                   {"counts"},
		`SELECT "count" FROM "resilience_events" GROUP BY "tenant"`:                   {"count", "tenant"},
		`SELECT "count" FROM "windows"`:                                               {"no measurement"},
	} {
		require.Equal(t, want, unknown(schema, query), query)
	}
}
