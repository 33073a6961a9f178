package main

// runBoard reviews one run: what was judged, what users saw, what broke when.
func runBoard() board {
	return board{
		uid: "resilience-run", title: "Run review", from: "now-1h",
		about:       "One run: its verdict and gates, what its traffic saw, and what was disrupted when. The time range must cover the run: choose it in the history, or by the link in the table of verdicts.",
		variables:   append(append(runVariables(), otherVariable()), compareVariables()...),
		annotations: []object{annotation("Trouble", red, ofRun(events).and(matches("phase"), oneOf("kind", troubles...), noRoutine).inTime().rows(`"text"`, `"kind"`))},
		rows: []row{
			{height: 4, panels: summary()},
			{height: 4, panels: []panel{verdictTable()}},
			{title: "Gates", height: 13, panels: []panel{gateTable()}},
			{title: "What users saw", height: 10, panels: []panel{trafficGraph(), latencyGraph(), availabilityGraph(), reliabilityGraph()}},
			{height: 5, panels: []panel{transactionTable()}},
			{title: "What broke when", height: 8, panels: []panel{disruptionTimeline(), dependencyGraph()}},
			{height: 9, panels: []panel{eventTable()}},
			{title: "Compared with another run", height: 9, panels: comparePanels()},
			{height: 10, panels: compareTables()},
			{title: "Telemetry: queries of the plan, other metrics, assertions", height: 9, panels: telemetryPanels(), closed: true},
			{title: "Error budgets: where the plan has objectives", height: 6, panels: []panel{runBudgets()}, closed: true},
			{title: "Fine print: weights, waivers, evidence and warnings of gates", height: 13, panels: []panel{finePrint()}, closed: true},
		},
	}
}

// troubles are the kinds of events that nobody planned.
var troubles = []string{"abort", "alert", "change", "exception", "generator", "interrupt", "service", "skipped"}

// noRoutine leaves out services that start and stop as they should.
const noRoutine = `("kind" != 'service' OR "text" =~ /(died|killed)/)`

// runVariables choose a run and a part of it.
func runVariables() []object {
	inRun := ofRun(windows)
	return []object{
		variableOfAll("plan", "Plan", "The plan whose runs can be chosen.", selection{measurement: windows}.values("plan")),
		variable("run", "Run", "The newest comes first: an id begins with the time.", selection{windows, []string{matches("plan")}}.values("run")),
		variableOfAll("phase", "Phase", "A phase of the run.", inRun.values("phase")),
		variable("metric", "Attempts are", "Transactions where the tests have them, else requests; steps are parts of transactions.",
			inRun.and(oneOf("metric", "transaction", "request", "step")).values("metric")),
		variable("arm", "Arm", "The candidate, or the baseline that it is compared with.", inRun.values("arm")),
		variableOfAll("transaction", "Transaction", "A business operation.", inRun.values("transaction")),
		variableOfAll("tenant", "Tenant", "A synthetic customer; All has traffic without one too.", inRun.values("tenant")),
	}
}

func summary() []panel {
	const whole = " The whole time range counts, warm-up and disruptions too: gates look at periods, and may say something else."
	outcome := metric("outcome").and(matches("transaction"), matches("tenant"))
	return []panel{
		verdictStat(),
		stat("Attempts", "How many attempts began.", "locale", 4, steps(blue), attempts().total(nil, `sum("count")`)),
		stat("Availability", "The share of attempts that the front door accepted."+whole, "percentunit", 4, shares, attempts().total(nil, good)),
		stat("Reliability", "The share of attempts that were looked at whose outcome was right. None: nothing verifies what was answered."+whole, "percentunit", 4, shares, outcome.total(nil, good)),
		stat("Mean latency", "How long attempts took on average, failed ones included. Quantiles are in the graph below and, exactly, in the gates.", "ms", 4, steps(blue),
			attempts().total(nil, `sum("sum") / (sum("count") - sum("dropped"))`)),
		stat("Hung or dropped", "Attempts that were under way when the test ended, or could not start.", "locale", 4, bad,
			attempts().total(nil, `sum("unfinished") + sum("dropped")`)),
	}
}

// verdictStat shows what each phase came to.
func verdictStat() panel {
	p := stat("Verdict", "What each chosen phase came to. A phase without a verdict was not judged: its run goes on, or was lost.", "string", 4, steps(blue),
		ofRun(verdicts).and(matches("phase")).rows(as(`"outcome"`, "Verdict"), `"phase"`))
	p.queries[0].table, p.queries[0].alias = true, ""
	p.field["mappings"], p.field["noValue"] = outcomes, "not judged"
	p.options["colorMode"] = "background"
	p.options["reduceOptions"] = object{"calcs": []string{"lastNotNull"}, "fields": "/^Verdict$/", "values": true}
	return p
}

// zoom leads to the time of a verdict's run; the fields are in milliseconds.
const zoom = "/d/resilience-run?var-datasource=${datasource}&var-run=${__data.fields.Run}&from=${__data.fields.Started.numeric}&to=${__data.fields.Judged.numeric}"

