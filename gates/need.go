package gates

import (
	"fmt"
	"math"

	"resilience/gates/evidence"
)

// Need tells how many samples could show what a gate asks for; ok is false
// when that depends on what a run will measure, or when samples are not what
// it takes.
func Need(g Gate) (samples uint64, ok bool) {
	if g.MinSamples > 0 {
		return g.MinSamples, true
	}
	row, known := lookUp(g.SLI)
	limit, absolute := constant(g.Value)
	switch {
	case g.Stat.Kind == "quantile":
		return neededFor(quantileKind, g.Stat, g.Op, limit, g.confidence()), true
	case !known || !absolute || row.kind != shareKind:
		return 0, false
	}
	if count, _ := countsAndShares(g.Value); count {
		return 1, true
	}
	return neededFor(shareKind, g.Stat, g.Op, limit, g.confidence()), true
}

// CanShow says for a dry run what n samples can show of a gate: "1,240
// samples cannot confirm 99.9 %; 2,995 can". It is empty when [Need] knows
// nothing.
func CanShow(g Gate, n uint64) string {
	need, ok := Need(g)
	if !ok {
		return ""
	}
	what := g.Stat.String()
	limit, absolute := constant(g.Value)
	row, _ := lookUp(g.SLI)
	count, _ := countsAndShares(g.Value)
	if row.kind == shareKind && absolute && !count {
		what = percentText(limit)
	}
	if row.kind == shareKind && (count || need == 1) && n > 0 {
		return fmt.Sprintf("%s samples without a failure show that at most %s fail", countText(n), percentText(evidence.ShareHigh(0, n, g.confidence())))
	}
	if n < need {
		return fmt.Sprintf("%s samples cannot confirm %s; %s can", countText(n), what, countText(need))
	}
	allowed := 1 - g.Stat.Quantile
	if row.kind == shareKind {
		allowed = math.Min(limit, 1-limit)
	}
	if at, fails := evidence.FailsAt(n, allowed, g.confidence()); fails {
		return fmt.Sprintf("%s samples can confirm %s; %s against it would fail it", countText(n), what, countText(at))
	}
	return fmt.Sprintf("%s samples can confirm %s", countText(n), what)
}
