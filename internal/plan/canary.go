package plan

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Canary is the continuous canary: what tenants try around the clock, what is
// an incident, and who is told. `resilience canary PLAN` runs it until it is
// stopped.
type Canary struct {
	Target       string                `yaml:"target" jsonschema:"required"`       // a target of the plan
	Script       string                `yaml:"script" jsonschema:"required"`       // a k6 script, or the name of one in scenarios/
	Tenants      Names                 `yaml:"tenants,omitempty"`                  // whom it acts as: all, or those of KEY=VALUE; default nobody
	VUs          int                   `yaml:"vus"`                                // how many transactions may be under way at a time, 1 to 10,000; default 20
	Env          map[string]string     `yaml:"env,omitempty" bind:"secrets"`       // for the script
	Transactions map[string]CanaryTask `yaml:"transactions" jsonschema:"required"` // what is tried, by name
	Health       *CanaryHealth         `yaml:"health,omitempty"`                   // what the system says of itself
	Alerts       map[string]CanaryRule `yaml:"alerts,omitempty"`                   // what is an incident, and whom it concerns
	Receivers    map[string]Receiver   `yaml:"receivers,omitempty"`                // where alerts go
	Maintenance  []Maintenance         `yaml:"maintenance,omitempty"`              // planned times in which nothing counts and nobody is told
	Location     *Location             `yaml:"location,omitempty"`                 // this instance among several
	Serve        *CanaryServe          `yaml:"serve,omitempty"`                    // who may read and write what --listen serves
	Heartbeats   map[string]Heartbeat  `yaml:"heartbeats,omitempty"`               // jobs that have to report in
	Keep         CanaryKeep            `yaml:"keep"`                               // how long history is kept
}

// CanaryTask is one transaction of a canary: each of its tenants tries it once in
// every interval, at a moment that is random but always the same.
type CanaryTask struct {
	Exec    string   `yaml:"exec"`                        // a function that the script exports; default the name of the transaction
	Every   Duration `yaml:"every" jsonschema:"required"` // how often each of its tenants tries it, 1s to 1d
	Timeout Duration `yaml:"timeout"`                     // of all tries together, at most every; default 30s, or every where that is less
	Tries   int      `yaml:"tries"`                       // how often it is tried until it succeeds, 1 to 10; default 1
	Wait    Duration `yaml:"wait"`                        // between two tries; default 1s
	Slow    Duration `yaml:"slow,omitempty"`              // what takes longer does not count as good
	Tenants Names    `yaml:"tenants,omitempty"`           // fewer than those of the canary
}

// CanaryHealth is a health endpoint that is asked, so that it can be compared
// with what tenants see.
type CanaryHealth struct {
	Path  string   `yaml:"path" jsonschema:"required"` // of the target; healthy while it answers 2xx
	Every Duration `yaml:"every"`                      // how often it is asked, 1s to 1d; default 15s
}

// CanaryRule says what is an incident. Just one is open at a time for each rule,
// so that what fails together is told once.
type CanaryRule struct {
	Of       Names    `yaml:"of,omitempty"`                  // transactions and heartbeats; default all
	By       string   `yaml:"by"`                            // transaction: evidence is gathered for each transaction; tenant, class, cell or region: for each of those within it; default cell
	Open     Triggers `yaml:"open"`                          // any of them opens an incident; default 3 in a row
	Close    Trigger  `yaml:"close"`                         // N in a row: so many good ones close it; default 3 in a row
	Quiet    Duration `yaml:"quiet"`                         // how long nothing may have failed before it closes; default twice the longest interval
	Severity string   `yaml:"severity"`                      // page or ticket; default page
	Owner    string   `yaml:"owner" jsonschema:"required"`   // who answers for it
	Runbook  string   `yaml:"runbook" jsonschema:"required"` // a URL: what to do
	To       Names    `yaml:"to" jsonschema:"required"`      // receivers
	Remind   Duration `yaml:"remind,omitempty"`              // again after so long, while it is open and nobody has acknowledged; default never
}

// Severities of rules.
const (
	SeverityPage   = "page"   // wakes somebody
	SeverityTicket = "ticket" // waits for the morning
)

