package gates

import (
	"fmt"
	"math"

	"resilience/gates/evidence"
)

// decide judges a gate by the value and the interval of its SLI.
func (j *judge) decide(c *job, each string, split float64, check *Check) {
	r := j.now.reading(c.acc, each)
	e := newEstimate(c.row, c.gate.Stat, r)
	check.Samples, check.Failed = e.n, r.failed
	check.Warnings = append(check.Warnings, r.warnings...)
	if math.IsNaN(e.value) {
		check.doubt(Evidence, "%s", j.nothing(c, &e))
		return
	}
	check.Value, check.Observed = finite(e.value), unitText(e.value, c.row.Unit)
	limit := j.bound(c.gate.Value, c, each, fromHalf(split))
	if limit.missing != "" {
		check.doubt(Evidence, "%s", limit.missing)
		return
	}
	check.Limit = finite(limit.value)
	check.Objective = string(c.gate.Op) + " " + unitText(limit.value, c.row.Unit)
	check.Evidence = e.describe(c.gate.Op, limit.value, c.gate.confidence(), split)
	if limit.note != "" {
		check.Evidence += "; " + limit.note
	}
	e.caution(c.gate, limit.value, check)
	e.judge(c.gate, limit, split, check)
}

// fromHalf turns the confidence of one side into that of an interval of which
// half the error is spent on the other side of the comparison.
func fromHalf(split float64) float64 { return max(0, 2*split-1) }

// nothing says why there is no value.
func (j *judge) nothing(c *job, e *estimate) string {
	g := c.gate
	switch {
	case e.none != "":
		return e.none
	case g.From != "" && !j.now.hasTest(g.From):
		return fmt.Sprintf("no test named %s was seen%s", g.From, didYouMean(g.From, j.now.tests()))
	case g.Of != "" && !e.reading.matched:
		kind := map[string]string{"amplification": "dependency", "assertions": "assertion"}[g.SLI]
		if kind == "" {
			kind = "attempt"
		}
		return fmt.Sprintf("nothing named %s was seen%s", g.Of, didYouMean(g.Of, j.now.namesSeen(kind)))
	case g.SLI == "reliability" && !e.reading.matched:
		return "nothing verifies what was answered: use expect: in requests, or transaction() with a check of the outcome in scripts"
	case g.SLI == "amplification" && !e.reading.matched:
		return "no proxy of a dependency saw a request"
	}
	return "there is no data in this period"
}

func (o *observer) hasTest(name string) bool {
	for key := range o.traffic {
		if key.test == name {
			return true
		}
	}
	return false
}

func (o *observer) tests() []string {
	var names []string
	for _, key := range o.timeline.testKeys() {
		names = append(names, key.test)
	}
	return names
}

// caution adds what a reader should know whatever the outcome.
func (e *estimate) caution(g Gate, limit float64, check *Check) {
	r := e.reading
	if g.SLI == "latency" && r.failed*20 > r.count && r.failed < r.count {
		check.warn("%s of the %s attempts failed; a fast refusal looks like a fast answer", countText(r.failed), countText(r.count))
	}
	if e.row.kind == shareKind && (g.Op == "==" || g.Op == ">=" && limit == 1 || g.Op == "<=" && limit == 0) && g.MinSamples == 0 {
		op := g.Op
		if op == "==" && limit == 0 {
			op = "<="
		}
		if k, n, _ := e.breaks(op, limit); k == 0 {
			check.warn("%s", canShowAll(n, g.confidence()))
		}
	}
	if e.row.kind == countKind && g.SLI == "errors" && limit == 0 && r.failed == 0 {
		check.warn("%s", canShowAll(e.n, g.confidence()))
	}
	if e.isMean() && (r.unfinished > 0 || r.dropped > 0) {
		check.warn("%s unfinished attempts count with the time they had waited; %s never started and have no value", countText(r.unfinished), countText(r.dropped))
	}
}

func canShowAll(n uint64, confidence float64) string {
	return fmt.Sprintf("0 of %s failed: at %s confidence at most %s fail", countText(n), confidenceText(confidence), percentText(evidence.ShareHigh(0, n, confidence)))
}

// judge applies rule 3: with enough samples a gate passes when its estimate
// meets the objective; it fails when its interval excludes it; between the two
// it is inconclusive.
func (e *estimate) judge(g Gate, limit bound, split float64, check *Check) {
	r := e.reading
	atMost := g.Op == "<=" || g.Op == "<" || g.Op == "=="
	if g.SLI == "latency" && r.count > 0 && r.failed == r.count && atMost {
		check.broke("none of the %s attempts was accepted, so that their latency says nothing good", countText(r.count))
		return
	}
	ops := []Op{g.Op}
	if g.Op == "==" {
		ops = []Op{">=", "<="}
	}
	for _, op := range ops {
		if math.IsInf(e.value, 1) && (op == "<=" || op == "<") && e.certain(g) {
			check.broke("%s falls among the %s arrivals that could not start", g.Subject(), countText(r.dropped))
			return
		}
		if e.excludes(op, limit.lenient(op), split) {
			check.broke("%s was %s, which is not %s", g.Subject(), unitText(e.value, e.row.Unit), check.Objective)
			return
		}
	}
	e.passOrDoubt(g, ops, limit, check)
}

// certain reports whether a value among the dropped needs no more samples.
func (e *estimate) certain(g Gate) bool {
	return e.stat.Kind == "max" || e.n >= e.wanted(g, math.NaN())
}

// wanted is the number of samples that a pass needs.
func (e *estimate) wanted(g Gate, limit float64) uint64 {
	if g.MinSamples > 0 {
		return g.MinSamples
	}
	return e.needed(g.Op, limit, g.confidence())
}

func (e *estimate) passOrDoubt(g Gate, ops []Op, limit bound, check *Check) {
	for _, op := range ops {
		if !meets(e.value, op, limit.value) {
			check.doubt(Evidence, "%s was %s, not %s, but so few samples (%s) do not exclude it", g.Subject(), unitText(e.value, e.row.Unit), check.Objective, countText(e.n))
			return
		}
		if e.mayBreak(op, limit.value) {
			check.doubt(Evidence, "%s attempts never ended or have no value; with them %s may not be %s", countText(e.hidden()), g.Subject(), check.Objective)
			return
		}
	}
	wanted := e.wanted(g, limit.value)
	if e.row.kind == quantileKind && e.isMean() && e.reading.dropped > 0 {
		check.doubt(Evidence, "%s arrivals could not start and have no latency: the mean leaves them out", countText(e.reading.dropped))
		return
	}
	if e.n < max(wanted, 1) {
		check.doubt(Evidence, "%s samples can not confirm it; %s can", countText(e.n), countText(wanted))
		return
	}
	for _, op := range ops {
		if g.Strict && !e.assures(op, limit.value, g.confidence()) {
			check.doubt(Evidence, "%s meets the objective, but its interval does not", g.Subject())
			return
		}
	}
	check.Outcome = Pass
}
