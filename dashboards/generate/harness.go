package main

// harnessBoard shows whether what was measured can be trusted: did the
// generator deliver, and did all that was measured arrive?
func harnessBoard() board {
	return board{
		uid: "resilience-harness", title: "Harness health", from: "now-1h",
		about:       "One run, and the harness itself: whether the generator delivered what was asked of it, and whether all that was measured is in InfluxDB.",
		variables:   runVariables()[:3],
		annotations: []object{annotation("Harness", red, harnessEvents().inTime().rows(`"text"`, `"kind"`))},
		rows: []row{
			{height: 4, panels: harnessSummary()},
			{title: "Generator", height: 9, panels: []panel{arrivalGraph(), blameGraph()}},
			{title: "What is written to InfluxDB", height: 13, panels: []panel{sourceGraph(), seriesBars()}},
			{height: 7, panels: []panel{harnessTable()}},
		},
	}
}

// harnessEvents are what the harness says about itself.
func harnessEvents() selection {
	return ofRun(events).and(matches("phase"), oneOf("kind", "exception", "generator", "overflow", "warning", "interrupt", "skipped"))
}

func arrivals() selection { return ofRun(windows).and(is("metric", "iteration"), matches("phase")) }

func harnessSummary() []panel {
	// What the record of the run has, baselines too, and how much of it is here.
	complete := func(title, about, unit, field string, of string) panel {
		p := stat(title, about, unit, 5, steps(blue), selection{totals, []string{matches("run")}}.rows(`"`+field+`"`))
		p.queries[0].alias = "in the record"
		p.queries = append(p.queries, line("here", selection{of, []string{matches("run")}}.inTime().rows(`count("`+countable[of]+`")`)))
		p.options["textMode"] = "value_and_name"
		return p
	}
	return []panel{
		stat("Delivered", "The share of the asked arrivals that could start, whoever is to blame for the others.", "percentunit", 5, shares, arrivals().total(nil, `1 - sum("dropped") / sum("count")`)),
		stat("Dropped by the generator", "Arrivals that could not start for which the generator is to blame, not the target.", "locale", 5, bad,
			arrivals().and(is("status", "generator")).total(nil, `sum("dropped")`)),
		stat("Warnings", "What the harness said about itself: the list is below.", "locale", 4, bad, harnessEvents().inTime().rows(`count("seq")`)),
		complete("Windows", "What the record of the run has, and what is in InfluxDB in the time range. Without the first, the run goes on or was not sent to its end.", "locale", "windows", windows),
		complete("Events", "What the record of the run has, and what is in InfluxDB in the time range.", "locale", "events", events),
	}
}

// countable are the fields that every point of a measurement has.
var countable = map[string]string{windows: "count", events: "seq"}

func arrivalGraph() panel {
	return graph("Arrivals", "Iterations or requests in a second that the plan asked for, and those that could not start.", perSecondUnit, 12,
		line("asked", arrivals().perSecond(nil, `sum("count")`)), line("dropped", arrivals().perSecond(nil, `sum("dropped")`)),
	).coloured("asked", blue, "dropped", red).withBands()
}

func blameGraph() panel {
	p := graph("What did not go well", "Attempts in a second that threw, hung at the end, or could not start.", perSecondUnit, 12,
		line("failed", arrivals().perSecond(nil, `sum("failed")`)), line("unfinished", arrivals().perSecond(nil, `sum("unfinished")`)),
		line("dropped", arrivals().perSecond(nil, `sum("dropped")`)),
	).coloured("failed", amber, "unfinished", violet, "dropped", red).withBands()
	p.custom["axisSoftMax"] = 1 // or nothing at all looks like a hundred
	return p
}

func sourceGraph() panel {
	return graph("Windows by source", "Points in a second from each process that measures. One that falls silent stopped, or can not write.", perSecondUnit, 12,
		line("$tag_source", ofRun(windows).perSecond([]string{"source"}, `count("count")`)))
}

func seriesBars() panel {
	return panel{
		title: "Windows by metric", about: "How many points each metric has: what a run costs in InfluxDB. Too many series end in (other).", kind: "bargauge", width: 12, unit: "locale",
		queries: []query{line("$tag_metric", ofRun(windows).total([]string{"metric"}, `count("count")`))},
		field:   object{"min": 0, "color": fixed(blue)},
		options: object{
			"displayMode": "basic", "orientation": "horizontal", "valueMode": "text", "showUnfilled": false, "minVizHeight": 8, "minVizWidth": 8, "namePlacement": "left", "text": object{"titleSize": 12, "valueSize": 12},
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
		},
	}
}

func harnessTable() panel {
	p := table("What the harness says", "Evidence against the generator, exceptions of scripts, series that were too many, disruptions that were not injected.", columns,
		rows(harnessEvents().rows(as(`"kind"`, "Kind"), as(`"name"`, "Name"), as(`"text"`, "What"), as(`"test"`, "Test"), as(`"phase"`, "Phase"))))
	p.field["noValue"] = "nothing"
	p = p.organized([]string{"Time", "Kind", "Name", "What", "Test", "Phase"}, object{})
	return p.wide("Name", 220, "Test", 140, "Phase", 110).column("Time", "custom.width", 200, "unit", "dateTimeAsIso").
		column("Kind", "custom.width", 120, "mappings", eventKinds, "custom.cellOptions", colouredText)
}