// Trigger is evidence of an incident: N in a row, N of M, or burn OBJECTIVE.
// Just one of Row, Of and Burn is set.
type Trigger struct {
	Row  int    // so many bad (or, to close, good) attempts one after the other
	Some int    // so many bad ones of the last Of
	Of   int    // 2 to 10,000
	Burn string // an objective of the plan, whose budget is spent too fast
}

// Triggers are one or more pieces of evidence; a single one needs no brackets.
type Triggers []Trigger

// Receiver is where alerts go. Just one of its kinds is set.
type Receiver struct {
	Alertmanager *Alertmanager `yaml:"alertmanager,omitempty"` // an Alertmanager
	Slack        *Slack        `yaml:"slack,omitempty"`        // a channel of Slack
	PagerDuty    *PagerDuty    `yaml:"pagerduty,omitempty"`    // a service of PagerDuty
	Webhook      *Webhook      `yaml:"webhook,omitempty"`      // anything else that takes a POST
}

// Alertmanager takes alerts by the API v2 of Prometheus's Alertmanager.
type Alertmanager struct {
	URL   string `yaml:"url" jsonschema:"required"`      // base URL
	Token string `yaml:"token,omitempty" bind:"secrets"` // ${secrets.NAME}
	TLS   *TLS   `yaml:"tls,omitempty"`                  // how to trust it and what to show it
}

// Slack takes messages at an incoming webhook.
type Slack struct {
	URL string `yaml:"url" jsonschema:"required" bind:"secrets"` // ${secrets.NAME}: whoever knows it can write
}

// PagerDuty takes events by the Events API v2.
type PagerDuty struct {
	Key string `yaml:"key" jsonschema:"required" bind:"secrets"` // routing key of a service, ${secrets.NAME}
	URL string `yaml:"url"`                                      // where its API is; default https://events.pagerduty.com
}

// Webhook takes a POST of JSON, or of what a template makes of it.
type Webhook struct {
	URL     string            `yaml:"url" jsonschema:"required" bind:"secrets"` // with a query, if it wants one
	Headers map[string]string `yaml:"headers,omitempty" bind:"secrets"`         // credentials name a secret
	Body    string            `yaml:"body,omitempty"`                           // a Go template over the notice; default the notice as JSON
	Type    string            `yaml:"type"`                                     // Content-Type; default application/json
	TLS     *TLS              `yaml:"tls,omitempty"`                            // how to trust it and what to show it
}

// Maintenance is a planned time in which nothing counts and nobody is told.
type Maintenance struct {
	From   Instant `yaml:"from" jsonschema:"required"`   // 2026-12-31T22:00:00Z
	To     Instant `yaml:"to" jsonschema:"required"`     // alike; at most 30 days later
	Reason string  `yaml:"reason" jsonschema:"required"` // shown on the status page
	Of     Names   `yaml:"of,omitempty"`                 // transactions and heartbeats; default all
	Cell   string  `yaml:"cell,omitempty"`               // only there
}

// Location is one of several instances that look at the same system. An incident
// is told when so many of those that can be heard agree.
type Location struct {
	Name   string          `yaml:"name" jsonschema:"required"`                 // unlike that of any other
	Quorum int             `yaml:"quorum"`                                     // how many have to agree; default more than half of all
	Token  string          `yaml:"token" jsonschema:"required" bind:"secrets"` // ${secrets.NAME}: what all of them show one another
	Peers  map[string]Peer `yaml:"peers" jsonschema:"required"`                // the others, by name
}

// Peer is another instance.
type Peer struct {
	URL string `yaml:"url" jsonschema:"required"` // of what its --listen serves
	TLS *TLS   `yaml:"tls,omitempty"`             // how to trust it and what to show it
}

// CanaryServe says who may read and write what --listen serves.
type CanaryServe struct {
	Public bool   `yaml:"public,omitempty"`               // anybody may read; default only who has the token
	Token  string `yaml:"token,omitempty" bind:"secrets"` // ${secrets.NAME}, wanted as a bearer token; without it nobody can write
	Title  string `yaml:"title"`                          // of the status page; default the plan's name
}

