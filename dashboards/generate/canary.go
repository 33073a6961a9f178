package main

// canaryBoard shows what a canary sees around the clock.
func canaryBoard() board {
	return board{
		uid: "resilience-canary", title: "Canary", from: "now-24h",
		about: "What synthetic tenants of a canary see around the clock: availability and reliability by transaction, tenant, cell and region, incidents, and how fast error budgets would burn. " +
			"The status page of the canary is what decides what is an incident; this board shows what it wrote to InfluxDB.",
		variables: []object{
			variableOfAll("plan", "Plan", "The plan of the canary.", selection{windows, []string{is("test", "canary")}}.values("plan")),
			variableOfAll("transaction", "Transaction", "What is tried.", ofCanary(windows).values("transaction")),
			variableOfAll("tenant", "Tenant", "A synthetic customer; All has those who are nobody, too.", ofCanary(windows).values("tenant")),
			variableOfAll("cell", "Cell", "The part of the system that serves a tenant.", ofCanary(windows).values("cell")),
			variableOfAll("region", "Region", "Where that is.", ofCanary(windows).values("region")),
			promised,
		},
		annotations: []object{annotation("Incidents", red, incidents().inTime().rows(`"text"`, `"kind"`))},
		rows: []row{
			{height: 4, panels: canarySummary()},
			{title: "Incidents", height: 8, panels: []panel{incidentTimeline(), incidentTimes()}},
			{height: 8, panels: []panel{incidentTable()}},
			{title: "What tenants see", height: 9, panels: canaryGraphs("transaction")},
			{height: 9, panels: []panel{canaryLatency(), retriedGraph()}},
			{title: "By cell and region", height: 9, panels: append(canaryGraphs("cell"), canaryGraphs("region")...)},
			{title: "By tenant", height: 10, panels: []panel{tenantTable()}},
			{title: "Each tenant over time: choose some of them above", height: 9, panels: canaryGraphs("tenant"), closed: true},
			{title: "Error budgets", height: 9, panels: []panel{canaryBurn(), canaryLeft()}},
			{title: "The canary itself", height: 9, panels: []panel{canaryRate(), canaryTrouble()}},
		},
	}
}

// promised is what error budgets are computed for.
var promised = func() object {
	v := variableOfText("promised", "Promised, %", "The share of good attempts that is promised to users, in percent, for the error budgets below.")
	usual := object{"selected": true, "text": "99.9", "value": "99.9"}
	v["query"], v["current"], v["options"] = "99.9", usual, []object{usual}
	return v
}()

// ofCanary is what canaries of the chosen plans wrote. A canary has no phases;
// tests of that kind do.
func ofCanary(measurement string) selection {
	return selection{measurement, []string{matches("plan"), is("test", "canary"), `"phase" = ''`, `"origin" = ''`}}
}

// tried are the windows of a metric that the variables choose.
func tried(metric string) selection {
	return ofCanary(windows).and(is("metric", metric), matches("transaction"), matches("tenant"), matches("cell"), matches("region"))
}

// incidents are those of the chosen plans, whatever they are about.
func incidents() selection { return ofCanary(events).and(is("kind", "incident")) }

// stateIs compares the state of an incident, which is a field.
func stateIs(state string) string { return `"state" = '` + state + `'` }

func canarySummary() []panel {
	return []panel{
		stat("Availability", "The share of attempts in the time range that the front door accepted.", "percentunit", 4, shares, tried("transaction").total(nil, good)),
		stat("Reliability", "The share of attempts that were looked at whose outcome was right. None: the script looks at no outcome.", "percentunit", 4, shares, tried("outcome").total(nil, good)),
		stat("Incidents", "Incidents that were opened in the time range.", "locale", 4, bad, incidents().and(stateIs("opened")).total(nil, `count("active")`)),
		stat("Time to detect", "How long it took from the first bad attempt of an incident until there was evidence enough, on average.", "ms", 4, steps(blue), incidents().total(nil, `mean("detected_after")`)),
		stat("Time to acknowledge", "How long it took from there until somebody acknowledged, on average of those that were.", "ms", 4, steps(blue), incidents().total(nil, `mean("acked_after")`)),
		stat("Time to recover", "How long incidents that are over lasted, from their first bad attempt to the first good one after the last bad one, on average.", "ms", 4, steps(blue), incidents().total(nil, `mean("lasted")`)),
	}
}

