package gates

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"resilience/gates/evidence"
	"resilience/internal/measure"
)

// decide judges a gate by the value and the interval of its SLI.
func (j *judge) decide(c *job, each string, split float64, check *Check) {
	r := j.now.reading(c.acc, each)
	e := newEstimate(c.row, c.gate.Stat, r)
	e.sure = j.sure(c.gate)
	check.Samples, check.Failed = e.n, r.failed
	check.Warnings = append(check.Warnings, r.warnings...)
	if math.IsNaN(e.value) {
		check.doubt(Evidence, "%s", j.nothing(c, &e))
		return
	}
	check.Value, check.Observed = finite(e.value), unitText(e.value, c.row.Unit)
	limit := j.bound(c.gate.Value, c, each, fromHalf(split))
	if limit.missing != "" && limit.first {
		e.firstRun(c.gate, check)
		return
	}
	if limit.missing != "" {
		check.doubt(Evidence, "%s", limit.missing)
		check.lacks = limit.lacks
		return
	}
	check.Limit = finite(limit.value)
	check.Objective = string(c.gate.Op) + " " + unitText(limit.value, c.row.Unit)
	ops, split := e.sides(c.gate.Op, limit.value, split)
	side := ops[0]
	if e.value > limit.value {
		side = ops[len(ops)-1]
	}
	check.Evidence = e.describe(side, limit.lenient(side), c.gate.confidence(), split)
	if limit.note != "" {
		check.Evidence += "; " + limit.note
	}
	e.caution(c.gate, ops, limit.value, check)
	e.judge(c.gate, ops, limit, split, check)
	limit.settle(check)
	if c.arms && limit.unless == "" && j.now.hasArm(measure.Baseline) {
		j.compareArms(c, each, &e, split, check)
	}
	if doubt := e.reading.doubt; doubt != "" && check.Outcome == Pass {
		check.doubt(Evidence, "%s, so that the record can not be right", doubt)
	}
	if gap := j.now.blind(c.acc, c.row); gap != "" && check.Outcome != Inconclusive && !e.onlyWorse(check, limit.value) {
		check.doubt(Evidence, "%s", gap)
	}
}

// sure is the confidence with which a pass is shown, where it has to be: a phase
// that may be judged twice has half of the allowed error each time.
func (j *judge) sure(g Gate) float64 { return evidence.Split(g.confidence(), j.now.timeline.looks) }

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
		if slices.Contains(j.now.tests(), g.From) {
			return fmt.Sprintf("test %s measured nothing", g.From)
		}
		return fmt.Sprintf("no test named %s was seen%s", g.From, didYouMean(g.From, j.now.tests()))
	case g.Of != "" && !e.reading.matched:
		names := j.now.namesSeen(e.row.from)
		if slices.ContainsFunc(names, func(name string) bool { return isRoute(name, g.Of) }) {
			return fmt.Sprintf("nothing was measured of %s that tells its %s", g.Of, g.SLI)
		}
		return fmt.Sprintf("nothing named %s was seen%s", g.Of, didYouMean(g.Of, names))
	case e.row.nothing != "" && !e.reading.matched:
		return e.row.nothing
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

// ofAttempts reports whether it is a latency: refused attempts have one too.
func (e *estimate) ofAttempts() bool {
	return e.row.from == fromAttempts && e.row.kind == quantileKind
}

// caution adds what a reader should know whatever the outcome.
func (e *estimate) caution(g Gate, ops []Op, limit float64, check *Check) {
	r := e.reading
	if e.ofAttempts() && r.failed*sick > r.count && r.failed < r.count {
		check.warn("%s of the %s attempts failed; a fast refusal looks like a fast answer", countText(r.failed), countText(r.count))
	}
	if e.isMean() && (r.unfinished > 0 || r.dropped > 0) {
		check.warn("%s unfinished attempts count with the time they had waited; %s never started and have no value", countText(r.unfinished), countText(r.dropped))
	}
	none, clean := e.cleanSlate(ops, limit)
	if clean {
		high := evidence.ShareHigh(0, e.n, g.confidence())
		check.warn("0 of %s %s: at %s confidence at most %s of all", countText(e.n), none, confidenceText(g.confidence()), percentText(high))
	}
}

