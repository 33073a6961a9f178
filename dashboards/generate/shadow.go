package main

import "fmt"

// shadowBoard reviews the shadow tests of one run: what the new version answers
// otherwise, where and how often, and how the recording was replayed.
func shadowBoard() board {
	return board{
		uid: "resilience-shadow", title: "Shadow traffic", from: "now-1h",
		about: "One run with shadow tests: what candidate and baseline answered to the same requests, in which fields they differ, what of that is noise and what a regression, " +
			"and how fast both were. What differs is told once a test has ended.",
		variables: []object{
			variableOfAll("plan", "Plan", "The plan whose runs can be chosen.", selection{windows, []string{ofReplays}}.values("plan")),
			variable("run", "Run", "Runs with shadow tests; the newest comes first: an id begins with the time.", selection{windows, []string{ofReplays, matches("plan")}}.values("run")),
			variableOfAll("phase", "Phase", "A phase of the run.", replayed().values("phase")),
			variableOfAll("route", "Route", "What was asked, by its method and pattern.", replayed().and(is("metric", "request")).values("step")),
		},
		annotations: []object{annotation("Trouble", red, ofRun(events).and(matches("phase"), oneOf("kind", troubles...), noRoutine).inTime().rows(`"text"`, `"kind"`))},
		rows: []row{
			{height: 4, panels: shadowSummary()},
			{title: "Gates", height: 7, panels: []panel{gateTable()}},
			{title: "What the answers differ in", height: 12, panels: []panel{foundTable()}},
			{height: 8, panels: []panel{harmlessTable()}},
			{title: "Routes", height: 9, panels: []panel{routeTable()}},
			{height: 8, panels: []panel{mismatchGraph(), pairGraph()}},
			{height: 7, panels: []panel{statusGraph(), undecidedGraph()}},
			{title: "Latency of candidate and baseline", height: 9, panels: armLatency("p50", "p95", "p99")},
			{title: "How the recording was replayed", height: 8, panels: []panel{replayRate(), replayFailures()}},
			{height: 7, panels: []panel{lagGraph(), carriedGraph()}},
			{height: 5, panels: []panel{replayTable()}},
			{height: 7, panels: []panel{withheldTable()}},
		},
	}
}

// ofReplays is true of what shadow tests measured.
const ofReplays = `"source" =~ /^shadow\//`

// replayed are the windows of the run's shadow tests.
func replayed() selection { return ofRun(windows).and(ofReplays) }

// byRoute are those of one metric, of the chosen phases and routes.
func byRoute(metric string) selection {
	return replayed().and(is("metric", metric), matches("phase"), isIn("step", "route"))
}

// differences are what the answers of the chosen routes differ in.
func differences() selection {
	return ofRun(events).and(is("kind", "difference"), matches("phase"), isIn("name", "route"))
}

// ofClass narrows differences to those of some classes, which is a field.
func ofClass(classes ...string) string { return oneOf("class", classes...) }

// failedShare is the part that failed, or mismatched, of what a metric counts.
const failedShare = `sum("failed") / sum("count")`

func shadowSummary() []panel {
	return []panel{
		verdictStat(),
		stat("Mismatch", "The share of the compared answers in which there is a regression, of the chosen routes and the whole time range. Gates look at periods. None: nothing was compared, or the test goes on.",
			"percentunit", 4, steps(green, 0.00001, red), byRoute("comparison").total(nil, failedShare)),
		stat("Regressions", "Fields of routes in which the candidate differs from the baseline more often than chance and noise explain.", "locale", 4, bad,
			differences().and(ofClass("regression")).rows(`count("pairs")`)),
		stat("Undecided", "Differences that were seen too seldom to tell, or both versions failed where users did not, in the table below. Of those that noise has never shown, no gate passes that they could break.", "locale", 3, steps(green, 1, amber),
			differences().and(ofClass("undecided")).rows(`count("pairs")`)),
		stat("Status changes", "Answers whose status is a regression.", "locale", 3, bad, byRoute("status-change").total(nil, `sum("failed")`)),
		stat("Pairs compared", "Answers of candidate and baseline to the same request that were compared.", "locale", 3, steps(blue), byRoute("comparison").total(nil, `sum("count")`)),
		stat("Sent late, p99", "By how much this machine sent exchanges late, at most, but for 1 % of them: of the test in which that was worst. It blurs what was measured, and is no fault of the targets.", "ms", 3, steps(green, 10, amber, 50, red),
			ofRun(events).and(is("kind", "replay"), matches("phase")).rows(`max("lag_p99")`)),
	}
}

