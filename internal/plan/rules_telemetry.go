package plan

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"resilience/gates"
)

// validSources wants each source to be one that can be asked.
func validSources(c *checker, p *Plan) {
	for name, s := range p.Telemetry {
		at := c.under(`telemetry["%s"]`, name)
		if !at.oneOf("a source", "prometheus", "influxdb") {
			continue
		}
		key, url := "prometheus", s.Prometheus
		if at.given("influxdb") {
			key, url = "influxdb", s.InfluxDB
		}
		at.url(key, url, "http", "https")
		at.headers("headers", s.Headers)
		at.tls("tls", s.TLS)
		at.database()
		at.token(key, url, s)
	}
}

// database wants one just where there is one to choose.
func (c *checker) database() {
	switch influx := c.given("influxdb"); {
	case influx && !c.given("database"):
		c.wrong("", "in InfluxDB 2 it is the name of the bucket", "a source that is an InfluxDB wants its database:")
	case !influx && c.given("database"):
		c.wrongKey("database", "leave it out", "a Prometheus has no database:")
	}
}

// token wants credentials to be secrets that nobody overhears.
func (c *checker) token(key, url string, s Source) {
	if c.given("token") && !secretOnly.MatchString(s.Token) {
		c.wrong("token", "write ${secrets.NAME} and define NAME under secrets:", "credentials are never written in a plan")
	}
	secret := c.given("token")
	for _, value := range s.Headers {
		secret = secret || strings.Contains(value, "${secrets.")
	}
	u := bound(url)
	if u == nil || !c.clean(key) {
		return
	}
	if secret && u.Scheme == "http" && !loopbackHost(u.Hostname()) {
		c.wrong(key, "write it as https://, with tls: {ca: FILE} for a certificate of your own", "the token would go to %s unencrypted", shorten(u.Host))
	}
	if s.TLS != nil && u.Scheme != "https" {
		c.wrongKey("tls", "leave it out, or write the url as https://", "tls: is given but the url is not https")
	}
}

