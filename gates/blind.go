package gates

import (
	"fmt"
	"time"
)

// blind says when a query was not answered for longer than it may be in its
// period, "" where that was never so. It is about the time that counts: that in
// which tests ran, and none of them was warming up. Of a period that is shorter
// than that, no more than half may be unknown, or two steps.
func (o *observer) blind(a *accumulator, row SLI) string {
	if row.stale == 0 {
		return ""
	}
	r := o.reading(a, "")
	counts := o.periods[a.spans].intersect(o.timeline.runs(a.arm))
	allowed := row.stale
	if row.every > 0 {
		allowed = min(allowed, max(counts.length()/2, 2*row.every))
	}
	var longest span
	for _, gap := range counts.without(union(r.looks...)) {
		if gap.to-gap.from > longest.to-longest.from {
			longest = gap
		}
	}
	length := time.Duration(longest.to - longest.from)
	if int64(length) <= allowed {
		return ""
	}
	return fmt.Sprintf("%s has no value for %s from %s on, and may go without one for %s", row.Name,
		length.Round(100*time.Millisecond), time.Unix(0, longest.from).UTC().Format("15:04:05"), time.Duration(allowed).Round(100*time.Millisecond))
}

// onlyWorse reports whether a failure stands whatever else would have been
// answered: a maximum and a total can only grow.
func (e *estimate) onlyWorse(check *Check, limit float64) bool {
	grows := e.row.kind == countKind || e.row.kind == gaugeKind && e.stat.Kind == "max"
	return check.Outcome == Fail && grows && check.Gate.Op[0] != '>' && e.value > limit
}