// differenceClasses colours what is thought of a difference.
var differenceClasses = []object{{"type": "value", "options": object{
	"regression": object{"color": red, "index": 0}, "undecided": object{"color": amber, "index": 1},
	"expected": object{"color": blue, "index": 2}, "noise": object{"color": grey, "index": 3},
}}}

// differenceTable lists differences, the gravest of each test first.
func differenceTable(title, about string, of selection) panel {
	p := table(title, about+" Differing: of so many pairs of answers of the route. Noise: how often the baseline differs from itself there. Baseline and candidate are of one example; there are 50 differences of each test at most.", columns,
		rows(of.rows(as(`"class"`, "Class"), as(`"name"`, "Route"), as(`"place"`, "Field"), as(`"difference"`, "Kind"), as(`"differing"`, "Differing"), as(`"pairs"`, "Of"),
			as(`"differing" / "pairs"`, "Share"), as(`"noise_differing" / "noise_pairs"`, "Noise"), as(`"baseline"`, "Baseline"), as(`"candidate"`, "Candidate"), as(`"request"`, "Request"), as(`"test"`, "Test"), as(`"phase"`, "Phase"))))
	p = p.organized([]string{"Class", "Route", "Field", "Kind", "Differing", "Of", "Share", "Noise", "Baseline", "Candidate", "Request", "Test", "Phase"}, object{}, "Time")
	p.field["noValue"], p.custom["inspect"], p.custom["filterable"] = "nothing", true, true
	p.options["sortBy"] = []object{{"displayName": "Class", "desc": false}}
	share := []any{"unit", "percentunit", "decimals", 1, "custom.width", 85}
	return p.wide("Route", 170, "Field", 190, "Kind", 95, "Differing", 95, "Of", 75, "Test", 80, "Phase", 90).
		column("Class", "custom.width", 105, "mappings", differenceClasses, "custom.cellOptions", colouredText).
		column("Share", share...).column("Noise", share...).column("Baseline", asText...).column("Candidate", asText...)
}

func foundTable() panel {
	return differenceTable("Regressions, and what is undecided", "What differs more often than noise does, and chance does not explain it; and what was seen too seldom to tell.", differences().and(ofClass("regression", "undecided")))
}

func harmlessTable() panel {
	return differenceTable("What is expected, and noise", "What the plan approves; and what differs between answers of the same version as often.", differences().and(ofClass("expected", "noise")))
}

func routeTable() panel {
	by := []string{"step"}
	of := func(arm string) string {
		return byRoute("request").and(is("arm", arm)).total(by, as(`sum("count")`, arm+" asked"), as(`sum("failed")`, arm+" failed"),
			as(`sum("sum") / (sum("count") - sum("dropped"))`, arm+" mean"), as(`max("max")`, arm+" max"))
	}
	p := table("Routes", "What became of each route in the time range. Mismatched: pairs of answers with a regression in them. Failed: requests that were not accepted, or got no answer.", columns,
		rows(byRoute("comparison").total(by, as(`sum("count")`, "Pairs"), as(`sum("failed")`, "Mismatched"), as(failedShare, "Mismatch"))),
		rows(byRoute("status-change").total(by, as(`sum("failed")`, "Status changes"))), rows(of("candidate")), rows(of("baseline")))
	order, rename := []string{"step", "Pairs", "Mismatched", "Mismatch", "Status changes"}, object{"step": "Route"}
	for _, what := range []string{"failed", "mean", "max"} {
		for _, arm := range []string{"candidate", "baseline"} {
			order = append(order, arm+" "+what)
			rename[arm+" "+what] = title(arm) + " " + what
		}
	}
	p = p.joined("step").organized(order, rename, "Time", "Time 1", "Time 2", "Time 3", "Time 4", "candidate asked", "baseline asked")
	for _, arm := range []string{"Candidate", "Baseline"} {
		p = p.column(arm+" failed", "custom.width", 135, "thresholds", bad, "custom.cellOptions", colouredText).
			column(arm+" mean", "custom.width", 135, "unit", "ms", "decimals", 1).column(arm+" max", "custom.width", 135, "unit", "ms", "decimals", 1)
	}
	return p.wide("Route", 240, "Pairs", 90, "Mismatched", 110).column("Mismatch", "custom.width", 110, "unit", "percentunit", "decimals", 2, "thresholds", steps(green, 0.00001, red), "custom.cellOptions", colouredText).
		column("Mismatched", "thresholds", bad, "custom.cellOptions", colouredText).column("Status changes", "custom.width", 125, "thresholds", bad, "custom.cellOptions", colouredText)
}