// Heartbeat is a job that has to report in: that it did not is a bad attempt.
type Heartbeat struct {
	Every Duration `yaml:"every" jsonschema:"required"` // how often it reports, 1s to 14d
	Grace Duration `yaml:"grace"`                       // how late it may be, 1s to 14d; default a tenth of every, 1s at least
}

// CanaryKeep is how long a canary's history is kept.
type CanaryKeep struct {
	Attempts Retention `yaml:"attempts"` // each for itself, 1h or more; default 6h
	Minutes  Retention `yaml:"minutes"`  // by transaction and cell; default 14d
	Hours    Retention `yaml:"hours"`    // alike; default 400d
}

// Retention is how long something is kept; written 6h, 14d, 400d.
type Retention time.Duration

const day = Retention(24 * time.Hour)

// maxRetention is ten years.
const maxRetention = 3650 * day

// String gives whole days as such: 400d.
func (r Retention) String() string {
	if r > 0 && r%day == 0 {
		return strconv.FormatInt(int64(r/day), 10) + "d"
	}
	return Duration(r).String()
}

// MarshalText is String.
func (r Retention) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads whole days, 14d or 400d, up to ten years, and what a
// [Duration] is.
func (r *Retention) UnmarshalText(text []byte) error {
	days, isDays := strings.CutSuffix(string(text), "d")
	if n, err := strconv.ParseUint(days, 10, 16); isDays && err == nil && Retention(n) <= maxRetention/day {
		*r = Retention(n) * day
		return nil
	}
	var d Duration
	if d.UnmarshalText(text) != nil {
		return fmt.Errorf("wants a time such as 6h or 400d, up to ten years (3650d); got %q", text)
	}
	*r = Retention(d)
	return nil
}

func (Retention) pattern() string { return Duration(0).pattern() }

// Instant is a moment, written as in RFC 3339: 2026-12-31T22:00:00Z.
type Instant time.Time

// MarshalText spells the instant as in a plan, in UTC.
func (i Instant) MarshalText() ([]byte, error) {
	return []byte(time.Time(i).UTC().Format(time.RFC3339)), nil
}

// UnmarshalText reads RFC 3339, whole seconds, with a zone.
func (i *Instant) UnmarshalText(text []byte) error {
	t, err := time.Parse(time.RFC3339, string(text))
	if t = t.UTC(); err != nil || t.Nanosecond() != 0 || t.Year() < 2000 || t.Year() > 2199 {
		return fmt.Errorf("wants a date and time with its zone, such as 2026-12-31T22:00:00Z; got %q", text)
	}
	*i = Instant(t)
	return nil
}

func (Instant) pattern() string {
	return `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})$`
}

// maxTrigger is the most attempts that a trigger may look at.
const maxTrigger = 10_000

// String spells the trigger as in a plan.
func (t Trigger) String() string {
	switch {
	case t.Burn != "":
		return "burn " + t.Burn
	case t.Row > 0:
		return fmt.Sprintf("%d in a row", t.Row)
	}
	return fmt.Sprintf("%d of %d", t.Some, t.Of)
}

// MarshalText is String.
func (t Trigger) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads 3 in a row, 5 of 100 or burn OBJECTIVE.
func (t *Trigger) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	number := func(word string) int {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > maxTrigger {
			return 0
		}
		return n
	}
	switch {
	case len(words) == 4 && words[1] == "in" && words[2] == "a" && words[3] == "row" && number(words[0]) > 0:
		*t = Trigger{Row: number(words[0])}
	case len(words) == 3 && words[1] == "of" && number(words[0]) > 0 && number(words[2]) >= max(2, number(words[0])):
		*t = Trigger{Some: number(words[0]), Of: number(words[2])}
	case len(words) == 2 && words[0] == "burn":
		*t = Trigger{Burn: words[1]}
	default:
		return fmt.Errorf("wants evidence such as 3 in a row, 5 of 100 or burn OBJECTIVE, with numbers up to %d; got %q", maxTrigger, shorten(string(text)))
	}
	return nil
}

func (Trigger) pattern() string { return `^([0-9]+ in a row|[0-9]+ of [0-9]+|burn [^ ]+)$` }