func incidentTimeline() panel {
	// One that was opened before the time range is still to be seen in it.
	before := "time >= ${__from}ms - 30d AND time <= ${__to}ms"
	return panel{
		title: "Open incidents", about: "When an incident of each rule was open: from its detection until it was certain that it was over. At most one of each rule is.", kind: "state-timeline", width: 12,
		queries: []query{line("$tag_name", incidents().and(before).rows(`"active"`)+grouped(quoted([]string{"name"})))},
		field: object{
			"color": fixed(red), "noValue": "no incident",
			"mappings": []object{{"type": "value", "options": object{
				"0": object{"text": " ", "color": "transparent", "index": 0}, "1": object{"text": "open", "color": red, "index": 1},
			}}},
		},
		custom: object{"lineWidth": 0, "fillOpacity": 85, "spanNulls": true},
		options: object{
			"mergeValues": true, "showValue": "auto", "alignValue": "center", "rowHeight": 0.7,
			"legend": object{"showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": []string{}}, "tooltip": object{"mode": "single", "sort": "none"},
		},
	}
}

func incidentTimes() panel {
	byRule := []string{"name"}
	p := graph("Time to detect and to recover", "Of each incident, by its rule: how long it took until there was evidence enough, and how long it lasted.", "ms", 12,
		line("$tag_name detected after", incidents().course(byRule, `mean("detected_after")`)),
		line("$tag_name lasted", incidents().course(byRule, `mean("lasted")`))).sparse()
	p.field["noValue"] = "no incident"
	return p
}

// incidentStates colours what became of an incident.
var incidentStates = []object{{"type": "value", "options": object{
	"opened": object{"color": red, "index": 0}, "acknowledged": object{"color": amber, "index": 1}, "closed": object{"color": green, "index": 2},
}}}

func incidentTable() panel {
	p := table("What became of incidents", "Each time that one was opened, acknowledged or closed, the newest first.", columns,
		rows(incidents().inTime().rows(as(`"state"`, "State"), as(`"name"`, "Rule"), as(`"severity"`, "Severity"), as(`"evidence"`, "Evidence"),
			as(`"detected_after"`, "Detected after"), as(`"acked_after"`, "Acknowledged after"), as(`"lasted"`, "Lasted"), as(`"id"`, "Incident"))))
	p = p.organized([]string{"Time", "State", "Rule", "Severity", "Evidence", "Detected after", "Acknowledged after", "Lasted", "Incident"}, object{})
	p.field["noValue"] = "no incident"
	p.options["sortBy"] = []object{{"displayName": "Time", "desc": true}}
	p = p.wide("Rule", 140, "Severity", 90, "Incident", 260).column("Time", "custom.width", 190, "unit", "dateTimeAsIso").
		column("State", "custom.width", 120, "mappings", incidentStates, "custom.cellOptions", colouredText)
	for _, span := range []string{"Detected after", "Acknowledged after", "Lasted"} {
		p = p.column(span, "unit", "ms", "decimals", 1, "custom.width", 165)
	}
	return p
}

// canaryGraphs are availability and reliability for each value of a tag.
func canaryGraphs(tag string) []panel {
	by := []string{tag}
	graphs := []panel{
		graph("Availability by "+tag, "The share of attempts that the front door accepted.", "percentunit", 12, line("$tag_"+tag, tried("transaction").course(by, good))).share(),
		graph("Reliability by "+tag, "The share of attempts that were looked at whose outcome was right.", "percentunit", 12, line("$tag_"+tag, tried("outcome").course(by, good))).share(),
	}
	for i := range graphs {
		graphs[i] = graphs[i].slow()
	}
	return graphs
}

// slow fits a graph to attempts that come once in a minute or less.
func (p panel) slow() panel {
	p.finest, p.points = "1m", 300
	p.custom["spanNulls"], p.custom["showPoints"] = 3_600_000, "auto"
	return p
}

