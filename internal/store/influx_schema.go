package store

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/influxdata/influxdb-client-go/v2/api/write"

	"resilience/gates"
	"resilience/internal/measure"
)

// Measurements of the schema; docs/influxdb.md describes it.
const (
	influxWindows   = "resilience_windows"
	influxEvents    = "resilience_events"
	influxVerdicts  = "resilience_verdicts"
	influxChecks    = "resilience_checks"
	influxLimits    = "resilience_limits"
	influxBudgets   = "resilience_budgets"
	influxDocuments = "resilience_documents"
	influxTotals    = "resilience_totals"
)

// Kinds of what is kept in influxDocuments.
const (
	kindRun      = "run"      // the description of the run
	kindPhases   = "phases"   // the phases with their gates
	kindDocument = "document" // a document of the record, by its name
	kindBaseline = "baseline" // the description of a run that it is compared with, by originOf
)

// influxQuantiles are the fields that quantiles of a window are written to.
var influxQuantiles = []struct {
	field string
	q     float64
}{{"p50", 0.5}, {"p90", 0.9}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}}

// documentPart is how much of a document one point holds, in bytes; a string
// may have 64 KiB.
const documentPart = 32 << 10

// blank makes a point that has the tags which all points of a run have.
func blank(measurement string, run gates.Run, at int64) *write.Point {
	p := write.NewPointWithMeasurement(measurement).SetTime(time.Unix(0, at))
	tag(p, "run", run.ID)
	tag(p, "plan", run.Plan)
	return p
}

// tag adds one to a point, unless it is empty: InfluxDB has no such tags.
func tag(p *write.Point, key, value string) {
	if value != "" {
		p.AddTag(key, escapeTag(value))
	}
}

// newPoint makes a point with further tags.
func newPoint(measurement string, run gates.Run, tags map[string]string, fields map[string]any, at int64) *write.Point {
	p := blank(measurement, run, at)
	for key, value := range tags {
		tag(p, key, value)
	}
	for key, value := range fields {
		p.AddField(key, value)
	}
	return p.SortTags().SortFields() // so that a point is always the same bytes
}

// windowPoint writes a window. Equal tags and times overwrite each other in
// InfluxDB, so the part of a window, which is what tells late deltas apart, is
// added to its second in nanoseconds; the tag lap, which no run of today
// needs, keeps the key exact where that is not enough. The origin names the
// baseline that the window belongs to, "" for the run itself.
func windowPoint(run gates.Run, origin string, w *measure.Window) (*write.Point, error) {
	if err := writable(w); err != nil {
		return nil, err
	}
	second := floor(w.Start, measure.Second)
	p := blank(influxWindows, run, second+int64(w.Part)%measure.Second)
	windowTags(p, origin, w)
	tag(p, "lap", lap(int64(w.Part)/measure.Second, w.Start-second))
	p.AddField("start", w.Start).AddField("width", w.Width).AddField("part", int64(w.Part))
	p.AddField("count", int64(w.Count)).AddField("failed", int64(w.Failed))
	p.AddField("unfinished", int64(w.Unfinished)).AddField("dropped", int64(w.Dropped))
	p.AddField("sum", w.Sum).AddField("min", w.Min).AddField("max", w.Max)
	if w.Sketch != nil {
		data, err := w.Sketch.MarshalBinary()
		if err != nil {
			return nil, err
		}
		p.AddField("sketch", base64.StdEncoding.EncodeToString(data))
	}
	for _, quantile := range influxQuantiles {
		if value, ok := w.Sketch.Quantile(quantile.q); ok {
			p.AddField(quantile.field, value)
		}
	}
	return p.SortTags(), nil // InfluxDB wants them so
}

// windowTags adds the tags that say what a window is about. A window is written
// for each series in each second, so that no map is made for it.
func windowTags(p *write.Point, origin string, w *measure.Window) {
	s := w.Series
	tag(p, "source", w.Source)
	tag(p, "origin", origin)
	tag(p, "metric", s.Metric)
	tag(p, "phase", s.Phase)
	tag(p, "test", s.Test)
	tag(p, "arm", s.Arm)
	tag(p, "transaction", s.Transaction)
	tag(p, "step", s.Step)
	tag(p, "tenant", s.Tenant)
	tag(p, "class", s.Class)
	tag(p, "cell", s.Cell)
	tag(p, "region", s.Region)
	tag(p, "instance", s.Instance)
	tag(p, "status", s.Status)
}

// writable wants a window that InfluxDB can hold.
func writable(w *measure.Window) error {
	for _, n := range []uint64{w.Count, w.Failed, w.Unfinished, w.Dropped} {
		if n > math.MaxInt64 {
			return errors.New("a count is over 2^63-1, which InfluxDB does not know")
		}
	}
	if sum := w.Sum + w.Min + w.Max; math.IsNaN(sum) || math.IsInf(w.Sum, 0) || math.IsInf(w.Min, 0) || math.IsInf(w.Max, 0) {
		return errors.New("sum, min or max is not a finite number")
	}
	return nil
}