func verdictTable() panel {
	return verdictsOf("Verdicts of the run", "One row for each phase that was judged. The link sets the time range to that of the run.",
		ofRun(verdicts).and(matches("phase")), zoom, "Review this run")
}

// verdictsOf lists verdicts with a link from their runs.
func verdictsOf(title, about string, of selection, url, label string) panel {
	p := table(title, about, columns, rows(of.rows(
		as(`"run"`, "Run"), as(`"plan"`, "Plan"), as(`"phase"`, "Phase"), as(`"outcome"`, "Verdict"), as(`"cause"`, "Cause"), as(`"reason"`, "Reason"), as(`"started"`, "Started"),
		as(`"version"`, "Version"), as(`"score_least"`, "Score"))))
	p = p.organized([]string{"Verdict", "Run", "Plan", "Phase", "Version", "Score", "Started", "Time", "Cause", "Reason"}, object{"Time": "Judged"})
	p.options["sortBy"] = []object{{"displayName": "Judged", "desc": true}}
	return p.wide("Plan", 120, "Phase", 100, "Cause", 110).column("Version", asText...).column("Version", "custom.width", 100).column("Score", "custom.width", 70, "unit", "percentunit", "decimals", 0).column("Reason", "custom.inspect", true).
		column("Verdict", "custom.width", 110, "mappings", outcomes, "custom.cellOptions", colouredText).
		column("Run", "custom.width", 210, "links", link(label, url), "custom.cellOptions", object{"type": "auto"}).
		column("Started", "custom.width", 170, "custom.align", "left", "unit", "dateTimeAsIso").column("Judged", "custom.width", 170, "unit", "dateTimeAsIso")
}

func gateTable() panel {
	p := table("Gates", "Every check of the verdict: what was asked, in which period, and what was seen. Only these decide; graphs and thresholds on this board do not.", columns,
		rows(ofRun(checks).and(matches("phase")).rows(as(`"outcome"`, "Result"), as(`"gate"`, "Gate"), as(`"period"`, "Period"), as(`"observed"`, "Observed"),
			as(`"objective"`, "Objective"), as(`"samples"`, "Samples"), as(`"failed"`, "Failed"), as(`"phase"`, "Phase"), as(`"reason"`, "Reason"))))
	p = p.organized([]string{"Result", "Gate", "Period", "Observed", "Objective", "Samples", "Failed", "Phase", "Reason"}, object{}, "Time")
	return p.wide("Gate", 430, "Period", 190, "Phase", 80, "Samples", 85, "Failed", 75).
		column("Result", "custom.width", 110, "mappings", outcomes, "custom.cellOptions", colouredText).
		column("Observed", asText...).column("Observed", "custom.width", 105, "custom.align", "right").column("Objective", "custom.width", 105, "custom.align", "right")
}

// finePrint is what else there is to know of a gate.
func finePrint() panel {
	p := table("Fine print of gates", "What counts for how much in scores, who lets a gate be broken and until when, what only warns as yet, and by what evidence each was judged.", columns,
		rows(ofRun(checks).and(matches("phase")).rows(as(`"outcome"`, "Result"), as(`"gate"`, "Gate"), as(`"severity"`, "Severity"), as(`"group"`, "Group"), as(`"weight"`, "Weight"),
			as(`"waiver"`, "Waiver"), as(`"advisory"`, "Only warns"), as(`"evidence"`, "Evidence"), as(`"warnings"`, "Warnings"))))
	p = p.organized([]string{"Result", "Gate", "Severity", "Group", "Weight", "Waiver", "Only warns", "Evidence", "Warnings"}, object{}, "Time")
	p.custom["inspect"] = true
	return p.wide("Gate", 380, "Severity", 90, "Group", 90, "Weight", 80, "Waiver", 150, "Only warns", 150).
		column("Result", "custom.width", 110, "mappings", outcomes, "custom.cellOptions", colouredText)
}

func runBudgets() panel {
	return budgetTable("Error budgets", "What each objective of the plan promises, what is left of its budget where the events of its window are counted, and how fast the steady period of this run would burn it.",
		ofRun(budgets).and(matches("phase")))
}

func trafficGraph() panel {
	return graph("Traffic", "Attempts in a second by when they began, on average over the seconds that had any. Orange: a disruption was in effect.", perSecondUnit, 12,
		line("accepted", attempts().perSecond(nil, `sum("count") - sum("failed")`)),
		line("failed", attempts().perSecond(nil, `sum("failed")`)),
	).stacked().coloured("accepted", green, "failed", red).withBands()
}

