package gates

import (
	"cmp"
	"fmt"
	"math"

	"resilience/internal/measure"
)

// bound is the right side of a gate, computed: a value and, where it was
// itself measured, the interval that it may lie in.
type bound struct {
	value, low, high float64
	note             string  // what it rests on
	missing          string  // why there is none
	lacks            float64 // seconds of more traffic until it is known; see [Check]
	unless           string  // why a more lenient one, which would count, is not known
	first            bool    // nothing to compare with is what the plan expects of a first run
}

func exactly(x float64) bound { return bound{value: x, low: x, high: x} }

// settle looks at a bound that may be stricter than it should be: meeting it
// is enough, not meeting it shows nothing.
func (b bound) settle(check *Check) {
	switch {
	case b.unless == "":
	case b.first && check.Outcome == Fail:
		check.Outcome, check.Cause, check.Reason = Pass, None, ""
		check.warn("%s", firstRun)
	case check.Outcome == Pass:
		check.warn("%s; the other part of the objective is met", b.unless)
	default:
		check.doubt(Evidence, "%s", b.unless)
	}
}

// lenient is the end of the interval that a failure must be beyond.
func (b bound) lenient(op Op) float64 {
	if atMost(op) {
		return b.high
	}
	return b.low
}

// enoughForBaseline is how few samples of the other side are compared with.
const enoughForBaseline = 30

// bound evaluates the right side of a check.
func (j *judge) bound(v Value, c *job, each string, confidence float64) bound {
	switch v.Kind {
	case "number":
		return exactly(v.Number)
	case "sli":
		if v.SLI == "composed" {
			return j.composedBound(v, c, confidence)
		}
		g := c.gate
		g.Stat = v.Stat
		row, missing := rowOf(v.SLI, g, j.now.timeline)
		if missing != "" {
			return bound{missing: missing}
		}
		if c.row.Unit != row.Unit {
			return bound{missing: fmt.Sprintf("%s can not be compared with %s", c.row.Name, v.SLI)}
		}
		acc := j.now.ask(v.SLI, g, c.inst, measure.Candidate, wantsOf(row, v.Stat))
		e := newEstimate(row, v.Stat, j.now.reading(acc, each))
		if gap := j.now.blind(acc, row); gap != "" {
			return bound{missing: gap}
		}
		return e.bound(v.SLI, confidence)
	case "baseline":
		return j.baselineBound(v, c, each, confidence)
	case "max", "min":
		a, b := j.bound(v.Args[0], c, each, confidence), j.bound(v.Args[1], c, each, confidence)
		return pick(v.Kind, c.gate.Op, a, b)
	}
	return bound{missing: "the gate has no objective"}
}

// pick gives the greater or lesser of two bounds. Where one is missing that
// could only make the objective easier, the other is enough to meet.
func pick(kind string, op Op, a, b bound) bound {
	of := math.Max
	if kind == "min" {
		of = math.Min
	}
	missing, first := cmp.Or(a.missing, b.missing), a.first || b.first
	if easier := kind == "max" && atMost(op) || kind == "min" && (op == ">=" || op == ">"); missing != "" && easier {
		if a.missing != "" {
			a = b
		}
		a.unless, a.first = cmp.Or(a.unless, missing), first
		return a
	}
	if missing != "" && first { // the other part holds on a first run, too
		if a.missing != "" {
			a = b
		}
		return a
	}
	return bound{
		value: of(a.value, b.value), low: of(a.low, b.low), high: of(a.high, b.high),
		note: cmp.Or(a.note, b.note), missing: missing, lacks: max(a.lacks, b.lacks), unless: cmp.Or(a.unless, b.unless),
	}
}

// distrust says why a baseline proves nothing, "" when it does. What is wrong
// with this record as a whole is no matter of the baseline.
func (j *judge) distrust(o *observer, arm string, c *job) string {
	if o == j.now {
		return o.timeline.shortfall(c.gate.From, arm)
	}
	if o.err != nil {
		return fmt.Sprintf("the record could not be read: %v", o.err)
	}
	if why := cmp.Or(o.timeline.interrupted, o.brokenText(), o.timeline.shortfall(c.gate.From, "")); why != "" {
		return why
	}
	if p := c.inst.period; p.Kind == During || p.Kind == After {
		for _, d := range o.timeline.bites() {
			if d.Name == p.Name && !d.Bit {
				return fmt.Sprintf("the disruption %s did not bite: %s", d.Name, d.Reason)
			}
		}
	}
	return ""
}

// bound makes a bound of what was measured.
func (e *estimate) bound(name string, confidence float64) bound {
	switch {
	case e.reading.doubt != "":
		return bound{missing: fmt.Sprintf("%s for %s", e.reading.doubt, name)}
	case math.IsNaN(e.value):
		return bound{missing: fmt.Sprintf("there is no data for %s in this period", name)}
	case math.IsInf(e.value, 0) || e.hidden() > 0 && e.mayBreak("<=", e.value):
		return bound{missing: fmt.Sprintf("the value of %s falls among attempts that never started or never ended", name)}
	case e.ofAttempts() && e.reading.failed == e.reading.count:
		return bound{missing: fmt.Sprintf("no attempt of %s was accepted", name)}
	}
	i := e.interval(confidence)
	note := fmt.Sprintf("%s %s (%s samples)", name, unitText(e.value, e.row.Unit), countText(e.n))
	return bound{value: e.value, low: i.Low, high: i.High, note: note}
}

// change applies what a gate says beside "baseline" or "composed". Taking away more than all
// there is turns the interval around.
func (b *bound) change(v Value) {
	low, high := change(v, b.low), change(v, b.high)
	b.value, b.low, b.high = change(v, b.value), min(low, high), max(low, high)
}

// change applies "+ 10%", "- 1pp" or "* 1.2" to a value.
func change(v Value, x float64) float64 {
	by := v.Number
	if v.Unit == "%" {
		by *= math.Abs(x)
	}
	switch v.Change {
	case "+":
		return x + by
	case "-":
		return x - by
	case "*":
		return x * v.Number
	}
	return x
}

func clampShare(x float64) float64 { return min(1, max(0, x)) }