// cleanSlate reports whether a promise about every sample was kept by all that
// were seen, and what none of them did.
func (e *estimate) cleanSlate(ops []Op, limit float64) (none string, clean bool) {
	switch {
	case e.row.kind == shareKind:
		k, _, allowed := e.breaks(ops[0], limit)
		return cmp.Or(e.row.noun, "were against it"), len(ops) == 1 && allowed == 0 && k == 0
	case e.row.counted():
		return e.row.noun, limit == 0 && e.value == 0
	}
	return "were over it", e.row.kind == quantileKind && e.stat.Kind == "max" && atMost(ops[0]) && e.value <= limit
}

// judge applies rule 3: with enough samples a gate passes when its estimate
// meets the objective; it fails when its interval excludes it; between the two
// it is inconclusive.
func (e *estimate) judge(g Gate, ops []Op, limit bound, split float64, check *Check) {
	if e.allRefused() && atMost(ops[len(ops)-1]) {
		e.refused(split, check)
		return
	}
	for _, op := range ops {
		if !e.excludes(op, limit.lenient(op), split) {
			continue
		}
		if math.IsInf(e.value, 1) {
			check.broke("%s falls among the %s arrivals that could not start", g.Subject(), countText(e.reading.dropped))
		} else {
			check.broke("%s was %s, which is not %s", g.Subject(), unitText(e.value, e.row.Unit), check.Objective)
		}
		return
	}
	if e.meetsAll(g, ops, limit, check) {
		e.passOrDoubt(g, ops, limit.value, check)
	}
}

// allRefused reports whether it is a latency of which no attempt was accepted.
func (e *estimate) allRefused() bool {
	return e.ofAttempts() && e.reading.count > 0 && e.reading.failed == e.reading.count
}

// refused judges a latency of which no attempt was accepted: each counts as
// slower than any objective.
func (e *estimate) refused(split float64, check *Check) {
	r, allowed := e.reading, 0.5
	if e.stat.Kind == "quantile" {
		allowed = 1 - e.stat.Quantile
	}
	text := fmt.Sprintf("none of the %s attempts was accepted, so that their latency says nothing good", countText(r.count))
	if !evidence.Excludes(r.failed, r.count, allowed, split) {
		check.doubt(Evidence, "%s, but so few do not exclude the objective", text)
		return
	}
	check.broke("%s", text)
}

// meetsAll reports whether the estimate meets the objective even if all that is
// not known of the samples speaks against it.
func (e *estimate) meetsAll(g Gate, ops []Op, limit bound, check *Check) bool {
	r := e.reading
	worst := newEstimate(e.row, e.stat, r.worst())
	for _, op := range ops {
		switch {
		case !meets(e.value, op, limit.value):
			check.doubt(Evidence, "%s was %s, not %s, but so few samples (%s) do not exclude it", g.Subject(), unitText(e.value, e.row.Unit), check.Objective, countText(e.n))
			check.lacks = math.Inf(1)
			return false
		case e.mayBreak(op, limit.value):
			check.doubt(Evidence, "%s attempts never ended or have no value; with them %s may not be %s", countText(e.hidden()), g.Subject(), check.Objective)
			return false
		case r.undecided > 0 && !meets(newEstimate(e.row, e.stat, r.mismatching()).value, op, limit.value):
			check.doubt(Evidence, "with the %s exchanges of which nobody knows whether their answers match, %s is not %s", countText(r.undecided), g.Subject(), check.Objective)
			check.lacks = math.Inf(1)
			return false
		case !meets(worst.value, op, limit.value) || worst.mayBreak(op, limit.value):
			check.doubt(Evidence, "with the %s arrivals that could not start, and may belong here, %s may not be %s", countText(r.unplaced), g.Subject(), check.Objective)
			return false
		}
	}
	if lost := r.dropped + r.unplaced; e.row.kind == quantileKind && e.isMean() && lost > 0 {
		check.doubt(Evidence, "%s arrivals could not start and have no latency: the mean leaves them out", countText(lost))
		return false
	}
	return true
}

func (e *estimate) passOrDoubt(g Gate, ops []Op, limit float64, check *Check) {
	if have, want := e.tooFew(e.wanted(g, limit)); have != "" {
		check.doubt(Evidence, "%s", cannotConfirm(have, promised(g, limit, e.row.kind == shareKind), want))
		check.lacks = e.lacks(e.wanted(g, limit))
		return
	}
	for _, op := range ops {
		if g.Strict && !e.assures(op, limit, e.sure) {
			check.doubt(Evidence, "%s meets the objective, but its interval does not", g.Subject())
			check.lacks = math.Inf(1)
			return
		}
	}
	check.Outcome = Pass
}