func latencyGraph() panel {
	return graph("Latency quantiles", "How long attempts took, failed ones included. Means of the quantiles of each second and series, weighted by their attempts: near the quantile of all, and not the same; gates use the exact one. max is exact. Dashed: the limits of gates about latency, over the time that each looked at; they are known when the phase was judged.", "ms", 12,
		line("p50", attempts().weighted("p50", nil)), line("p95", attempts().weighted("p95", nil)), line("p99", attempts().weighted("p99", nil)),
		line("max", attempts().course(nil, `max("max")`)),
	).coloured("p50", sky, "p95", blue, "p99", violet, "max", grey).column("max", "custom.lineWidth", 1, "custom.lineStyle", object{"fill": "dot", "dash": []int{1, 4}}).withLimits("latency").withBands()
}

func availabilityGraph() panel {
	return graph("Availability by transaction", "The share of attempts that the front door accepted. Orange: a disruption was in effect. Dashed: the limits of gates about availability, over the time that each looked at.", "percentunit", 12,
		line("$tag_transaction", attempts().course([]string{"transaction"}, good))).share().withLimits("availability").withBands()
}

func reliabilityGraph() panel {
	outcome := metric("outcome").and(matches("transaction"), matches("tenant"))
	p := graph("Reliability by transaction", "The share of the attempts that were looked at whose outcome was right. Empty: nothing verifies what was answered. Dashed: the limits of gates about reliability.", "percentunit", 12,
		line("$tag_transaction", outcome.course([]string{"transaction"}, good))).share().withLimits("reliability").withBands()
	p.field["noValue"] = "nothing verifies what was answered"
	return p
}

func transactionTable() panel {
	by := []string{"transaction"}
	outcome := metric("outcome").and(matches("transaction"), matches("tenant"))
	p := table("Transactions", "What became of each transaction in the time range. Requests without a transaction are in a row without a name.", columns,
		rows(attempts().total(by, as(`sum("count")`, "Attempts"), as(`sum("failed")`, "Failed"), as(good, "Availability"), as(`sum("sum") / (sum("count") - sum("dropped"))`, "Mean"), as(`max("max")`, "Max"))),
		rows(outcome.total(by, as(`sum("count")`, "Looked at"), as(`sum("failed")`, "Wrong"), as(good, "Reliability"))))
	p = p.joined("transaction").organized([]string{"transaction", "Attempts", "Failed", "Availability", "Looked at", "Wrong", "Reliability", "Mean", "Max"},
		object{"transaction": "Transaction"}, "Time", "Time 1", "Time 2")
	share := []any{"unit", "percentunit", "decimals", 2, "thresholds", shares, "custom.cellOptions", colouredText}
	return p.column("Availability", share...).column("Reliability", share...).
		column("Failed", "thresholds", bad, "custom.cellOptions", colouredText).column("Wrong", "thresholds", bad, "custom.cellOptions", colouredText).
		column("Mean", "unit", "ms", "decimals", 1).column("Max", "unit", "ms", "decimals", 1)
}

func disruptionTimeline() panel {
	return panel{
		title: "Disruptions in effect", about: "When each disruption was in effect: from injection to lifting, as it was and not as it was planned.", kind: "state-timeline", width: 12,
		queries: []query{line("$tag_name", disrupted().rows(`"active"`)+grouped(quoted([]string{"name"})))},
		field: object{
			"color": fixed(amber), "noValue": "nothing was disrupted",
			"mappings": []object{{"type": "value", "options": object{
				"0": object{"text": " ", "color": "transparent", "index": 0}, "1": object{"text": "in effect", "color": amber, "index": 1},
			}}},
		},
		custom:  object{"lineWidth": 0, "fillOpacity": 85, "spanNulls": true},
		options: object{"mergeValues": true, "showValue": "auto", "alignValue": "center", "rowHeight": 0.7, "legend": object{"showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": []string{}}, "tooltip": object{"mode": "single", "sort": "none"}},
	}
}

func dependencyGraph() panel {
	calls := ofRun(windows).and(is("metric", "dependency"), matches("phase"))
	p := graph("Calls to dependencies", "Requests in a second that the proxies saw. Failed are those that the dependency, or a disruption, did not answer well.", perSecondUnit, 12,
		line("$tag_step", calls.perSecond([]string{"step"}, `sum("count")`)),
		line("$tag_step failed", calls.perSecond([]string{"step"}, `sum("failed")`)),
	).withBands()
	p.field["noValue"] = "no dependency was called"
	return p
}

func eventTable() panel {
	p := table("What happened", "What was done and what went wrong, in order, without services that start and stop as they should. Disruptions are told when they came into effect and when they were lifted.", columns,
		rows(ofRun(events).and(matches("phase"), `"kind" !~ /^(asked|metric|reach|objective)$/`, noRoutine).rows(as(`"kind"`, "Kind"), as(`"name"`, "Name"), as(`"text"`, "What"), as(`"test"`, "Test"), as(`"phase"`, "Phase"))))
	p = p.organized([]string{"Time", "Kind", "Name", "What", "Test", "Phase"}, object{})
	return p.wide("Name", 220, "Test", 140, "Phase", 110).column("Time", "custom.width", 200, "unit", "dateTimeAsIso").
		column("Kind", "custom.width", 120, "mappings", eventKinds, "custom.cellOptions", colouredText)
}
