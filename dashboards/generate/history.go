package main

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
			{"", 7, append([]panel{verdictBars()}, counts()...)},
			{"", 11, []panel{verdictsOf("Runs", "Every verdict in the time range, the newest first. The link opens the review of the run.", ofPlan(verdicts).inTime())}},
			{"Gates", 10, []panel{gateRecord()}},
			{"", 10, []panel{
				gateValues("What gates saw: shares", "share", "percentunit", "The value of each gate about a share of attempts, run by run."),
				gateValues("What gates saw: times", "ms", "ms", "The value of each gate about a time, run by run."),
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

func gateRecord() panel {
	of := ofPlan(checks).and(matches("gate"))
	by := []string{"gate"}
	p := table("How often each gate held", "Checks in the time range. A gate that never failed and one that can not be told deserve a look: is it too easy, or does it want more traffic?", columns)
	for i := 0; i < len(results); i += 2 {
		p.queries = append(p.queries, rows(of.and(is("outcome", results[i])).total(by, as(`count("samples")`, results[i]))))
		p = p.column(results[i], "custom.width", 120, "custom.cellOptions", colouredText, "thresholds", steps("text", 1, results[i+1]), "noValue", "0")
	}
	return p.joined("gate").organized([]string{"gate", "pass", "fail", "inconclusive"}, object{"gate": "Gate"}, "Time", "Time 1", "Time 2", "Time 3")
}

func gateValues(title, unitOfGates, unit, about string) panel {
	p := graph(title, about+" The name is the gate's, with its limit.", unit, 12,
		line("$tag_gate · $tag_period", ofPlan(checks).and(matches("gate"), is("unit", unitOfGates)).course([]string{"gate", "period"}, `last("value")`)))
	p.custom["showPoints"], p.custom["pointSize"], p.custom["lineWidth"], p.custom["spanNulls"] = "always", 6, 1, true
	p.options["legend"] = object{"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": []string{"min", "max", "lastNotNull"}}
	if unit == "percentunit" {
		p.field = object{"decimals": 1}
	}
	return p
}
