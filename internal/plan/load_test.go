package plan

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	yaml "github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"resilience/gates"
)

// env is an environment with just these variables.
func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := vars[name]
		return value, ok
	}
}

func options() Options {
	return Options{Getenv: env(nil), Scenarios: func(name string) bool { return name == "built-in.js" }}
}

func validPlans(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/valid/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	return paths
}

func TestResolvedReadsBack(t *testing.T) {
	for _, path := range validPlans(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			p, err := Load(path, options())
			require.NoError(t, err)
			data, err := Resolved(p)
			require.NoError(t, err)
			require.True(t, json.Valid(data))
			again, err := Parse(data, Options{Getenv: env(nil), Dir: p.Dir, Recorded: true})
			require.NoError(t, err)
			require.Equal(t, p, again)
			require.Equal(t, Digest(p), Digest(again))
			require.NotContains(t, string(data), `"defaults"`)
		})
	}
}

func TestEverything(t *testing.T) {
	opts := options()
	opts.Vars = map[string]string{"USERS": "12", "LOG_LEVEL": "${x}"}
	opts.Getenv = env(map[string]string{"USERS": "7", "LIMIT": "1s"})
	p, err := Load("testdata/valid/everything.yaml", opts)
	require.NoError(t, err)
	require.Nil(t, p.Defaults)
	require.Equal(t, map[string]string{
		"REGION": "eu", "PORT": "8080", "DEBUG": "true", "KEY": "${secrets.api-key}", "PRICE": "$${not a variable}",
	}, p.Env)
	require.Equal(t, Duration(time.Minute), p.Services["db"].ReadyTimeout)
	require.Equal(t, Duration(5*time.Second), p.Services["db"].StopTimeout)
	require.Equal(t, []string{"2xx", "3xx"}, p.Targets["local"].Accept)
	require.Equal(t, "http", p.Dependencies["payments"].Protocol)

	require.Equal(t, Duration(28*24*time.Hour), p.Objectives["pages"].Over)
	require.Equal(t, Revenue{1200, "EUR"}, *p.Objectives["orders"].Revenue)
	pair := p.Model.Series[2].Parallel
	require.Equal(t, []int{1, 2}, []int{pair.Need, pair.Of[1].Parallel.Need})

	phase := p.Phases[0]
	tests := map[string]Profile{}
	for _, test := range phase.Tests {
		_, tests[test.Name] = test.Kind()
	}
	plain := tests["plain"]
	require.Equal(t, Rate(20), plain.Rate)
	require.Equal(t, Duration(5*time.Second), plain.Warmup)
	require.Equal(t, 50, plain.MaxVUs)
	require.Equal(t, Duration(0), plain.Grace, "an explicit zero stays")
	require.Equal(t, "$${x}", plain.Env["LOG"], "a variable's value is no placeholder")
	require.Equal(t, Rate(10), tests["climbing"].Rate)
	require.Equal(t, Rate(0), tests["peak"].Rate, "stages take no rate from the defaults")
	require.Equal(t, Duration(0), tests["peak"].Grace, "of two merged mappings the first wins")
	require.Equal(t, 200, tests["peak"].MaxVUs)
	require.Equal(t, 12, tests["users"].VUs, "--var comes before the environment")
	require.Equal(t, Duration(0), tests["waves"].Warmup)
	requests := tests["requests"].Requests
	require.Equal(t, "GET /user/${data.user}?full=1", requests[0].Name)
	require.Equal(t, "POST", requests[1].Method)
	require.Equal(t, 1, requests[1].Weight)
	require.Equal(t, map[string]any{
		"user": "${data.user}", "items": []any{json.Number("1"), json.Number("2.50"), json.Number("-1e3")},
		"gift": false, "note": nil, "code": "12", "sum": "$${total}",
	}, requests[1].JSON)
	require.Equal(t, "a\nb\té ${data.password} 😀", requests[2].Body)

	require.Equal(t, Duration(3*time.Second), *phase.Disruptions[0].Settle)
	require.Equal(t, Duration(0), *phase.Disruptions[1].Settle)
	require.Equal(t, 503, phase.Disruptions[1].Error.Status)
	require.Equal(t, Percent(1), phase.Disruptions[1].Share)

	g := phase.Gates
	require.True(t, g[0].Strict)
	require.InDelta(t, 0.99, g[0].Confidence, 1e-12)
	require.False(t, g[1].Strict, "an explicit false stays")
	require.Equal(t, "latency p95 <= 1s during slow", g[1].Text)
	require.Equal(t, gates.Warning, g[1].Severity)
	require.Equal(t, "latency p99.9 of order from requests <= max(1s, baseline + 10%) for tenant=canary overall", g[2].Text)
	require.Equal(t, "failing", g[3].Period.Name)
}

