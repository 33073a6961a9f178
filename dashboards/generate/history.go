package main

import "fmt"

// historyBoard shows how runs and gates went over days.
func historyBoard() board {
	return board{
		uid: "resilience-history", title: "History of runs and gates", from: "now-7d",
		about: "All runs of a plan: their verdicts, and how near each gate came to its limit. A run is a link to its review.",
		variables: []object{
			variableOfAll("plan", "Plan", "The plan of the runs.", selection{measurement: verdicts}.values("plan")),
			variableOfAll("phase", "Phase", "A phase of the plan.", selection{verdicts, []string{matches("plan")}}.values("phase")),
			variableOfAll("gate", "Gate", "A gate, as it is written.", ofPlan(checks).values("gate")),
		},
		annotations: []object{},
		rows: []row{
			{height: 6, panels: append([]panel{verdictBars()}, counts()...)},
			{height: 9, panels: []panel{verdictsOf("Runs", "Every verdict in the time range, the newest first. The link opens the review of the run.", ofPlan(verdicts).inTime(), zoom, "Review this run")}},
			{title: "Gates", height: 11, panels: []panel{gateRecord()}},
			{height: 11, panels: []panel{gateTimeline()}},
			{height: 10, panels: []panel{
				gateValues("What gates saw: shares", "share", "percentunit", "The value of each gate about a share of attempts, run by run."),
				gateValues("What gates saw: times", "ms", "ms", "The value of each gate about a time, run by run."),
			}},
			{title: "Error budgets: where plans have objectives", height: 9, closed: true, panels: []panel{
				burnGraph(), leftGraph(),
				budgetTable("Error budgets, run by run", "What was promised, and what each run found.", ofPlan(budgets).inTime()),
			}},
		},
	}
}

// ofPlan is what belongs to the chosen plans and phases.
func ofPlan(measurement string) selection {
	return selection{measurement, []string{matches("plan"), matches("phase")}}
}

// results are the outcomes of a verdict and of a check, and their colours.
var results = []string{"pass", green, "fail", red, "inconclusive", amber}

func verdictBars() panel {
	var lines []query
	for i := 0; i < len(results); i += 2 {
		lines = append(lines, line(results[i], ofPlan(verdicts).and(is("outcome", results[i])).course(nil, `count("exit_code")`)))
	}
	p := graph("Verdicts", "How many phases were judged, by what they came to.", "short", 12, lines...).stacked().coloured(results...)
	p.custom["drawStyle"], p.custom["fillOpacity"], p.custom["showPoints"] = "bars", 80, "never"
	p.field, p.points = object{"min": 0, "decimals": 0}, 40
	return p
}

func counts() []panel {
	var list []panel
	for i := 0; i < len(results); i += 2 {
		list = append(list, stat(results[i], "Verdicts in the time range.", "short", 4, steps(results[i+1]),
			ofPlan(verdicts).and(is("outcome", results[i])).total(nil, `count("exit_code")`)))
		list[len(list)-1].field["noValue"] = "0"
	}
	return list
}

// gateRecord is the history of each gate in numbers. Flips are changes from a
// pass to a fail or back between one run and the next: of one version, they
// make a gate flaky.
func gateRecord() panel {
	of := ofPlan(checks).and(matches("gate"))
	by := []string{"gate"}
	p := table("How often each gate held", "Checks in the time range. Held: the share of those that decided. Flips: how often a pass came after a fail or the other way round; many of one version are a flaky gate. "+
		"A gate that never failed and one that can not be told deserve a look: is it too easy, or does it want more traffic?", columns,
		rows(of.total(by, as(`mean("held")`, "Held"))), rows(flips(of)), rows(of.total(by, as(`count("waiver")`, "Waived"))))
	for i := 0; i < len(results); i += 2 {
		p.queries = append(p.queries, rows(of.and(is("outcome", results[i])).total(by, as(`count("samples")`, results[i]))))
		p = p.column(results[i], "custom.width", 110, "custom.cellOptions", colouredText, "thresholds", steps("text", 1, results[i+1]), "noValue", "0")
	}
	p = p.joined("gate").organized([]string{"gate", "Held", "pass", "fail", "inconclusive", "Flips", "Waived"}, object{"gate": "Gate"},
		"Time", "Time 1", "Time 2", "Time 3", "Time 4", "Time 5", "Time 6")
	return p.column("Held", "custom.width", 260, "unit", "percentunit", "decimals", 0, "min", 0, "max", 1, "thresholds", shares, "custom.cellOptions", object{"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}).
		column("Flips", "custom.width", 90, "noValue", "0", "thresholds", steps("text", 1, amber), "custom.cellOptions", colouredText).column("Waived", "custom.width", 90, "noValue", "0")
}

// flips counts how often each gate changed its result from run to run. The
// phases and periods of a gate are histories of their own.
func flips(of selection) string {
	each := of.inTime().rows(as(`abs(difference("held"))`, "flip")) + grouped(quoted([]string{"gate", "period", "phase"}))
	return fmt.Sprintf(`SELECT %s FROM (%s) WHERE $timeFilter%s`, as(`sum("flip")`, "Flips"), each, grouped(quoted([]string{"gate"})))
}

// gateTimeline is the history of each gate in pictures: its result, until the
// next run.
func gateTimeline() panel {
	return panel{
		title: "Results of each gate, run by run", about: "What each gate came to. A colour lasts until the next run: a row that changes often is a flaky gate, or a system that is.",
		kind: "state-timeline", width: columns,
		queries: []query{line("$tag_sli · $tag_period", ofPlan(checks).and(matches("gate")).inTime().rows(`"outcome"`)+grouped(quoted([]string{"sli", "period", "gate", "phase"})))},
		field:   object{"mappings": outcomes, "color": object{"mode": "thresholds"}},
		custom:  object{"lineWidth": 1, "fillOpacity": 75},
		options: object{
			"mergeValues": false, "showValue": "never", "perPage": 20, "alignValue": "left", "rowHeight": 0.75,
			"legend": object{"showLegend": true, "displayMode": "list", "placement": "bottom", "calcs": []string{}}, "tooltip": object{"mode": "single", "sort": "none"},
		},
	}
}

func gateValues(title, unitOfGates, unit, about string) panel {
	p := graph(title, about+" The name is the gate's, with its limit.", unit, 12,
		line("$tag_gate · $tag_period", ofPlan(checks).and(matches("gate"), is("unit", unitOfGates)).course([]string{"gate", "period"}, `last("value")`))).sparse()
	if unit == "percentunit" {
		p.field = object{"max": 1, "decimals": 1}
		p.custom["axisSoftMin"] = 0.9
	}
	return p
}
