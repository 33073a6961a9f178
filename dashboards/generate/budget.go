package main

// budgetTable shows what is left of error budgets.
func budgetTable(title, about string, of selection) panel {
	p := table(title, about, columns, rows(of.rows(as(`"objective"`, "Objective"), as(`"share"`, "Promised"), as(`"over"`, "Over"), as(`"left"`, "Left"),
		as(`"burn"`, "Burn in the run"), as(`"firing"`, "Alerts firing"), as(`"good"`, "Good"), as(`"total"`, "Events"), as(`"phase"`, "Phase"), as(`"run"`, "Run"), as(`"reason"`, "Reason"))))
	p = p.organized([]string{"Objective", "Promised", "Over", "Left", "Burn in the run", "Alerts firing", "Good", "Events", "Phase", "Run", "Reason"}, object{}, "Time")
	p.field["noValue"] = noObjectives
	return p.column("Promised", "unit", "percentunit", "custom.width", 100).column("Over", "unit", "dtdurations", "custom.width", 100).
		column("Left", "unit", "percentunit", "decimals", 1, "custom.width", 100, "thresholds", left, "custom.cellOptions", colouredText).
		column("Burn in the run", "unit", "none", "decimals", 2, "custom.width", 130, "thresholds", burning, "custom.cellOptions", colouredText).
		column("Alerts firing", "custom.width", 110, "thresholds", bad, "custom.cellOptions", colouredText).wide("Good", 90, "Events", 90, "Phase", 90, "Run", 210)
}

// left are thresholds of what is left of a budget.
var left = steps(red, 0, amber, 0.2, green)

// burning are thresholds of a burn rate: over 1, the budget does not last.
var burning = steps(green, 1, amber, 6, red)

// noObjectives stands where a plan has none.
const noObjectives = "no objectives in the plan"

func burnGraph() panel {
	p := graph("How fast runs burn budgets", "The burn rate of the steady period of each run: at 1, such failures use the budget up in just its window.", "short", 12,
		line("$tag_objective · $tag_phase", ofPlan(budgets).course([]string{"objective", "phase"}, `last("burn")`)))
	p.field["noValue"] = noObjectives
	return p.sparse()
}

func leftGraph() panel {
	p := graph("What is left of budgets", "The share of each error budget that was left when a run was judged, where its events are counted elsewhere: one run alone does not know.", "percentunit", 12,
		line("$tag_objective · $tag_phase", ofPlan(budgets).course([]string{"objective", "phase"}, `last("left")`)))
	p.field = object{"max": 1, "decimals": 0, "noValue": noObjectives}
	return p.sparse()
}
