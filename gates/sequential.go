package gates

import (
	"fmt"
	"math"

	"resilience/gates/evidence"
	"resilience/internal/measure"
)

// sequential is a test of one gate that may be looked at after each second.
type sequential interface {
	add(candidate, baseline reading) // of the next second
	Certain(alpha float64) bool      // that the gate does not hold
	wants() wants
	compares() bool // with the baseline
	fmt.Stringer    // what was found, in numbers
}

// sequentialOf makes the test of a gate, or says why there is none.
func sequentialOf(g Gate, baseline bool) (sequential, string) {
	row, known := lookUp(g.SLI)
	if reason := watchable(g, row, known); reason != "" {
		return nil, reason
	}
	return sequentialFor(g, row, g.Value, baseline)
}

func sequentialFor(g Gate, row SLI, v Value, baseline bool) (sequential, string) {
	switch {
	case v.Kind == "number":
		return newObjectiveTest(g, row, v.Number)
	case v.Kind == "baseline" && !baseline:
		return nil, "the phase sends to no baseline: a record is compared with at the end"
	case v.Kind == "baseline":
		return newArmsTest(g, row, v)
	case v.Kind != "max" && v.Kind != "min":
		return nil, "what it is compared with is measured too"
	}
	a, reason := sequentialFor(g, row, v.Args[0], baseline)
	if reason != "" {
		return nil, reason
	}
	b, reason := sequentialFor(g, row, v.Args[1], baseline)
	if reason != "" {
		return nil, reason
	}
	// Of the more lenient of two objectives both must be missed, of the stricter
	// one of them.
	return &pairTest{a: a, b: b, both: (v.Kind == "max") == atMost(g.Op)}, ""
}

// objectiveTest tests a share, or the share that is beyond the limit of a
// quantile, against the one that is allowed.
type objectiveTest struct {
	gate  Gate
	row   SLI
	limit float64
	watch *evidence.ObjectiveWatch
}

func newObjectiveTest(g Gate, row SLI, limit float64) (sequential, string) {
	watch, err := evidence.NewObjectiveWatch(allowedShare(row.kind, g.Stat, g.Op, limit))
	if err != nil {
		return nil, "it allows none or all: abort_if can end the phase at the first"
	}
	return &objectiveTest{gate: g, row: row, limit: limit, watch: watch}, ""
}

func (t *objectiveTest) add(candidate, _ reading) {
	t.watch.Add(against(t.row, t.gate, t.limit, candidate))
}

// against counts the attempts and those on the wrong side of a limit.
func against(row SLI, g Gate, limit float64, r reading) evidence.Counts {
	e := newEstimate(row, g.Stat, r)
	k, n, _ := e.breaks(g.Op, limit)
	return evidence.Counts{N: n, Failed: k}
}

func (t *objectiveTest) Certain(alpha float64) bool { return t.watch.Finding().Certain(alpha) }
func (t *objectiveTest) compares() bool             { return false }
func (t *objectiveTest) wants() wants               { return wantsOf(t.row, t.gate.Stat) }

func (t *objectiveTest) String() string {
	f := t.watch.Finding()
	return fmt.Sprintf("%s; e-value %.3g", t.counted(f.Seen.Candidate), f.Value())
}

func (t *objectiveTest) counted(c evidence.Counts) string {
	return fmt.Sprintf("%s of %s %s", countText(c.Failed), countText(c.N), wrongSide(t.row, t.gate, t.limit))
}

// wrongSide says what those did that are on the wrong side of a limit.
func wrongSide(row SLI, g Gate, limit float64) string {
	switch {
	case row.kind != shareKind && atMost(g.Op):
		return "over " + unitText(limit, row.Unit)
	case row.kind != shareKind:
		return "under " + unitText(limit, row.Unit)
	case row.noun == "" || row.Better[0] != g.Op[0]:
		return "were against it"
	}
	return row.noun
}

