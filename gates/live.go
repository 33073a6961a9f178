package gates

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"resilience/internal/measure"
)

// ParseCondition reads a condition that is watched while a phase runs, such as
// "errors > 20%" or "latency p95 of checkout > 2s": the sentence of a gate
// without a period, a baseline and "for each", over something that a few
// seconds can answer. The error is a [*SyntaxError] with the place of the
// mistake.
func ParseCondition(text string) (Gate, error) {
	g, err := Parse(text)
	if err != nil {
		return Gate{}, err
	}
	p := parser{lexer: lexer{text: text}}
	at := func(word string) int { return max(0, strings.LastIndex(text, word)) }
	row, known := lookUp(g.SLI)
	_, absolute := constant(g.Value)
	switch {
	case g.Period.Kind != Steady:
		return Gate{}, p.fail(at(g.Period.String()), "a condition has no period: it is watched all the time")
	case strings.HasSuffix(g.Text, "steady"):
		return Gate{}, p.fail(at("in "), "a condition has no period: it is watched all the time")
	case g.Each != "":
		return Gate{}, p.fail(at("for "), "a condition can not be watched for each %s; write one for each", g.Each)
	case !known || !slices.Contains([]kind{shareKind, quantileKind, countKind}, row.kind):
		return Gate{}, p.fail(0, "%s can not be watched while the phase runs; write for example errors > 20%% or latency p95 > 2s", g.SLI)
	case row.late():
		return Gate{}, p.fail(0, "%s can not be watched: what is noise, and so what mismatches, is known only when the test is over", g.SLI)
	case !absolute:
		return Gate{}, p.fail(at(string(g.Op))+len(g.Op), "a condition wants a number: what it is compared with must be known in advance")
	}
	return g, nil
}

// Look is what a gate shows over some seconds.
type Look struct {
	Samples  uint64 // 0: nothing is known
	Observed string // such as 35 %
	Evidence string // the counts behind it
	Meets    bool   // what was observed is what the gate says
	Excluded bool   // the interval leaves no room for what the gate says
}

// Live looks at a gate with an absolute objective over the seconds between two
// moments, in Unix nanoseconds, of a phase that goes on. It reads the record's
// events and windows as [Judge] does, and finds nothing where the gate is over
// something that a few seconds can not answer.
func Live(g Gate, r Record, from, to int64) Look {
	limit, absolute := constant(g.Value)
	o := newObserver(readEvents(r.Phase, r.Events))
	row, missing := rowOf(g.SLI, g, o.timeline)
	if !absolute || missing != "" || row.kind == recoveryKind {
		return Look{}
	}
	inst := instance{period: Period{Kind: "live"}, spans: union(span{from, to})}
	acc := o.ask(g.SLI, g, inst, measure.Candidate, wantsOf(row, g.Stat))
	o.read(r)
	e := newEstimate(row, g.Stat, o.reading(acc, ""))
	if math.IsNaN(e.value) {
		return Look{}
	}
	look := Look{Samples: e.n, Observed: unitText(e.value, row.Unit), Meets: meets(e.value, g.Op, limit)}
	look.Evidence = samplesText(e.n)
	if row.kind == shareKind {
		look.Evidence = fmt.Sprintf("%s of %s %s", countText(row.bad(e.reading.counts)), countText(e.n), cmp.Or(row.noun, "did not"))
	}
	ops, split := e.sides(g.Op, limit, g.confidence())
	look.Excluded = slices.ContainsFunc(ops, func(op Op) bool { return e.excludes(op, limit, split) })
	return look
}

// Watchable are those of a phase's gates that tell whether the system is well
// at any moment: the critical ones over the steady period, with an absolute
// objective, that a few seconds can answer.
func Watchable(gates []Gate) (list []Gate) {
	for _, g := range parsed(gates) {
		_, absolute := constant(g.Value)
		row, known := lookUp(g.SLI)
		if absolute && known && steadyKind(g) && g.decides() && g.Each == "" && poolable(g, row) && !row.late() {
			list = append(list, g)
		}
	}
	return list
}

func steadyKind(g Gate) bool { return g.Period.Kind == Steady || g.Period.Kind == "" }
