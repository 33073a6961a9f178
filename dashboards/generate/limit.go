package main

import "fmt"

// backThen is how long before the time range of a board the limit of a gate may
// have been written, so that its line is there when a reader looks closer: more than
// there is between the points of a run of three days.
const backThen = "20m"

// withLimits draws the limits of gates about an SLI as dashed lines, each over
// the time that its gate looked at. Gates about one transaction are those of the
// variable.
func (p panel) withLimits(sli string) panel { return p.withLimitsOf(sli, "transaction") }

// withLimitsOf does that for gates about what a variable chooses.
func (p panel) withLimitsOf(sli, variable string) panel {
	p.queries = append(p.queries, line("$tag_gate", limitLines(sli, variable)))
	p.overrides = append(p.overrides, override(byQuery(refID(len(p.queries)-1)),
		"color", fixed("text"), "custom.lineWidth", 1, "custom.lineStyle", object{"fill": "dash", "dash": []int{8, 6}}, "custom.fillOpacity", 0,
		"custom.showPoints", "never", "custom.spanNulls", false, "custom.lineInterpolation", "stepAfter", "custom.stacking", object{"mode": "none"}))
	return p
}

// limitLines are the limits of gates about an SLI and what a variable chooses.
// What is written is where a limit begins to apply and where it no longer does:
// the value between is filled in, and left out again where it does not apply.
func limitLines(sli, variable string) string {
	inTime := fmt.Sprintf("time >= ${__from}ms - %s AND time <= ${__to}ms", backThen) // within and without: the narrower one counts
	of := ofRun(limits).and(matches("phase"), fmt.Sprintf(`"sli" =~ /^%s( [a-z0-9.]+)?( of "?${%s:regex}"?)?$/`, sli, variable), inTime)
	by := grouped([]string{"time($__interval)", `"gate"`, `"period"`})
	filled := of.rows(`last("limit") AS "limit"`, `last("applies") AS "applies"`) + by + " fill(previous)"
	return fmt.Sprintf(`SELECT mean("limit") FROM (%s) WHERE "applies" = 1 AND %s%s fill(null)`, filled, inTime, by)
}