func TestIncludes(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("plan.yaml", `
name: shop
include: ["${PARTS:-parts}/a.yaml", parts/b.yaml]
env: {WHO: plan}
defaults: {test: {rate: 5/s}}
targets: {one: {url: "http://127.0.0.1:1"}}
phases:
  - {name: first, candidate: two, tests: [{name: t, load: {script: s.js}}]}
`)
	write("s.js", "")
	write("parts/a.yaml", `
include: [deep/c.yaml]
env: {WHO: a, A: a}
defaults: {test: {rate: 9/s, duration: 7s}}
targets: {two: {url: "http://127.0.0.1:2"}}
gates: [availability >= 99%]
`)
	write("parts/deep/c.yaml", "env: {A: c, C: c}\ngates: [errors <= 1%]\n")
	write("parts/b.yaml", `
phases:
  - {name: second, candidate: one, tests: [{name: t, load: {script: s.js}}], gates: [throughput >= 1/s]}
`)
	p, err := Load(filepath.Join(dir, "plan.yaml"), Options{Getenv: env(nil)})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"WHO": "plan", "A": "a", "C": "c"}, p.Env)
	require.Len(t, p.Phases, 2)
	require.Equal(t, Rate(5), p.Phases[1].Tests[0].Load.Rate)
	require.Equal(t, Duration(7*time.Second), p.Phases[1].Tests[0].Load.Duration)
	var texts []string
	for _, g := range p.Phases[1].Gates {
		texts = append(texts, g.Text)
	}
	require.Equal(t, []string{"throughput >= 1/s", "availability >= 99%", "errors <= 1%"}, texts)
}

func TestSchema(t *testing.T) {
	schema := compiled(t)
	for _, path := range validPlans(t) {
		require.NoError(t, schema.Validate(document(t, path)), path)
	}
	for _, name := range []string{"unknown-key", "unknown-top-key", "unknown-gate-key", "rate-word", "duration-bare", "type-text", "missing-keys", "canary-unknown-key", "canary-no-owner", "canary-trigger-nonsense", "canary-maintenance-when", "canary-keep-long", "canary-test-no-duration"} {
		require.Error(t, schema.Validate(document(t, "testdata/invalid/"+name+".yaml")), name)
	}
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := Schema()
	require.NoError(t, err)
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("plan.json", parsed))
	schema, err := c.Compile("plan.json")
	require.NoError(t, err)
	return schema
}

// document reads a plan as any other YAML tool would, through the shield that
// makes YAML of it.
func document(t *testing.T, path string) any {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	var plain any
	require.NoError(t, yaml.Unmarshal([]byte(shieldAll(string(data))), &plain))
	text, err := json.Marshal(plain)
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(unshield.Replace(string(text))))
	require.NoError(t, err)
	return value
}

// TestSchemaDescribes wants a description for every key.
func TestSchemaDescribes(t *testing.T) {
	data, err := Schema()
	require.NoError(t, err)
	var s struct {
		Defs map[string]struct {
			Description string
			Properties  map[string]struct{ Description string }
		} `json:"$defs"`
	}
	require.NoError(t, json.Unmarshal(data, &s))
	require.Greater(t, len(s.Defs), 15)
	for name, def := range s.Defs {
		for key, p := range def.Properties {
			require.NotEmpty(t, p.Description, "%s.%s", name, key)
		}
		require.NotEmpty(t, def.Description, name)
	}
}

// TestNonsense wants what is huge or deep to be refused. Taking quadratic time
// for it would not end within the time that go test allows.
func TestNonsense(t *testing.T) {
	for name, data := range map[string]string{
		"10 MB":    strings.Repeat("x: [}{ - & * ! | > ' \" % @ `\n", 10<<20/28),
		"brackets": strings.Repeat("[", 1<<20),
		"dashes":   strings.Repeat("- ", 1<<19),
		"quotes":   strings.Repeat(`"`, 1<<20),
		"aliases":  strings.Repeat("*a ", 1<<18),
		"commas":   "[" + strings.Repeat("a,", 1<<19),
		"holes":    "name: " + strings.Repeat("${", 1<<19),
		"mistakes": "x-a: &a [" + strings.Repeat("{name: t, load: {requests: [{path: /}]}},", 900) + "]\nphases:\n" +
			strings.Repeat("- {name: p, candidate: c, gates: [errors < 1%], tests: *a}\n", 9),
		"questions": strings.Repeat("? ", 1<<19),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "plan.yaml")
			require.NoError(t, os.WriteFile(path, []byte(data), 0o600))
			_, err := Load(path, options())
			require.Error(t, err)
			requirePlaces(t, err)
		})
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none.yaml"), "/dev/zero"} {
		_, err := Load(path, options())
		require.ErrorContains(t, err, path+":1:1: the plan can not be read")
	}
}
