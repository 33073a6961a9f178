package main

// plain are the metrics that no other panel shows.
const plain = `"metric" !~ /^(transaction|step|request|outcome|retried|assertion|iteration|dependency|comparison|status-change|undecided|carried-value|send-lag|iterations|iteration_duration|http_.*)$/`

// others are metrics of k6 and of scripts, and the answers to the queries of a plan.
func others() selection {
	return ofRun(windows).and(plain, `"metric" =~ /^${other:regex}$/`, matches("phase"), matches("arm"))
}

func otherVariable() object {
	return variableOfAll("other", "Other metrics", "Metrics of k6 and of the script, and queries of the plan: for the row of telemetry.", ofRun(windows).and(plain).values("metric"))
}

// noOthers says why there is nothing, as where a run has shadow tests only.
const noOthers = "no query of the plan, and no metric of a script; shadow tests have a board of their own"

func telemetryPanels() []panel {
	byMetric := []string{"metric"}
	values := graph("Values", "Gauges and trends: queries of the plan, and metrics of k6 and the script. Means over the seconds of a point; times are in milliseconds.", "short", 8,
		line("$tag_metric", others().and(`"metric" !~ /^data_/`).course(byMetric, `mean("p50")`))).withBands()
	sums := graph("Sums in a second", "What counters counted. Gauges are in here, too, as what their values add up to.", "short", 8,
		line("$tag_metric", others().and(`"metric" !~ /^vus/`).perSecond(byMetric, `sum("sum")`))).withBands()
	// What a share counts has no value, and so no sum.
	counted := others().and(`"metric" !~ /^(vus|data_)/`).inTime().rows(as(`sum("count")`, "n"), as(`sum("failed")`, "bad"), as(`sum("sum")`, "sum")) + grouped([]string{"time($__interval)", `"metric"`}) + " fill(none)"
	shares := graph("Assertions and shares", "The share of assertions of the script that held, and of what the plan's queries about shares count as good.", "percentunit", 8,
		line("$tag_step", metric("assertion").course([]string{"step"}, good)),
		line("$tag_metric", `SELECT 1 - sum("bad") / sum("n") FROM (`+counted+`) WHERE "sum" = 0 AND $timeFilter`+grouped([]string{"time($__interval)", `"metric"`})+" fill(none)"),
	).share().withBands()
	values.field["noValue"], sums.field["noValue"] = noOthers, noOthers
	shares.field["noValue"] = "no assertion of a script, and no query of the plan about a share"
	return []panel{values, sums, shares}
}