// title begins a word with a capital.
func title(word string) string { return fmt.Sprintf("%c%s", word[0]-'a'+'A', word[1:]) }

func mismatchGraph() panel {
	p := graph("Mismatch by route", "The share of the compared answers in which there is a regression. It is told when the test has ended, of the time at which each was asked. Dashed: the limits of gates about it, over the time that each looked at.", "percentunit", 12,
		line("$tag_step", byRoute("comparison").course([]string{"step"}, failedShare)))
	p.field["max"], p.custom["axisSoftMax"] = 1, 0.01 // or nothing at all looks like a hundred
	return p.withLimitsOf("mismatch", "route").withBands()
}

func pairGraph() panel {
	return graph("Pairs compared by route", "Answers of candidate and baseline in a second that were compared.", perSecondUnit, 12,
		line("$tag_step", byRoute("comparison").perSecond([]string{"step"}, `sum("count")`))).withBands()
}

func statusGraph() panel {
	p := graph("Status changes by route", "The share of the compared answers whose status is a regression.", "percentunit", 12,
		line("$tag_step", byRoute("status-change").course([]string{"step"}, failedShare))).withBands()
	p.field["max"], p.custom["axisSoftMax"] = 1, 0.01
	return p
}

func undecidedGraph() panel {
	p := graph("Undecided by route", "Exchanges in a second that may be mismatches: what the answers differ in was seen too seldom to tell, and noise has never shown it, which a longer replay decides; or both versions failed where users did not.", perSecondUnit, 12,
		line("$tag_step", byRoute("undecided").perSecond([]string{"step"}, `sum("count")`))).withBands()
	p.field["noValue"] = "nothing is undecided"
	return p
}

// armLatency draws both arms in one graph for each quantile, so that their scale
// is the same.
func armLatency(quantiles ...string) (list []panel) {
	for _, q := range quantiles {
		p := graph("Latency "+q, "How long requests took, failed ones included, in both arms: choose a route above to see its own. Means of the "+q+" of each second and route, weighted by their requests: near that of all, and not the same; gates use the exact one. "+
			"Dashed: the limits of gates about it; one that is relative to the baseline is drawn at the value it came to.", "ms", 8,
			line("$tag_arm", byRoute("request").weighted(q, []string{"arm"})))
		list = append(list, p.inArms().withLimitsOf("latency "+q, "route").withBands())
	}
	return list
}

// inArms gives the lines of both arms their colours.
func (p panel) inArms() panel { return p.coloured("candidate", blue, "baseline", grey) }

func replayRate() panel {
	return graph("Requests by arm", "Requests in a second, by when they were to be sent. The baseline that is asked once more to learn noise is in neither arm.", perSecondUnit, 12,
		line("$tag_arm", byRoute("request").perSecond([]string{"arm"}, `sum("count")`))).inArms().withBands()
}

func replayFailures() panel {
	p := graph("Failed requests by arm", "The share of requests that were not accepted, or got no answer. What users asked for and is not there failed in both arms.", "percentunit", 12,
		line("$tag_arm", byRoute("request").course([]string{"arm"}, failedShare))).inArms().withBands()
	p.field["max"], p.custom["axisSoftMax"] = 1, 0.01
	return p
}

