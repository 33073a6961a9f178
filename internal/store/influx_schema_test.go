package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/influxdata/influxdb-client-go/v2/api/write"
	protocol "github.com/influxdata/line-protocol"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/gates"
	"resilience/internal/measure"
)

// readLine reads a line of InfluxDB's line protocol with InfluxData's own
// parser, as the row that a query would give.
func readLine(t require.TestingT, line string) (r row, at time.Time) {
	metrics, err := protocol.NewParser(protocol.NewMetricHandler()).Parse([]byte(line))
	require.NoError(t, err, line)
	require.Len(t, metrics, 1, line)
	r = row{}
	for _, tag := range metrics[0].TagList() {
		r[tag.Key] = tag.Value
	}
	for _, field := range metrics[0].FieldList() {
		switch value := field.Value.(type) {
		case int64:
			r[field.Key] = json.Number(strconv.FormatInt(value, 10))
		case float64:
			r[field.Key] = json.Number(strconv.FormatFloat(value, 'g', -1, 64))
		default:
			r[field.Key] = value
		}
	}
	return r, metrics[0].Time()
}

func lineOf(p *write.Point) string { return write.PointToLineProtocol(p, time.Nanosecond) }

var finite = rapid.Float64Range(-math.MaxFloat64/4, math.MaxFloat64/4)

// anyName draws names, some of them nasty.
var anyName = rapid.OneOf(rapid.String(), rapid.StringMatching(`[ab,= \\"%0-9A-F]{0,6}`), rapid.SampledFrom([]string{"GET /cart", "", "\xff\xfe%2C", "a\\", "%", "100% \n"}))

func anyWindow(t *rapid.T) measure.Window {
	w := measure.Window{
		Source: anyName.Draw(t, "source"), Start: rapid.Int64Range(0, 1<<62).Draw(t, "start"), Width: rapid.Int64Min(0).Draw(t, "width"), Part: rapid.Uint32().Draw(t, "part"),
		Count: rapid.Uint64Max(math.MaxInt64).Draw(t, "count"), Failed: rapid.Uint64Max(9).Draw(t, "failed"),
		Unfinished: rapid.Uint64Max(9).Draw(t, "unfinished"), Dropped: rapid.Uint64Max(9).Draw(t, "dropped"),
		Sum: finite.Draw(t, "sum"), Min: finite.Draw(t, "min"), Max: finite.Draw(t, "max"),
	}
	s := &w.Series
	for _, name := range []*string{&s.Metric, &s.Phase, &s.Test, &s.Arm, &s.Transaction, &s.Step, &s.Tenant, &s.Class, &s.Cell, &s.Region, &s.Instance, &s.Status} {
		*name = anyName.Draw(t, "name")
	}
	if values := rapid.SliceOf(finite).Draw(t, "values"); len(values) > 0 {
		w.Sketch = measure.NewSketch(values...)
	}
	return w
}

func TestWindowsComeBackFromInfluxDB(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, origin := anyWindow(t), anyName.Draw(t, "origin")
		p, err := windowPoint(someRun(), origin, &want)
		require.NoError(t, err)
		r, _ := readLine(t, lineOf(p))
		got, gotOrigin, err := windowOf(r)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, origin, gotOrigin)
	})
}

func TestEventsComeBackFromInfluxDB(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := measure.Event{
			Source: anyName.Draw(t, "source"), Seq: rapid.Uint64Max(math.MaxInt64).Draw(t, "seq"), At: rapid.Int64Range(0, 1<<62).Draw(t, "at"),
			Kind: anyName.Draw(t, "kind"), Phase: anyName.Draw(t, "phase"), Test: anyName.Draw(t, "test"), Arm: anyName.Draw(t, "arm"), Name: anyName.Draw(t, "name"),
			Attrs: rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "attrs"),
		}
		p, err := eventPoint(someRun(), "", want)
		require.NoError(t, err)
		r, _ := readLine(t, lineOf(p))
		got, _, err := eventOf(r)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
}

// TestNoPointOverwritesAnother: InfluxDB keeps one point for equal tags and
// time.
func TestNoPointOverwritesAnother(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		few := rapid.SampledFrom([]int64{0, 1, 2, measure.Second - 1, measure.Second, measure.Second + 1, 2 * measure.Second, 3*measure.Second - 1})
		draw := func() (key [3]int64, point string) {
			w := measure.Window{Source: "k6", Start: few.Draw(t, "start"), Part: uint32(few.Draw(t, "part")), Series: measure.Series{Metric: "m"}}
			source := few.Draw(t, "source")
			w.Source = strconv.FormatInt(source, 10)
			p, err := windowPoint(someRun(), "", &w)
			require.NoError(t, err)
			return [3]int64{w.Start, int64(w.Part), source}, identity(p)
		}
		one, first := draw()
		other, second := draw()
		if one != other {
			require.NotEqual(t, first, second)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		draw := func() (key [2]uint64, point string) {
			few := rapid.SampledFrom([]uint64{0, 1, 999, 1000, 1001, 2000, 2001})
			key = [2]uint64{few.Draw(t, "seq"), few.Draw(t, "at")}
			p, err := eventPoint(someRun(), "", measure.Event{Source: "run", Seq: key[0], At: int64(key[1]), Kind: "asked"})
			require.NoError(t, err)
			return key, identity(p)
		}
		one, first := draw()
		other, second := draw()
		if one[0] != other[0] {
			require.NotEqual(t, first, second)
		}
	})
}

