package gates

import (
	"cmp"
	"fmt"

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
	case !known || !absolute:
		return 0, false
	case row.kind == shareKind:
		if count, _ := countsAndShares(g.Value); count {
			row.kind = countKind
		}
	case g.Stat.Kind != "max":
		return 0, false
	}
	return neededFor(row, g.Stat, g.Op, limit, g.confidence()), true
}

// CanShow says for a dry run what n samples can show of a gate that is one of
// so many critical ones: "1,240 samples cannot confirm 99.9 %; 2,995 can". It
// is empty when [Need] knows nothing.
func CanShow(g Gate, n uint64, gates int) string {
	need, ok := Need(g)
	if !ok {
		return ""
	}
	row, _ := lookUp(g.SLI)
	limit, absolute := constant(g.Value)
	count, _ := countsAndShares(g.Value)
	share := row.kind == shareKind && absolute && !count
	what := promised(g, limit, share)
	if n < need {
		return cannotConfirm(samplesText(n), what, countText(need))
	}
	text := fmt.Sprintf("%s can confirm %s", samplesText(n), what)
	if !share && g.Stat.Kind != "quantile" {
		return fmt.Sprintf("%s without a failure show that at most %s fail", samplesText(n), percentText(evidence.ShareHigh(0, n, g.confidence())))
	}
	e := estimate{row: row, stat: g.Stat}
	ops, split := e.sides(g.Op, limit, evidence.Split(g.confidence(), gates))
	if at, fails := evidence.FailsAt(n, allowedShare(row.kind, g.Stat, ops[0], limit), split); fails {
		return fmt.Sprintf("%s; %s against it would fail it", text, countText(at))
	}
	return text
}

// promised names what a gate promises: 99.9 %, p95, or its objective.
func promised(g Gate, limit float64, share bool) string {
	if share {
		return percentText(limit)
	}
	return cmp.Or(g.Stat.String(), string(g.Op)+" "+g.Value.String())
}

// cannotConfirm says that there is too little of something.
func cannotConfirm(have, what, want string) string {
	return fmt.Sprintf("%s cannot confirm %s; %s can", have, what, want)
}
