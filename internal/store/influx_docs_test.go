package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/influxdata/influxdb-client-go/v2/api/write"
	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
)

const influxDocs = "../../docs/influxdb.md"

// everyPoint gives points that have every tag and field there is.
func everyPoint(t *testing.T) []*write.Point {
	w := window("beta", 1, 1, 2)
	w.Part = 1 << 31
	w.Series = measure.Series{
		Metric: "m", Phase: "p", Test: "t", Arm: "a", Transaction: "tr", Step: "s", Tenant: "te", Class: "c", Cell: "ce", Region: "r", Instance: "i", Status: "200",
	}
	windows, err := windowPoint(someRun(), "1 beta", &w)
	require.NoError(t, err)
	events, err := eventPoint(someRun(), "1 beta", measure.Event{Source: "s", Seq: 5000, Kind: measure.EventLifted, Phase: "p", Test: "t", Arm: "a", Name: "n", Attrs: map[string]string{"a": "b"}})
	require.NoError(t, err)
	number := 1.5
	points := append(verdictPoints(someRun(), fullVerdict(&number), 1), incidentPoints(t)...)
	points = append(points, shadowPoints(t)...)
	points = append(points, documentPoints(someRun(), kindDocument, "plan", []byte("x"))...)
	return append(points, windows, events, totalsPoint(someRun(), totals{}))
}

// incidentPoints are of an incident from its beginning to its end.
func incidentPoints(t *testing.T) (points []*write.Point) {
	for _, state := range []string{"opened", "acknowledged", "closed"} {
		p, err := eventPoint(someRun(), "", measure.Event{Kind: measure.EventIncident, Attrs: map[string]string{
			"state": state, "id": "i", "severity": "page", "evidence": "e",
			"start": "2026-01-02T15:04:05Z", "detected": "2026-01-02T15:04:06Z", "acked": "2026-01-02T15:04:07Z", "end": "2026-01-02T15:04:08Z",
		}})
		require.NoError(t, err)
		points = append(points, p)
	}
	return points
}

// shadowPoints are what a shadow test says of itself.
func shadowPoints(t *testing.T) (points []*write.Point) {
	for kind, attrs := range map[string]map[string]string{
		measure.EventDifference: {
			"route": "GET /quote", "place": "body.total", "kind": "changed", "class": "regression", "pairs": "9", "differing": "8",
			"noise pairs": "7", "noise differing": "0", "baseline": "1", "candidate": "2", "request": "GET /quote", "trace": "",
		},
		measure.EventReplay:   {"read": "9", "sent": "8", "not chosen": "1", "withheld": "0", "held": "2", "dropped": "0", "carried found": "3", "carried rule": "0", "carried cookie": "1", "lag p50": "0.1ms", "lag p99": "12ms"},
		measure.EventWithheld: {"count": "3", "reason": "it may change data"},
	} {
		p, err := eventPoint(someRun(), "", measure.Event{Kind: kind, Name: "GET /quote", Attrs: attrs})
		require.NoError(t, err)
		points = append(points, p)
	}
	return points
}

// fullVerdict has all that is written of a verdict.
func fullVerdict(number *float64) gates.Verdict {
	check := gates.Check{
		Text: "g", Outcome: gates.Pass, Period: "steady", SLI: "s", Unit: "ms", Value: number, Limit: number, Severity: gates.Critical, Group: "money",
		Advisory: "a", Evidence: "e", Warnings: []string{"w"}, Waiver: &gates.Waiver{Owner: "o", Reason: "r", Expires: time.Unix(0, 0)},
		Stretches: []gates.Stretch{{From: time.Unix(1, 0), To: time.Unix(2, 0)}},
	}
	return gates.Verdict{
		Phase: "p", Checks: []gates.Check{check}, Scores: []gates.Score{{}}, Versions: []gates.Version{{Arm: measure.Candidate, Before: "v1", After: "v1"}},
		Objectives: []gates.Budget{{Objective: "o", Left: number, Burns: []gates.Burn{{Run: true, Rate: *number}}, Reason: "r"}},
	}
}

// TestInfluxDocs wants the tables of the page to have every tag and field, with
// its type, and no other.
func TestInfluxDocs(t *testing.T) {
	text, err := os.ReadFile(influxDocs)
	require.NoError(t, err)
	said := map[string]map[string]string{}
	measurement := ""
	heading, line := regexp.MustCompile("^### `(\\w+)`$"), regexp.MustCompile("^\\| `(\\w+)` \\| (\\w+) \\| .+ \\|$")
	for l := range strings.Lines(string(text)) {
		l = strings.TrimSuffix(l, "\n")
		if m := heading.FindStringSubmatch(l); m != nil {
			measurement = m[1]
			said[measurement] = map[string]string{}
		}
		if m := line.FindStringSubmatch(l); m != nil {
			require.NotEmpty(t, measurement)
			require.NotContains(t, said[measurement], m[1], measurement)
			said[measurement][m[1]] = m[2]
		}
	}
	written := map[string]map[string]string{}
	for _, p := range everyPoint(t) {
		keys := written[p.Name()]
		if keys == nil {
			keys = map[string]string{}
		}
		for _, tag := range p.TagList() {
			keys[tag.Key] = "tag"
		}
		for _, field := range p.FieldList() {
			require.NotEqual(t, "tag", keys[field.Key], "a tag and a field of one name can not be told apart")
			keys[field.Key] = map[string]string{"int64": "integer", "float64": "float", "string": "string", "bool": "boolean"}[typeName(field.Value)]
		}
		written[p.Name()] = keys
	}
	require.Equal(t, written, said)
}

func typeName(value any) string {
	switch value.(type) {
	case int64:
		return "int64"
	case float64:
		return "float64"
	case string:
		return "string"
	}
	return "bool"
}

// TestInfluxQuestions asks a real InfluxDB what the page says can be asked.
func TestInfluxQuestions(t *testing.T) {
	to, run := realInflux(t)
	text, err := os.ReadFile(influxDocs)
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```sql\n(.*?)```").FindStringSubmatch(string(text))
	require.NotNil(t, block)
	s := streamTo(t, to, filepath.Join(t.TempDir(), "s"), run)
	batch := second("k6", 1)
	for i := range batch.Windows {
		batch.Windows[i].Series.Arm = measure.Candidate
	}
	require.NoError(t, s.Append(batch))
	require.NoError(t, s.Verdict(gates.Verdict{Phase: "beta", Reason: "why", Checks: []gates.Check{{Text: "g"}}}, 1_700_000_000*measure.Second))
	require.True(t, closed(t, s).Complete())
	questions := 0
	for question := range strings.Lines(block[1]) {
		c := &collector{ctx: t.Context(), from: to, http: to.httpClient()}
		body, err := c.ask(strings.ReplaceAll(strings.TrimSpace(question), "'RUN'", quoted(run.ID)))
		require.NoError(t, err)
		var chunk influxChunk
		require.NoError(t, json.NewDecoder(body).Decode(&chunk), question)
		require.NoError(t, body.Close())
		require.NoError(t, chunk.problem(), question)
		require.NotEmpty(t, chunk.Results[0].Series, question)
		questions++
	}
	require.GreaterOrEqual(t, questions, 5)
}
