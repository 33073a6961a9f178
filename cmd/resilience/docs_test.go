package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// skeleton is what the examples of a page leave out: it has something of every
// kind that a disruption can act on. The phase is long, so that every example
// fits in.
const skeleton = `
name: shop
services: {shop-1: {command: ./shop}, shop-2: {command: ./shop}, shop-3: {command: ./shop}}
targets: {staging: {url: "http://127.0.0.1:8080"}}
dependencies:
  payments: {upstream: "http://127.0.0.1:8301"}
  orders: {upstream: "http://127.0.0.1:8303"}
  ledger: {upstream: "h2c://127.0.0.1:8302", protocol: grpc}
  db: {upstream: "127.0.0.1:5432", protocol: tcp}
  resolver: {upstream: "127.0.0.53:53", protocol: dns}
  vault: {upstream: "http://127.0.0.1:8200", serve: {}}
  toxic: {upstream: "127.0.0.1:6379", protocol: tcp, toxiproxy: {url: "http://127.0.0.1:8474"}}
phases:
  - name: beta
    candidate: staging
    tests: [{name: browse, load: {rate: 50/s, duration: 30m, requests: [{path: /}]}}]
    gates: [availability >= 99%]
`

var yamlBlock = regexp.MustCompile("(?ms)^(?:<!-- ([a-z]+) -->\n)?```yaml\n(.*?)^```$")

// TestExamples loads every example of the pages: plans as they are, and parts
// within the skeleton.
func TestExamples(t *testing.T) {
	for path, least := range map[string]int{"../../docs/disruptions.md": 11, "../../docs/proxy.md": 1, "../../docs/gates.md": 8, "../../docs/telemetry.md": 3, "../../docs/influxdb.md": 1, "../../docs/distribute.md": 3, "../../docs/otlp.md": 1, "../../docs/tenants.md": 3, "../../docs/canary.md": 8, "../../docs/status-page.md": 2, "../../docs/shadow.md": 4, "../../README.md": 4} {
		page := readPage(t, path)
		blocks := yamlBlock.FindAllStringSubmatch(page, -1)
		require.Equal(t, strings.Count(page, "```yaml"), len(blocks), "a block is not closed")
		require.GreaterOrEqual(t, len(blocks), least)
		for i, b := range blocks {
			t.Run(fmt.Sprint(filepath.Base(path), " ", i), func(t *testing.T) { example(t, b[1], b[2]) })
		}
	}
}

// example checks a block by its mark.
func example(t *testing.T, mark, text string) {
	t.Helper()
	switch mark {
	case "plan":
		require.NoError(t, load(t, text), "%s", text)
	case "part":
		require.NoError(t, load(t, completed(t, text)), "%s", text)
	case "canary": // keys of it
		require.NoError(t, load(t, withCanary(t, text)), "%s", text)
	case "disruption": // items of a list of them
		require.NoError(t, load(t, completed(t, "disruptions:\n"+text)), "%s", text)
	case "proxies": // a file for resilience proxy
		_, err := plan.ParseDependencies("proxies.yaml", []byte(text), plan.Options{})
		require.NoError(t, err)
	case "workflow": // steps of a pipeline
		for line := range strings.Lines(text) {
			if _, command, is := strings.Cut(strings.TrimSpace(line), "run: resilience "); is {
				cmd, args, err := newRoot(&streams{}).Find(strings.Fields(command))
				require.NoError(t, err)
				require.NoError(t, cmd.ParseFlags(args))
			}
		}
	case "role": // of Kubernetes
		var role struct {
			Rules []struct {
				Groups    []string `yaml:"apiGroups"`
				Resources []string
				Verbs     []string
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(text), &role))
		require.NotEmpty(t, role.Rules)
	case "rules": // of Prometheus
		var rules []struct{ Alert, Expr string }
		require.NoError(t, yaml.Unmarshal([]byte(text), &rules))
		for _, r := range rules {
			require.NotEmpty(t, r.Alert)
			require.Contains(t, r.Expr, "resilience_canary_") // which are listed in the same page, as a test of canary sees to
		}
		require.NotEmpty(t, rules)
	case "alertmanager": // its own configuration
		var receivers struct {
			Receivers []struct {
				Webhooks []struct{ URL string } `yaml:"webhook_configs"`
			}
		}
		require.NoError(t, yaml.Unmarshal([]byte(text), &receivers))
		require.Regexp(t, "/alerts$", receivers.Receivers[0].Webhooks[0].URL)
	default:
		t.Errorf("a block without a mark, which nobody checks:\n%s", text)
	}
}

func readPage(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// load reads a plan as `resilience validate` does.
func load(t *testing.T, text string) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plan.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	_, csv, _ := strings.Cut(readPage(t, "../../docs/tenants.md"), "```csv\n")
	csv, _, found := strings.Cut(csv, "```")
	require.True(t, found)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "tenants.csv"), []byte(csv), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "users.shadow"), nil, 0o600))
	_, err := plan.Load(path, plan.Options{Scenarios: isScenario, Getenv: func(string) (string, bool) { return "", false }})
	return err
}

