package gates

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"resilience/gates/evidence"
	"resilience/internal/measure"
)

// Planned is what is known of a phase before it runs.
type Planned struct {
	Baseline    bool          // it sends to a baseline, as much as to the candidate
	FalseAlarms float64       // of its watch; 0 when it is not watched
	Steady      time.Duration // how long it is steady

	// Rate gives how many attempts per second a gate will look at; known is false
	// when the plan does not tell.
	Rate func(Gate) (perSecond float64, known bool)
}

// What is taken for granted where only a run would tell.
const (
	assumedFailures = 0.001 // of both arms
	assumedSpread   = 0.5   // sigma of log-normal latencies: a p95 of 2.3 times the p50
	slower          = 1.2   // what a watch of latencies is asked about
)

// Foresee says for a dry run what the comparison of both arms and the watch of a
// phase could find, each in a line: "watch errors <= baseline: if 0.2 % failed,
// beside 0.1 % of the baseline, that is found in about 14 min". Each holds with a probability of 90 %. Gates of which nothing can be told
// beforehand, such as those that compare with a record, have no line.
func Foresee(gates []Gate, p Planned) (lines []string) {
	if p.FalseAlarms > 0 {
		if w, err := NewWatch(gates, "", p.Baseline, p.FalseAlarms); err == nil {
			for _, g := range w.watched {
				if what, seconds, ok := p.found(g.gate, g.row, w.alpha*evidence.FirstPart); ok {
					lines = append(lines, fmt.Sprintf("watch %s: if %s, that is found%s", textOf(g.gate), what, p.within(seconds)))
				}
			}
		}
	}
	for _, g := range parsed(gates) {
		if what, seconds, ok := p.shown(g); ok && p.Baseline {
			lines = append(lines, fmt.Sprintf("%s: if %s, that is shown%s", textOf(g), what, p.within(seconds)))
		}
	}
	return lines
}

func textOf(g Gate) string { return cmp.Or(g.Text, g.String()) }

// within says how long something takes, and whether that is too long.
func (p Planned) within(seconds float64) string {
	text := " in about " + aboutText(seconds)
	if p.Steady > 0 && seconds > p.Steady.Seconds() {
		text += ": longer than the phase is steady (" + aboutText(p.Steady.Seconds()) + ")"
	}
	return text
}

// traffic is what is planned for a gate.
func (p Planned) traffic(g Gate) (t evidence.Traffic, ok bool) {
	rate, known := p.Rate(g)
	if !known || !(rate > 0) {
		return t, false
	}
	if t.Candidate = rate; p.Baseline {
		t.Baseline = rate
	}
	return t, true
}

// found says what a watch of a gate finds, and in how many seconds.
func (p Planned) found(g Gate, row SLI, alpha float64) (what string, seconds float64, ok bool) {
	t, known := p.traffic(g)
	if !known {
		return "", 0, false
	}
	if g.Value.Kind == "number" {
		allowed := allowedShare(row.kind, g.Stat, g.Op, g.Value.Number)
		seconds, ok = t.ObjectiveFoundIn(allowed, 2, alpha, power)
		return percentText(2*allowed) + " " + did(g, row), seconds, ok
	}
	factor, ok := multiple(g.Value)
	switch {
	case !ok:
	case row.kind == shareKind:
		t.Candidate *= factor // so much likelier is a failure its own where nothing is wrong
		seconds, ok = t.ShareFoundIn(assumedFailures, 2, alpha, power)
		return fmt.Sprintf("%s %s, beside %s of the baseline", percentText(2*factor*assumedFailures), did(g, row), percentText(assumedFailures)), seconds, ok
	default:
		seconds, ok = evidence.LatencyFoundIn(t, typicalLatencies(), slower, alpha, power)
		return fmt.Sprintf("everything takes %s longer than it may", percentText(round(slower-1))), seconds, ok
	}
	return "", 0, false
}

// did says what those do that are against a gate.
func did(g Gate, row SLI) string {
	if row.kind == shareKind {
		return wrongSide(row, g, 0)
	}
	return "are " + wrongSide(row, g, g.Value.Number)
}

// multiple gives how many times the baseline is allowed.
func multiple(v Value) (factor float64, ok bool) {
	switch {
	case v.Kind != "baseline":
		return 0, false
	case v.Change == "":
		return 1, true
	case v.Change == "*":
		return v.Number, v.Number >= 1
	}
	return 1 + v.Number, v.Change == "+" && v.Unit == "%"
}

// shown says of what two equal arms show that a margin is kept, and in how many
// seconds.
func (p Planned) shown(g Gate) (what string, seconds float64, ok bool) {
	row, known := lookUp(g.SLI)
	t, sent := p.traffic(g)
	steady := steadyKind(g) || g.Period.Kind == Overall
	if !known || !sent || !steady || g.Value.Kind != "baseline" || g.Op[0] != row.Better[0] {
		return "", 0, false
	}
	alpha := 1 - g.confidence()
	a := armsJob{job: &job{gate: g, row: row}, confidence: g.confidence(), baseline: &estimate{
		row: row, stat: g.Stat, value: 1 - assumedFailures, n: 1e9, hits: 1e9 * (1 - assumedFailures),
	}}
	margin, ok := a.margin(g.Value, false)
	switch {
	case !ok:
	case row.kind == shareKind:
		seconds, ok = t.ShareShownIn(assumedFailures, margin, alpha, power)
		return fmt.Sprintf("%s %s on both arms", percentText(assumedFailures), cmp.Or(row.noun, "are against it")), seconds, ok
	case row.kind == quantileKind && g.Stat.Kind == "quantile" && g.Value.Unit != "ms":
		seconds, ok = evidence.QuantileShownIn(t, typicalLatencies(), g.Stat.Quantile, margin, alpha, power)
		return "both arms are as fast as each other, with a p95 of 2.3 times the p50", seconds, ok
	}
	return "", 0, false
}

// typicalLatencies are log-normal ones, all ranks of a thousand.
func typicalLatencies() *measure.Sketch {
	s := measure.NewSketch()
	const n = 1000
	for i := range n {
		s.Add(100 * math.Exp(assumedSpread*math.Sqrt2*math.Erfinv(2*(float64(i)+0.5)/n-1)))
	}
	return s
}