// newArmsTest compares the candidate with the baseline, where the gate allows a
// multiple of what the baseline shows.
func newArmsTest(g Gate, row SLI, v Value) (sequential, string) {
	factor := math.NaN()
	switch {
	case v.Change == "":
		factor = 1
	case v.Change == "*" && v.Number >= 1:
		factor = v.Number
	case v.Change == "+" && v.Unit == "%":
		factor = 1 + v.Number
	}
	switch {
	case row.kind == quantileKind && !atMost(g.Op):
		return nil, "that something is slow enough is not watched"
	case row.kind == shareKind && factor != 1 && !atMost(g.Op), math.IsNaN(factor):
		return nil, "differences to the baseline are not watched, multiples are: errors <= baseline * 2, latency p95 <= baseline + 10%"
	case row.kind == shareKind:
		return &sharesTest{gate: g, row: row, watch: evidence.NewShareWatch(factor)}, ""
	}
	return &latencyTest{watch: evidence.NewLatencyWatch(func() *measure.Sketch { return measure.NewSketch() }, factor)}, ""
}

// sharesTest compares how often attempts of both arms were against a gate.
type sharesTest struct {
	gate  Gate
	row   SLI
	watch *evidence.ShareWatch
}

func (t *sharesTest) add(candidate, baseline reading) {
	// Which of them are against it does not depend on the limit of a share.
	t.watch.Add(evidence.Block{Candidate: against(t.row, t.gate, 0, candidate), Baseline: against(t.row, t.gate, 0, baseline)})
}

func (t *sharesTest) Certain(alpha float64) bool { return t.watch.Finding().Certain(alpha) }
func (t *sharesTest) compares() bool             { return true }
func (t *sharesTest) wants() wants               { return wantsOf(t.row, t.gate.Stat) }

func (t *sharesTest) String() string {
	f := t.watch.Finding()
	return fmt.Sprintf("%s%s; e-value %.3g", arms(f.Seen, wrongSide(t.row, t.gate, 0)), times(f.Ratio), f.Value())
}

// arms tells what both arms counted.
func arms(b evidence.Block, did string) string {
	return fmt.Sprintf("of the candidate %s of %s %s, of the baseline %s of %s",
		countText(b.Candidate.Failed), countText(b.Candidate.N), did, countText(b.Baseline.Failed), countText(b.Baseline.N))
}

func times(ratio float64) string {
	if math.IsNaN(ratio) || math.IsInf(ratio, 0) {
		return ""
	}
	return fmt.Sprintf(", %.3g times as many", ratio)
}

// latencyTest compares the latencies of both arms at several quantiles.
type latencyTest struct {
	watch *evidence.LatencyWatch[*measure.Sketch]
}

func (t *latencyTest) add(candidate, baseline reading) {
	t.watch.Add(candidate.sketch, baseline.sketch)
}

func (t *latencyTest) Certain(alpha float64) bool { return t.watch.Finding().Certain(alpha) }
func (t *latencyTest) compares() bool             { return true }
func (t *latencyTest) wants() wants               { return wants{sketch: true, limit: math.NaN()} }

func (t *latencyTest) String() string {
	f := t.watch.Finding()
	e := f.Strongest()
	did := fmt.Sprintf("over %s, the %s of before", unitText(e.Limit, UnitTime), Stat{Kind: "quantile", Quantile: e.Quantile})
	return fmt.Sprintf("%s; e-value %.3g", arms(e.Seen, did), f.Value())
}

// pairTest is of the lesser or the greater of two objectives.
type pairTest struct {
	a, b sequential
	both bool // must be missed; else one of them
}

func (t *pairTest) add(candidate, baseline reading) {
	t.a.add(candidate, baseline)
	t.b.add(candidate, baseline)
}

func (t *pairTest) Certain(alpha float64) bool {
	if t.both { // each of them errs as rarely as that, so both together do
		return t.a.Certain(alpha) && t.b.Certain(alpha)
	}
	return t.a.Certain(alpha/2) || t.b.Certain(alpha/2)
}

func (t *pairTest) compares() bool { return t.a.compares() || t.b.compares() }

func (t *pairTest) wants() wants {
	a, b := t.a.wants(), t.b.wants()
	return wants{sketch: a.sketch || b.sketch, seconds: a.seconds || b.seconds, limit: math.NaN()}
}

func (t *pairTest) String() string { return t.a.String() + "; " + t.b.String() }