// queryName is what the gate language reads as one word, whatever follows.
var queryName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(-[A-Za-z][A-Za-z0-9_]*)*$`)

const maxQueryName = 60

func validQueries(c *checker, p *Plan) {
	for name, q := range p.Queries {
		at := c.under(`queries["%s"]`, name)
		c.queryName(name)
		at.from(p, q)
		if at.oneOrTwo() {
			at.kind(p, q)
			at.influxQL(p, q)
			at.noWindow(q)
		}
		at.times(q)
	}
}

// noWindow leaves the windows of objectives to objectives.
func (c *checker) noWindow(q Query) {
	for _, key := range []string{"query", "good", "total"} {
		if text := map[string]string{"query": q.Query, "good": q.Good, "total": q.Total}[key]; strings.Contains(text, "${query.window}") {
			c.wrong(key, "write the length, or ${query.step}", "${query.window} is for objectives")
		}
	}
}

// queryName wants a name that can stand in a gate without quotes.
func (c *checker) queryName(name string) {
	key := `queries["` + name + `"]`
	_, sli := gates.SLIs()[name]
	if _, err := gates.Parse(name + " <= 1"); !queryName.MatchString(name) || len(name) > maxQueryName {
		c.wrongKey(key, "", "a query is called like queue-lag: letters, digits, _ and - before letters, up to %d; got %q", maxQueryName, shorten(name))
	} else if sli {
		c.wrongKey(key, "give it another name", "%s is an SLI already", name)
	} else if err != nil {
		c.wrongKey(key, "give it another name", "the gate language takes %s for something else", name)
	}
}

func (c *checker) from(p *Plan, q Query) {
	switch sources := slices.Sorted(slices.Values(named(p.Telemetry))); {
	case c.given("from"):
		c.reference("from", q.From, "source", "telemetry", sources)
	case len(sources) == 0:
		c.wrong("", "write for example: telemetry: {main: {prometheus: http://127.0.0.1:9090}}", "a query wants a source under telemetry: to be put to")
	case len(sources) > 1:
		c.wrong("", "", "a query wants from: one of %s", choice(sources))
	}
}

// oneOrTwo wants a query, or good and total.
func (c *checker) oneOrTwo() bool {
	pair := []string{"good", "total"}
	for i, key := range pair {
		switch other := pair[1-i]; {
		case c.given(key) && c.given("query"):
			c.wrongKey(key, "keep one of the two", "a query can not have both query: and %s:", key)
			return false
		case c.given(key) && !c.given(other):
			c.wrong("", "", "a share wants both good: and total:")
			return false
		}
	}
	if !c.given("query") && !c.given("good") {
		c.wrong("", "", "a query wants query:, or good: and total:")
		return false
	}
	return true
}

func (c *checker) kind(p *Plan, q Query) {
	for _, key := range []string{"query", "good", "total"} {
		if text := map[string]string{"query": q.Query, "good": q.Good, "total": q.Total}[key]; c.given(key) && strings.TrimSpace(text) == "" {
			c.wrong(key, "", "the query is empty")
		}
	}
	kinds := []string{Gauge, Counter, Count}
	_, known := queryUnits[q.Unit]
	switch {
	case !slices.Contains(kinds, q.Type):
		c.wrong("type", didYouMean(q.Type, kinds), "type is %s; got %q", choice(kinds), shorten(q.Type))
	case q.Share() && q.Type == Gauge:
		c.wrong("type", "write counter, or count", "what good: and total: give must be counts")
	case q.Type == Count && !q.Stepped():
		c.wrong("type", "say ${query.step} in the query, such as increase(x[${query.step}]) or GROUP BY time(${query.step})",
			"values that count what happened in a step must be about steps")
	case q.Type == Gauge && !known:
		units := []string{"s", "ms", "us", "%", "share"}
		c.wrong("unit", didYouMean(q.Unit, units), "unit is %s; got %q", choice(units), shorten(q.Unit))
	case q.Type != Gauge && c.given("unit"):
		c.wrongKey("unit", "leave it out", "only a gauge has a unit:")
	}
}

// influxSelect is all that is sent to an InfluxDB: nothing that changes it.
var influxSelect = regexp.MustCompile(`(?is)^\s*SELECT\s`)

var influxInto = regexp.MustCompile(`(?i)\bINTO\b`)

func (c *checker) influxQL(p *Plan, q Query) {
	if p.Telemetry[q.From].InfluxDB == "" {
		return
	}
	for i, text := range q.Texts() {
		key := "query"
		if q.Share() {
			key = []string{"good", "total"}[i]
		}
		switch {
		case strings.TrimSpace(text) == "":
		case !influxSelect.MatchString(text) || influxInto.MatchString(text) || strings.Contains(text, ";"):
			c.wrong(key, "", "a query to InfluxDB is one SELECT in InfluxQL, without INTO")
		case !strings.Contains(text, "${query.from}") || !strings.Contains(text, "${query.to}"):
			c.wrong(key, "add: WHERE time >= ${query.from} AND time < ${query.to}", "a query to InfluxDB must say which time it is about")
		}
	}
}

// Limits of the times of queries.
const (
	mostEvery = Duration(5 * time.Minute)
	mostDelay = Duration(time.Minute)
)

func (c *checker) times(q Query) {
	switch {
	case q.Every < Duration(time.Second) || q.Every > mostEvery || q.Every%Duration(time.Second) != 0:
		c.wrong("every", "", "every is 1s to 5m, in whole seconds; got %s", q.Every)
	case q.Stale < q.Every || q.Stale > Duration(time.Hour):
		c.wrong("stale", "", "stale is from every (%s) to 1h; got %s", q.Every, q.Stale)
	case q.Delay > mostDelay:
		c.wrong("delay", "", "delay is at most 1m; got %s", q.Delay)
	}
}

// fitsQuery wants a gate over a query to ask what its values can answer, and
// finds out that a query was meant where a name is nearly that of one.
func fitsQuery(c *checker, phase *Phase, g *Gate) {
	if !c.clean("") || len(c.plan.Queries) == 0 {
		return
	}
	q, asked := c.plan.Queries[g.SLI]
	_, sli := gates.SLIs()[g.SLI]
	why, hint := "", ""
	switch near := gates.Nearest(g.SLI, named(c.plan.Queries)); {
	case asked:
		if why = gates.MetricFits(g.Gate, q.Metric()); strings.Contains(why, "another unit") && q.Type == Gauge {
			hint = "say in what unit its values are: unit: s, ms, us, % or share"
		}
		if why == "" && phase.Baseline.Target != "" && comparesArms(g.Value) && !q.PerArm() {
			why, hint = g.SLI+" does not tell the baseline from the candidate", "say ${query.target}, ${query.host} or ${query.arm} in its query"
		}
	case !sli && near != "" && !strings.Contains(g.Text, `"`+g.SLI+`"`):
		why, hint = "there is no SLI or query "+g.SLI, "did you mean \""+near+"\"? Put the name of a k6 metric in quotes"
	}
	if why != "" {
		c.wrong("", hint, "%s", why)
	}
}

// comparesArms reports whether a value is or holds the baseline.
func comparesArms(v gates.Value) bool {
	return v.Kind == "baseline" || slices.ContainsFunc(v.Args, comparesArms)
}
