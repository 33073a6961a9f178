package plan

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"resilience/gates"
)

// Source is monitoring that can be asked what it saw of the system. Just one
// of prometheus and influxdb is set.
type Source struct {
	Prometheus string            `yaml:"prometheus,omitempty" bind:"services"`                   // base URL of what speaks Prometheus's HTTP API
	InfluxDB   string            `yaml:"influxdb,omitempty" bind:"services"`                     // base URL of an InfluxDB: 1.8, 2 or 3
	Database   string            `yaml:"database,omitempty"`                                     // of InfluxDB; in version 2 the bucket
	Token      string            `yaml:"token,omitempty" bind:"secrets"`                         // ${secrets.NAME}
	Headers    map[string]string `yaml:"headers,omitempty" bind:"services,dependencies,secrets"` // added to every request
	TLS        *TLS              `yaml:"tls,omitempty"`                                          // how to trust it and what to show it
}

// Query is a question to a source that is asked all the time while a phase
// runs. Gates use its name like that of a metric. It has either a query, or two
// counters whose quotient is a share.
type Query struct {
	From  string   `yaml:"from,omitempty"`               // a source; default the only one
	Query string   `yaml:"query,omitempty" bind:"query"` // PromQL or InfluxQL
	Good  string   `yaml:"good,omitempty" bind:"query"`  // instead: what went well
	Total string   `yaml:"total,omitempty" bind:"query"` // of how many
	Type  string   `yaml:"type"`                         // gauge: values; counter: totals that only grow; count: how many in each step; default gauge, or counter with good and total
	Unit  string   `yaml:"unit,omitempty"`               // of a gauge: s, ms, us, % (0 to 100) or share (0 to 1)
	Every Duration `yaml:"every"`                        // between two values, whole seconds; default 5s
	Stale Duration `yaml:"stale"`                        // the longest time without a value before gates are inconclusive; default 30s
	Delay Duration `yaml:"delay"`                        // until a value has arrived at the source; default 2s
}

// Types of queries.
const (
	Gauge   = "gauge"   // values that go up and down
	Counter = "counter" // totals that only grow: what they grow by counts
	Count   = "count"   // how many there were in each step
)

// Texts are what is asked: one query, or those for what went well and for all.
func (q Query) Texts() []string {
	if q.Good != "" || q.Total != "" {
		return []string{q.Good, q.Total}
	}
	return []string{q.Query}
}

// Share reports whether it has two queries whose quotient counts.
func (q Query) Share() bool { return len(q.Texts()) == 2 }

// PerArm reports whether it asks for an arm or its target, so that a phase with
// a baseline asks it twice.
func (q Query) PerArm() bool {
	return q.mentions("${query.arm}") || q.mentions("${query.target}") || q.mentions("${query.host}")
}

// Stepped reports whether its values are about whole steps and not about
// moments: it says ${query.step}.
func (q Query) Stepped() bool { return q.mentions("${query.step}") }

func (q Query) mentions(placeholder string) bool {
	for _, text := range q.Texts() {
		if strings.Contains(text, placeholder) {
			return true
		}
	}
	return false
}

// queryUnits are what the unit of a query can be: what its metric contains (see
// [measure.EventMetric]) and by how much values are multiplied to have the base
// unit of gates.
var queryUnits = map[string]struct {
	contains string
	factor   float64
}{
	"": {"default", 1}, "s": {"time", 1000}, "ms": {"time", 1}, "us": {"time", 0.001}, "%": {"share", 0.01}, "share": {"share", 1},
}

// Factor is what values are multiplied by to have the base unit of gates: times
// are milliseconds there, shares 0 to 1.
func (q Query) Factor() float64 { return queryUnits[q.Unit].factor }

// Metric describes it to gates, as the attributes of an event of the kind
// metric.
func (q Query) Metric() map[string]string {
	kind := map[string]string{Gauge: "gauge", Counter: "counter", Count: "counter"}[q.Type]
	if q.Share() {
		kind = "rate"
	}
	return map[string]string{"type": kind, "contains": queryUnits[q.Unit].contains, "stale": time.Duration(q.Stale).String(), "every": time.Duration(q.Every).String()}
}

// Observation is what a phase asks its monitoring, with every placeholder
// replaced but those of queries.
type Observation struct {
	Phase   string
	Sources map[string]Source
	Queries map[string]Query
	Arms    []Arm
	Alerts  string // the source that is asked for alerts; "" for none

	Objectives map[string]Objective // whose events are counted by queries
	Dir        string               // of the plan: relative paths start there
}

// Arm is a target in the role that a phase gives it.
type Arm struct {
	Name   string // candidate or baseline
	Target string // its name
	Host   string // host:port of its URL
}

// Ask gives the texts of a query for one arm and the time from one moment up
// to, not including, another, in nanoseconds.
func (q Query) Ask(phase string, arm Arm, from, to int64) ([]string, error) {
	values := map[string]string{
		"query.arm": arm.Name, "query.target": arm.Target, "query.host": arm.Host, "query.phase": phase,
		"query.step": wholeSeconds(q.Every), "query.from": nanoseconds(from), "query.to": nanoseconds(to),
	}
	texts := q.Texts()
	for i, text := range texts {
		expanded, err := Expand(text, func(name string) (string, bool) {
			value, known := values[name]
			return value, known
		})
		if err != nil {
			return nil, err
		}
		texts[i] = expanded
	}
	return texts, nil
}

// Sent reports whether alerts are sent to the harness; if not, it only asks.
func (a Alerts) Sent() bool { return a.From == "" || a.Listen != "" || a.Token != "" }

// Asks reports whether a gate reads the query of a name.
func Asks(g gates.Gate, query string) bool { return g.SLI == query || names(g.Value, query) }

func names(v gates.Value, sli string) bool {
	return v.SLI == sli || slices.ContainsFunc(v.Args, func(arg gates.Value) bool { return names(arg, sli) })
}

func nanoseconds(at int64) string { return strconv.FormatInt(at, 10) }

// wholeSeconds writes them as both languages read them.
func wholeSeconds(d Duration) string {
	return strconv.FormatInt(int64(time.Duration(d)/time.Second), 10) + "s"
}