// identity is what makes a point another one in InfluxDB.
func identity(p *write.Point) string {
	text := fmt.Sprint(p.Name(), p.Time().UnixNano())
	for _, tag := range p.TagList() {
		text += fmt.Sprintf(",%q=%q", tag.Key, tag.Value)
	}
	return text
}

func TestWindowsThatInfluxDBCanNotHold(t *testing.T) {
	for name, w := range map[string]measure.Window{
		"a count is over 2^63-1, which InfluxDB does not know": {Count: 1 << 63},
		"sum, min or max is not a finite number":               {Max: math.Inf(1)},
	} {
		_, err := windowPoint(someRun(), "", &w)
		require.EqualError(t, err, name)
	}
	_, err := windowPoint(someRun(), "", &measure.Window{Min: math.NaN()})
	require.ErrorContains(t, err, "not a finite number")
}

func TestRowsThatNobodyWrote(t *testing.T) {
	w := window("beta", 5, 1, 2, 3)
	p, err := windowPoint(someRun(), "", &w)
	require.NoError(t, err)
	for _, damage := range []struct {
		key   string
		value any
	}{
		{"count", json.Number("-1")},
		{"part", json.Number("4294967296")},
		{"start", nil},
		{"sum", "many"},
		{"sketch", "AAAA"},
		{"sketch", "?"},
		{"phase", json.Number("1")},
	} {
		r, _ := readLine(t, lineOf(p))
		r[damage.key] = damage.value
		_, _, err := windowOf(r)
		require.ErrorIs(t, err, errRow, damage.key)
		require.ErrorContains(t, err, damage.key)
	}
}

// TestActiveTellsDisruptionsInEffect is what bands of dashboards are drawn from.
func TestActiveTellsDisruptionsInEffect(t *testing.T) {
	for kind, want := range map[string]any{measure.EventDisruption: json.Number("1"), measure.EventLifted: json.Number("0"), measure.EventSkipped: nil} {
		p, err := eventPoint(someRun(), "", measure.Event{Source: "s", Kind: kind, Name: "slow"})
		require.NoError(t, err)
		r, _ := readLine(t, lineOf(p))
		require.Equal(t, want, r["active"], kind)
	}
}

// TestIncidentsTellTheirTimes is what the board of a canary is drawn from.
func TestIncidentsTellTheirTimes(t *testing.T) {
	attrs := map[string]string{
		"id": "20260102T150405Z-orders", "severity": "page", "evidence": "3 in a row: order in cell eu-1",
		"start": "2026-01-02T15:04:05Z", "detected": "2026-01-02T15:04:35.5Z",
	}
	point := func(state string, more ...string) row {
		e := measure.Event{Source: "s", Kind: measure.EventIncident, Name: "orders", Attrs: maps.Clone(attrs)}
		e.Attrs["state"] = state
		for i := 0; i < len(more); i += 2 {
			e.Attrs[more[i]] = more[i+1]
		}
		p, err := eventPoint(someRun(), "", e)
		require.NoError(t, err)
		r, _ := readLine(t, lineOf(p))
		return r
	}
	opened := point("opened")
	require.Equal(t, json.Number("1"), opened["active"])
	require.Equal(t, json.Number("30500"), opened["detected_after"])
	require.Equal(t, "page", opened["severity"])
	require.Equal(t, "incident orders opened 3 in a row: order in cell eu-1", opened["text"])
	require.Nil(t, opened["lasted"])
	acked := point("acknowledged", "acked", "2026-01-02T15:05:35.5Z")
	require.Equal(t, []any{json.Number("1"), json.Number("60000")}, []any{acked["active"], acked["acked_after"]})
	closed := point("closed", "end", "2026-01-02T16:04:05Z")
	require.Equal(t, []any{json.Number("0"), json.Number("3.6e+06")}, []any{closed["active"], closed["lasted"]})
	require.NotContains(t, point("closed"), "lasted", "an end that nobody knows is no time")
}

func TestVerdictsBecomePoints(t *testing.T) {
	value := 0.25
	points := verdictPoints(someRun(), gates.Verdict{
		Phase: "beta", Outcome: gates.Fail, Reason: "1 gate\nfailed",
		Checks: []gates.Check{{Text: "availability >= 99%", SLI: "availability", Period: "steady", Outcome: gates.Fail, Value: &value}, {Text: "availability >= 99%", SLI: "availability", Period: "steady", Outcome: gates.Pass}},
	}, 7)
	require.Len(t, points, 3)
	verdict, at := readLine(t, lineOf(points[0]))
	require.EqualValues(t, 7, at.UnixNano())
	require.Equal(t, "1 gate failed", verdict["reason"])
	require.Equal(t, json.Number("99"), verdict["exit_code"])
	require.Equal(t, false, verdict["passed"])
	require.Equal(t, json.Number(strconv.FormatInt(someRun().Started.UnixMilli(), 10)), verdict["started"])
	check, _ := readLine(t, lineOf(points[1]))
	require.Equal(t, "availability >= 99%", check["gate"])
	require.Equal(t, json.Number("0.25"), check["value"])
	require.NotEqual(t, identity(points[1]), identity(points[2]), "the same gate twice is two points")
}
