package main

import "fmt"

// compareVariables choose a second run, and find out when the tests of both began:
// graphs that compare count from there.
func compareVariables() []object {
	return []object{
		variableOfText("compare", "Compare with", "The id of another run; a link in the table of runs to compare with sets it. Empty: none."),
		hidden(variable("begun", "", "When the first test of the run began.", begun("run"))),
		hidden(variable("begun_compare", "", "When the first test of the other run began.", begun("compare"))),
	}
}

// begun asks when the first test of a run began, in nanoseconds.
func begun(run string) string {
	return ofRunIn(run, events).and(matches("phase"), is("kind", "test")).rows(`first("at")`)
}

// comparison is about this run, or the other.
type comparison struct{ run, begun, name string }

var compared = []comparison{{"run", "begun", "this run"}, {"compare", "begun_compare", "other run"}}

// attempts are those of the run that the variables at the top choose.
func (c comparison) attempts() selection {
	return ofRunIn(c.run, windows).and(matches("metric"), matches("phase"), matches("arm"), matches("transaction"), matches("tenant"))
}

// second is how long after the first test began a point is. The 0 before a
// variable makes a number of one that is empty.
func (c comparison) second(field string) string {
	return as(fmt.Sprintf(`(max("%s") - 0${%s}) / 1000000000`, field, c.begun), "second")
}

// quantile is its course, weighted as [selection.weighted] does.
func (c comparison) quantile(q string) string {
	each := c.attempts().rows(`"start" AS "start"`, fmt.Sprintf(`"%s" * "count" AS "w"`, q), `"count" AS "n"`)
	return fmt.Sprintf(`SELECT %s, %s FROM (%s) GROUP BY time($__interval) fill(none)`, c.second("start"), as(`sum("w") / sum("n")`, c.name), each)
}

// good is the course of the share of attempts that did not fail.
func (c comparison) good() string {
	return c.attempts().rows(c.second("start"), as(good, c.name)) + " GROUP BY time($__interval) fill(none)"
}

// overlay lays the course of both runs over each other, second by second of
// their tests. The time range of the board does not bind it: the other run was
// at another time.
func overlay(title, about, unit string, course func(comparison) string) panel {
	p := graph(title, about+" The axis counts seconds from the beginning of the first test of each run.", unit, 12)
	p.kind = "trend"
	for _, c := range compared {
		p.queries = append(p.queries, rows(course(c)))
	}
	p.options["xField"] = "second"
	p.custom["spanNulls"] = true
	delete(p.custom, "showPoints")
	p = p.joined("second").organized([]string{"second", "this run", "other run"}, object{}, "Time", "Time 1", "Time 2")
	return p.coloured("this run", blue, "other run", amber).column("second", "unit", "s", "decimals", 0)
}

func comparePanels() []panel {
	latency := overlay("Latency p95 of both runs", "Means of the p95 of each second and series, weighted by their attempts.", "ms",
		func(c comparison) string { return c.quantile("p95") })
	availability := overlay("Availability of both runs", "The share of attempts that the front door accepted.", "percentunit", comparison.good)
	availability.field, availability.custom["axisSoftMin"] = object{"max": 1, "decimals": 1}, 0.95
	return []panel{latency, availability}
}

// compareLink keeps what was chosen and sets the other run.
const compareLink = "/d/resilience-run?${__url_time_range}&${datasource:queryparam}&${plan:queryparam}&${run:queryparam}&${phase:queryparam}" +
	"&${metric:queryparam}&${arm:queryparam}&${transaction:queryparam}&${tenant:queryparam}&var-compare=${__data.fields.Run}"

func compareTables() []panel {
	runs := verdictsOf("Runs to compare with", "Runs of the plan. The link lays one over this run.", selection{verdicts, []string{matches("plan"), matches("phase")}}, compareLink, "Compare with this run")
	runs = runs.organized([]string{}, object{}, "Plan", "Cause", "Reason", "Started", "Score", "Version")
	runs.width = 10
	both := table("Gates of both runs", "Every check of this run and of the other, one below the other.", 14,
		rows(selection{checks, []string{`"run" =~ /^(${run:regex}|${compare:regex})$/`}}.and(matches("phase")).
			rows(as(`"gate"`, "Gate"), as(`"period"`, "Period"), as(`"run"`, "Run"), as(`"outcome"`, "Result"), as(`"observed"`, "Observed"))))
	both = both.organized([]string{"Gate", "Period", "Run", "Result", "Observed"}, object{}, "Time")
	both.options["sortBy"] = []object{{"displayName": "Gate", "desc": false}}
	both = both.wide("Period", 190, "Run", 190).column("Result", "custom.width", 110, "mappings", outcomes, "custom.cellOptions", colouredText).
		column("Observed", asText...).column("Observed", "custom.width", 110, "custom.align", "right")
	return []panel{runs, both}
}
