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
	note             string // what it rests on
	missing          string // why there is none
}

func exactly(x float64) bound { return bound{value: x, low: x, high: x} }

// lenient is the end of the interval that a failure must be beyond.
func (b bound) lenient(op Op) float64 {
	if op == "<=" || op == "<" {
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
		return boundOf(row, v.Stat, j.now.reading(acc, each), v.SLI, confidence)
	case "baseline":
		return j.baselineBound(v, c, each, confidence)
	case "max", "min":
		a, b := j.bound(v.Args[0], c, each, confidence), j.bound(v.Args[1], c, each, confidence)
		return pick(v.Kind, a, b)
	}
	return bound{missing: "the gate has no objective"}
}

func pick(kind string, a, b bound) bound {
	of := math.Max
	if kind == "min" {
		of = math.Min
	}
	return bound{
		value: of(a.value, b.value), low: of(a.low, b.low), high: of(a.high, b.high),
		note: cmp.Or(a.note, b.note), missing: cmp.Or(a.missing, b.missing),
	}
}

// baselineBound reads the baseline's value and changes it as the gate says.
func (j *judge) baselineBound(v Value, c *job, each string, confidence float64) bound {
	o, arm := j.baseline()
	if o == nil {
		return bound{missing: "there is no baseline to compare with"}
	}
	inst := c.inst
	if o != j.now {
		inst = o.timeline.instance(c.inst.period)
	}
	if inst.missing != "" {
		return bound{missing: "in the baseline " + inst.missing}
	}
	row, missing := rowOf(c.gate.SLI, c.gate, o.timeline)
	if missing != "" {
		return bound{missing: "in the baseline, " + missing}
	}
	acc := o.ask(c.gate.SLI, c.gate, inst, arm, wantsOf(row, c.gate.Stat))
	b := boundOf(row, c.gate.Stat, o.reading(acc, each), "baseline", confidence)
	if b.missing == "" && row.Unit != c.row.Unit {
		b.missing = "the baseline has another unit"
	}
	if o.err != nil || len(o.broken) > 0 {
		b.missing = "the baseline's record can not be read in full"
	}
	b.value, b.low, b.high = change(v, b.value), change(v, b.low), change(v, b.high)
	if c.row.Unit == UnitShare {
		b.value, b.low, b.high = clampShare(b.value), clampShare(b.low), clampShare(b.high)
	}
	return b
}

func boundOf(row SLI, stat Stat, r reading, name string, confidence float64) bound {
	e := newEstimate(row, stat, r)
	switch {
	case math.IsNaN(e.value):
		return bound{missing: fmt.Sprintf("there is no data for %s in this period", name)}
	case e.n < enoughForBaseline && name == "baseline":
		return bound{missing: fmt.Sprintf("the baseline has %s samples; comparing wants %d", countText(e.n), enoughForBaseline)}
	case math.IsInf(e.value, 0) || e.hidden() > 0 && e.mayBreak("<=", e.value):
		return bound{missing: fmt.Sprintf("the value of %s falls among attempts that never started or never ended", name)}
	case e.row.kind == quantileKind && e.row.Name == "latency" && r.failed == r.count:
		return bound{missing: fmt.Sprintf("no attempt of %s was accepted", name)}
	}
	i := e.interval(confidence)
	note := fmt.Sprintf("%s %s (%s samples)", name, unitText(e.value, row.Unit), countText(e.n))
	return bound{value: e.value, low: i.Low, high: i.High, note: note}
}

// change applies "+ 10%", "- 1pp" or "* 1.2" to a baseline's value.
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