// eventPoint writes an event at its microsecond; its number takes the place of
// the nanoseconds, so that two of a kind in one moment are two.
func eventPoint(run gates.Run, origin string, e measure.Event) (*write.Point, error) {
	if e.Seq > math.MaxInt64 {
		return nil, errors.New("a number is over 2^63-1, which InfluxDB does not know")
	}
	const slots = int64(time.Microsecond)
	tags := map[string]string{
		"source": e.Source, "origin": origin, "kind": e.Kind, "phase": e.Phase, "test": e.Test, "arm": e.Arm, "name": e.Name,
		"lap": lap(int64(e.Seq)/slots, 0),
	}
	fields := map[string]any{"at": e.At, "seq": int64(e.Seq), "text": eventText(e)}
	switch e.Kind {
	case measure.EventDisruption:
		fields["active"] = int64(1)
	case measure.EventLifted:
		fields["active"] = int64(0)
	case measure.EventIncident:
		incidentFields(fields, e)
	case measure.EventDifference:
		differenceFields(fields, e)
	case measure.EventReplay:
		replayFields(fields, e)
	case measure.EventWithheld:
		withheldFields(fields, e)
	}
	if e.Attrs != nil {
		attrs, err := json.Marshal(e.Attrs)
		if err != nil {
			return nil, err
		}
		fields["attrs"] = string(attrs)
	}
	return newPoint(influxEvents, run, tags, fields, floor(e.At, slots)+int64(e.Seq)%slots), nil
}

// eventText is what an annotation says.
func eventText(e measure.Event) string {
	words := []string{e.Kind}
	if e.Kind == measure.EventDifference {
		words = append(words, e.Name, e.Attrs["place"], e.Attrs["kind"]+",", e.Attrs["class"])
		return oneLine(strings.Join(words, " "))
	}
	for _, word := range []string{e.Name, e.Attrs["fault"], e.Attrs["state"], e.Attrs["reason"], e.Attrs["detail"], e.Attrs["evidence"], e.Attrs["error"]} {
		if word != "" {
			words = append(words, word)
		}
	}
	return oneLine(strings.Join(words, " "))
}

// documentPoints write a document in parts.
func documentPoints(run gates.Run, kind, name string, data []byte) []*write.Point {
	sum := sha256.Sum256(data)
	parts := max(1, (len(data)+documentPart-1)/documentPart)
	var points []*write.Point
	for i := range parts {
		piece := data[i*documentPart : min((i+1)*documentPart, len(data))]
		points = append(points, newPoint(influxDocuments, run, map[string]string{"kind": kind, "name": name}, map[string]any{
			"part": int64(i), "parts": int64(parts), "digest": hex.EncodeToString(sum[:]), "data": base64.StdEncoding.EncodeToString(piece),
		}, run.Started.UnixNano()+int64(i)))
	}
	return points
}

// totals are how much there is of a run.
type totals struct{ windows, events, documents int64 }

// totalsPoint says how much there is of a run once all of it was sent, so that
// whoever reads it back knows whether something is missing.
func totalsPoint(run gates.Run, n totals) *write.Point {
	return newPoint(influxTotals, run, nil, map[string]any{"windows": n.windows, "events": n.events, "documents": n.documents}, run.Started.UnixNano())
}

// lap is what tells apart points that tags and time alone do not.
func lap(round, offset int64) string {
	if round == 0 && offset == 0 {
		return ""
	}
	return strconv.FormatInt(round, 10) + "+" + strconv.FormatInt(offset, 10)
}

// floor rounds down to a multiple of step.
func floor(at, step int64) int64 { return at - ((at%step)+step)%step }

// clamped fits a count into what InfluxDB knows.
func clamped(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// oneLine makes a text fit for a line of a dashboard.
func oneLine(text string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
}

// escapeTag replaces what line protocol can not say in a tag (control
// characters, backslashes, bytes that are no text) by %XX, and so a % that
// would be read as one of those.
func escapeTag(value string) string {
	if !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' || r == '%' || r == '\uFFFD' }) {
		return value
	}
	var b strings.Builder
	for i, r := range value {
		switch {
		case r == '\uFFFD' && !strings.HasPrefix(value[i:], "\uFFFD"), r < ' ', r == 0x7f, r == '\\', r == '%' && isEscape(value[i:]):
			fmt.Fprintf(&b, "%%%02X", value[i])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unescapeTag undoes escapeTag.
func unescapeTag(value string) string {
	if !strings.Contains(value, "%") {
		return value
	}
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if isEscape(value[i:]) {
			n, _ := strconv.ParseUint(value[i+1:i+3], 16, 8) // two digits, as isEscape saw
			b.WriteByte(byte(n))
			i += 2
		} else {
			b.WriteByte(value[i])
		}
	}
	return b.String()
}

// isEscape reports whether a text begins with a % and two upper-case digits.
func isEscape(text string) bool {
	const digits = "0123456789ABCDEF"
	return len(text) >= 3 && text[0] == '%' && strings.IndexByte(digits, text[1]) >= 0 && strings.IndexByte(digits, text[2]) >= 0
}