// canarySkeleton is what examples of keys of a canary leave out.
const canarySkeleton = `
name: shop
secrets: {canary: {env: A}, pager: {env: B}, slack: {env: C}}
tenants: {file: tenants.csv}
targets: {production: {url: "http://10.0.0.1"}}
objectives: {orders: {share: 99.9%, of: order}}
canary:
  target: production
  script: checkout.js
  tenants: all
  transactions: {order: {every: 1m}}
`

// withCanary adds to keys of a canary what they leave out.
func withCanary(t *testing.T, keys string) string {
	t.Helper()
	var whole, given map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(canarySkeleton), &whole))
	require.NoError(t, yaml.Unmarshal([]byte(keys), &given))
	maps.Copy(whole["canary"].(map[string]any), given)
	text, err := yaml.Marshal(whole)
	require.NoError(t, err)
	return string(text)
}

// completed adds to a part of a plan what it leaves out. Keys of a phase may
// stand at its top.
func completed(t *testing.T, part string) string {
	t.Helper()
	var whole, given map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(skeleton), &whole))
	require.NoError(t, yaml.Unmarshal([]byte(part), &given))
	phase := whole["phases"].([]any)[0].(map[string]any)
	for key, value := range given {
		switch fields, isMap := value.(map[string]any); {
		case key == "disruptions" || key == "gates":
			phase[key] = value
		case key == "phases":
			for key, value := range value.([]any)[0].(map[string]any) {
				phase[key] = value
			}
		case isMap && whole[key] != nil:
			for name, value := range fields {
				whole[key].(map[string]any)[name] = value
			}
		default:
			whole[key] = value
		}
	}
	text, err := yaml.Marshal(whole)
	require.NoError(t, err)
	return string(text)
}

// places are the words of the table for what a fault acts on, and how a
// disruption says so.
var places = map[string]string{
	"http":       `{"dependency": "payments"}`,
	"grpc":       `{"dependency": "ledger"}`,
	"tcp":        `{"dependency": "db"}`,
	"dns":        `{"dependency": "resolver"}`,
	"toxiproxy":  `{"dependency": "toxic"}`,
	"services":   `{"services": "shop-1"}`,
	"process":    `{"process": {"pid_file": "x"}}`,
	"container":  `{"container": {"name": "x"}}`,
	"kubernetes": `{"kubernetes": {"select": {"app": "x"}}}`,
	"machine":    `{}`,
	"anything":   `{}`,
}

// refusal is said of a fault that can not act there at all; what else may be
// wrong with an example there does not matter.
var refusal = regexp.MustCompile(`can not act on|can not be done to|Toxiproxy can not do|wants (dependency|services|kubernetes)`)

// TestFaultTable compares the table of all faults with the plan package: which
// there are, that each example is valid, and on what each can act.
func TestFaultTable(t *testing.T) {
	_, table, found := strings.Cut(readPage(t, "../../docs/disruptions.md"), "## All faults\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "\n## ")
	var named []string
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		require.Len(t, cells, 5, "%s", line)
		fault, acts := strings.Trim(cells[0], " `"), strings.Split(strings.TrimSpace(cells[2]), ", ")
		named = append(named, fault)
		t.Run(fault, func(t *testing.T) {
			example := strings.Trim(cells[4], " `")
			require.NoError(t, load(t, completed(t, "disruptions:\n  - "+example)), "%s", example)
			var d map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(example), &d))
			require.Contains(t, d, fault)
			for place := range places {
				require.Equal(t, slices.Contains(acts, place), actsOn(t, fault, d[fault], place), "%s on %s", fault, place)
			}
		})
	}
	slices.Sort(named)
	require.Equal(t, allFaults(), named)
}

// actsOn finds out whether a plan may have a fault on a kind of place.
func actsOn(t *testing.T, fault string, how any, place string) bool {
	t.Helper()
	d := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(places[place]), &d))
	d["name"], d["for"], d[fault] = "d", "10s", how
	text, err := yaml.Marshal(map[string]any{"disruptions": []any{d}})
	require.NoError(t, err)
	err = load(t, completed(t, string(text)))
	isAnything := fault == "exec" || fault == "http"
	if place == "machine" && isAnything || place == "anything" && !isAnything {
		return false // both say nothing of where
	}
	return err == nil || !refusal.MatchString(err.Error())
}

// allFaults are those that a disruption can have, sorted.
func allFaults() []string {
	var d plan.Disruption
	for fields, i := reflect.ValueOf(&d).Elem(), 0; i < fields.NumField(); i++ {
		if f := fields.Field(i); f.Kind() == reflect.Pointer {
			f.Set(reflect.New(f.Type().Elem()))
		}
	}
	return d.Faults()
}