func canaryLatency() panel {
	return graph("Latency by transaction", "How long attempts took, all their tries together: the 95 % quantiles of windows, weighted by their attempts. Near the quantile of all, and not the same.", "ms", 12,
		line("$tag_transaction", tried("transaction").weighted("p95", []string{"transaction"}))).slow()
}

func retriedGraph() panel {
	return graph("Good only after a retry", "The share of attempts that came to good, but not at the first try. Users who do not try again were not served.", "percentunit", 12,
		line("$tag_transaction", tried("retried").course([]string{"transaction"}, `sum("failed") / sum("count")`))).slow()
}

func tenantTable() panel {
	by := []string{"tenant"}
	p := table("What each tenant saw", "Attempts in the time range. Wrong: their outcome was looked at, and was not right.", columns,
		rows(tried("transaction").total(by, as(`sum("count")`, "Attempts"), as(`sum("failed")`, "Failed"), as(good, "Availability"),
			as(`sum("sum") / (sum("count") - sum("dropped"))`, "Mean"), as(`max("max")`, "Max"))),
		rows(tried("outcome").total(by, as(`sum("count")`, "Looked at"), as(`sum("failed")`, "Wrong"), as(good, "Reliability"))))
	p = p.joined("tenant").organized([]string{"tenant", "Attempts", "Failed", "Availability", "Looked at", "Wrong", "Reliability", "Mean", "Max"},
		object{"tenant": "Tenant"}, "Time", "Time 1", "Time 2")
	share := []any{"unit", "percentunit", "decimals", 2, "thresholds", shares, "custom.cellOptions", colouredText}
	return p.column("Availability", share...).column("Reliability", share...).
		column("Failed", "thresholds", bad, "custom.cellOptions", colouredText).column("Wrong", "thresholds", bad, "custom.cellOptions", colouredText).
		column("Mean", "unit", "ms", "decimals", 1).column("Max", "unit", "ms", "decimals", 1)
}

func canaryBurn() panel {
	p := graph("How fast budgets burn", "The share of attempts that failed, as a multiple of what the promise at the top allows: at 1 a budget is used up in just its window.", "short", 12,
		line("$tag_transaction", tried("transaction").course([]string{"transaction"}, `sum("failed") / sum("count") * 100 / (100 - ${promised})`))).slow()
	p.finest = "5m"
	return p
}

func canaryLeft() panel {
	p := table("What is left of budgets", "What is left of the failures that the promise at the top allows of as many attempts as there were in the time range. Under 0 it is broken.", 12,
		rows(tried("transaction").total([]string{"transaction"}, as(`sum("count")`, "Attempts"), as(`sum("failed")`, "Failed"),
			as(`1 - sum("failed") / sum("count") * 100 / (100 - ${promised})`, "Left"))))
	p = p.organized([]string{"transaction", "Attempts", "Failed", "Left"}, object{"transaction": "Transaction"}, "Time")
	return p.column("Left", "unit", "percentunit", "decimals", 1, "thresholds", left, "custom.cellOptions", colouredText)
}

func canaryRate() panel {
	p := graph("Attempts in a minute", "By transaction. A gap is a time in which the canary saw nothing, which is not a time without failures.", "short", 12,
		line("$tag_transaction", tried("transaction").per("1m", []string{"transaction"}, `sum("count")`))).slow()
	p.custom["spanNulls"] = false
	return p
}

func canaryTrouble() panel {
	p := table("What the canary says of itself", "Its process of k6 ended and was started again, its script threw, there were too many series.", 12,
		rows(ofCanary(events).and(oneOf("kind", "exception", "generator", "overflow", "warning")).inTime().rows(as(`"kind"`, "Kind"), as(`"name"`, "Name"), as(`"text"`, "What"))))
	p.field["noValue"] = "nothing"
	p = p.organized([]string{"Time", "Kind", "Name", "What"}, object{})
	return p.wide("Name", 120).column("Time", "custom.width", 190, "unit", "dateTimeAsIso").column("Kind", "custom.width", 110, "mappings", eventKinds, "custom.cellOptions", colouredText)
}