func lagGraph() panel {
	lag := replayed().and(is("metric", "send-lag"), matches("phase"))
	p := graph("How late exchanges were sent", "The p99 of each test: by how much this machine sent exchanges late, at most, but for 1 % of those of each second, of all routes. Those that waited for a place or for an earlier answer are not in here. "+
		"It blurs what was measured, and is no fault of the targets. max is of the worst test.", "ms", 12,
		line("$tag_test", lag.weighted("p99", []string{"test"})), line("max", lag.course(nil, `max("max")`)))
	p.field["noValue"] = "at speed: max nothing has a time to be late for"
	return p.coloured("max", grey).column("max", "custom.lineWidth", 1, "custom.lineStyle", object{"fill": "dot", "dash": []int{1, 4}}).withBands()
}

func carriedGraph() panel {
	p := graph("Values carried", "Values in a second that were put into requests in place of recorded ones, by arm. Found: an earlier answer of the session named something that the recorded answer named otherwise. "+
		"Rule: by carry: of the plan. Cookie: an earlier answer set it. An arm in which far fewer are carried answered otherwise before.", perSecondUnit, 12,
		line("$tag_arm: $tag_status", byRoute("carried-value").perSecond([]string{"arm", "status"}, `sum("count")`))).withBands()
	p.field["noValue"] = "no answer gave what a later request needed"
	return p
}

func replayTable() panel {
	p := table("What became of the exchanges", "One row for each shadow test that has ended. Not chosen: left out by sample, routes, tenants, from or to. Withheld: see below. "+
		"Waited: for an earlier answer of their session. Dropped: could not start, as many as may be were under way. Found, By rule and Cookies: values of earlier answers that were put into requests to the candidate. Lag: how late this machine sent.", columns,
		rows(ofRun(events).and(is("kind", "replay"), matches("phase")).rows(as(`"phase"`, "Phase"), as(`"test"`, "Test"), as(`"read"`, "Read"), as(`"sent"`, "Sent"), as(`"not_chosen"`, "Not chosen"),
			as(`"withheld"`, "Withheld"), as(`"waited"`, "Waited"), as(`"dropped"`, "Dropped"), as(`"carried_found"`, "Found"), as(`"carried_rule"`, "By rule"), as(`"carried_cookie"`, "Cookies"), as(`"lag_p50"`, "Lag p50"), as(`"lag_p99"`, "Lag p99"))))
	p = p.organized([]string{"Phase", "Test", "Read", "Sent", "Not chosen", "Withheld", "Waited", "Dropped", "Found", "By rule", "Cookies", "Lag p50", "Lag p99"}, object{}, "Time")
	p.field["noValue"] = "the test goes on"
	p = p.wide("Read", 95, "Sent", 95, "Not chosen", 110, "Withheld", 95, "Waited", 95, "Dropped", 95, "Found", 95, "By rule", 95, "Cookies", 95, "Lag p50", 95, "Lag p99", 95)
	return p.column("Dropped", "thresholds", bad, "custom.cellOptions", colouredText).column("Withheld", "thresholds", steps("text", 1, amber), "custom.cellOptions", colouredText).
		column("Lag p50", "unit", "ms", "decimals", 2).column("Lag p99", "unit", "ms", "decimals", 2)
}

func withheldTable() panel {
	p := table("What was withheld", "Requests that were not sent because they may change data, or can not be sent as they were: by route, with the reason. The plan asks for them under writes.", columns,
		rows(ofRun(events).and(is("kind", "withheld"), matches("phase")).rows(as(`"name"`, "Route"), as(`"withheld"`, "Requests"), as(`"reason"`, "Reason"), as(`"test"`, "Test"), as(`"phase"`, "Phase"))))
	p = p.organized([]string{"Route", "Requests", "Reason", "Test", "Phase"}, object{}, "Time")
	p.field["noValue"] = "nothing"
	return p.wide("Route", 260, "Requests", 100, "Test", 140, "Phase", 110)
}
