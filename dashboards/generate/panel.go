package main

import "maps"

// panel is a picture of what some queries answer.
type panel struct {
	title, about    string // what it shows, and how to read it
	kind            string // a type of panel that comes with Grafana
	width           int    // of columns
	queries         []query
	unit            string // Grafana's name of it
	field           object // further defaults of fields
	custom          object // how the kind of panel draws fields
	overrides       []object
	options         object
	transformations []object
	points          int    // at most, in a graph; 0 for one per pixel
	finest          string // the least interval of a graph
}

// query is one of a panel; its lines are named by alias.
type query struct {
	text, alias string
	table       bool
}

// line is a query of a graph.
func line(alias, text string) query { return query{text: text, alias: alias} }

// rows is a query of a table.
func rows(text string) query { return query{text: text, table: true} }

// json writes a panel without its place.
func (p panel) json() object {
	defaults := object{"unit": p.unit, "custom": object{}, "mappings": []object{}, "thresholds": steps(blue), "color": object{"mode": "palette-classic"}}
	maps.Copy(defaults, p.field)
	if p.custom != nil {
		defaults["custom"] = p.custom
	}
	targets := make([]object, len(p.queries))
	for i, q := range p.queries {
		targets[i] = object{"refId": refID(i), "datasource": source, "query": q.text, "rawQuery": true, "resultFormat": "time_series", "alias": q.alias}
		if q.table {
			targets[i]["resultFormat"] = "table"
		}
	}
	made := object{
		"type": p.kind, "title": p.title, "description": p.about, "datasource": source, "targets": targets,
		"fieldConfig":     object{"defaults": defaults, "overrides": append([]object{}, p.overrides...)},
		"options":         p.options,
		"transformations": append([]object{}, p.transformations...),
	}
	if p.points > 0 {
		made["maxDataPoints"] = p.points
	}
	if p.finest != "" {
		made["interval"] = p.finest
	}
	return made
}

// perSecondUnit is shown as 50/s.
const perSecondUnit = "suffix:/s"

// refID names the queries of a panel: A, B, ...
func refID(i int) string { return string(rune('A' + i)) }

// graph draws lines over time. A legend tells the last and the highest value.
func graph(title, about, unit string, width int, queries ...query) panel {
	return panel{
		title: title, about: about, kind: "timeseries", width: width, queries: queries, unit: unit, finest: "1s",
		field: object{"min": 0},
		custom: object{
			"lineWidth": 2, "fillOpacity": 0, "lineInterpolation": "linear", "showPoints": "never", "pointSize": 4, "spanNulls": 5000,
			"axisPlacement": "auto", "axisSoftMin": 0, "drawStyle": "line", "gradientMode": "none",
		},
		options: object{
			"legend":  object{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
			"tooltip": object{"mode": "multi", "sort": "desc"},
		},
	}
}

// withBands shows behind the lines of a graph when a disruption was in effect.
func (p panel) withBands() panel {
	p.queries = append(p.queries, line("$tag_name", disrupted().rows(`"active"`)+grouped(quoted([]string{"name"}))))
	p.overrides = append(p.overrides, override(byQuery(refID(len(p.queries)-1)),
		"custom.axisPlacement", "hidden", "min", 0, "max", 1, "unit", "none", "custom.lineInterpolation", "stepAfter", "custom.spanNulls", true,
		"custom.lineWidth", 0, "custom.fillOpacity", 14, "custom.showPoints", "never", "color", fixed(amber),
		"custom.stacking", object{"mode": "none"}, "custom.hideFrom", object{"legend": true, "tooltip": true, "viz": false}))
	return p
}

// disrupted are the moments at which a disruption came into effect or was lifted,
// those some time before and after the time range too: a reader who looks at a part
// of a disruption is to see it.
func disrupted() selection {
	return ofRun(events).and(oneOf("kind", "disruption", "lifted"), matches("phase"), "time >= ${__from}ms - 6h AND time <= ${__to}ms + 6h")
}

// stacked piles the lines of a graph on each other.
func (p panel) stacked() panel {
	p.custom["stacking"], p.custom["fillOpacity"], p.custom["lineWidth"] = object{"mode": "normal", "group": "A"}, 60, 0
	return p
}

// coloured gives the lines of a graph their colours, by name.
func (p panel) coloured(pairs ...string) panel {
	for i := 0; i+1 < len(pairs); i += 2 {
		p.overrides = append(p.overrides, override(byName(pairs[i]), "color", fixed(pairs[i+1])))
	}
	return p
}

// share says that a graph shows parts of a whole, and looks closer at the top.
func (p panel) share() panel {
	p.field = object{"max": 1, "decimals": 1}
	p.custom["axisSoftMin"] = 0.95
	return p
}

// sparse fits a graph to what comes once for each run.
func (p panel) sparse() panel {
	p.custom["showPoints"], p.custom["pointSize"], p.custom["lineWidth"], p.custom["spanNulls"] = "always", 6, 1, true
	p.options["legend"] = object{"displayMode": "table", "placement": "bottom", "showLegend": true, "calcs": []string{"min", "max", "lastNotNull"}}
	p.finest = "1m"
	return p
}

// stat shows a number.
func stat(title, about, unit string, width int, thresholds object, text string) panel {
	return panel{
		title: title, about: about, kind: "stat", width: width, unit: unit, queries: []query{line(title, text)},
		field: object{"thresholds": thresholds, "color": object{"mode": "thresholds"}, "noValue": "none"},
		options: object{
			"reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false},
			"colorMode":     "value", "graphMode": "none", "textMode": "value", "justifyMode": "center", "orientation": "auto",
		},
	}
}

// table shows rows.
func table(title, about string, width int, queries ...query) panel {
	return panel{
		title: title, about: about, kind: "table", width: width, queries: queries,
		field:   object{"color": object{"mode": "thresholds"}, "thresholds": steps("text"), "noValue": "–", "mappings": []object{nothing}},
		custom:  object{"align": "auto", "cellOptions": colouredText, "inspect": false, "filterable": false},
		options: object{"showHeader": true, "cellHeight": "sm"},
	}
}

// wide sets the widths of columns in pixels; the others share what is left.
func (p panel) wide(pairs ...any) panel {
	for i := 0; i+1 < len(pairs); i += 2 {
		p.overrides = append(p.overrides, override(byName(pairs[i].(string)), "custom.width", pairs[i+1]))
	}
	return p
}

// column changes what one field of a panel looks like.
func (p panel) column(name string, pairs ...any) panel {
	p.overrides = append(p.overrides, override(byName(name), pairs...))
	return p
}

// organized orders and renames columns, and leaves some out.
func (p panel) organized(order []string, rename object, leaveOut ...string) panel {
	index, out := object{}, object{}
	for i, name := range order {
		index[name] = i
	}
	for _, name := range leaveOut {
		out[name] = true
	}
	p.transformations = append(p.transformations, object{"id": "organize", "options": object{"indexByName": index, "renameByName": rename, "excludeByName": out}})
	return p
}

// joined makes one table of several, whose rows have a column in common.
func (p panel) joined(by string) panel {
	p.transformations = append(p.transformations, object{"id": "joinByField", "options": object{"byField": by, "mode": "outer"}})
	return p
}

func byName(name string) object { return object{"id": "byName", "options": name} }

func byQuery(refID string) object { return object{"id": "byFrameRefID", "options": refID} }

func fixed(colour string) object { return object{"mode": "fixed", "fixedColor": colour} }

// override sets properties of the fields that match, given as name and value.
func override(matcher object, pairs ...any) object {
	var properties []object
	for i := 0; i+1 < len(pairs); i += 2 {
		properties = append(properties, object{"id": pairs[i], "value": pairs[i+1]})
	}
	return object{"matcher": matcher, "properties": properties}
}

// asText is for texts that may look like numbers: Grafana would round a version.
var asText = []any{"unit", "string", "custom.align", "left"}

// colouredText colours the words of a column.
var colouredText = object{"type": "color-text"}

// link leads from a cell to another board.
func link(title, url string) []object {
	return []object{{"title": title, "url": url, "targetBlank": false}}
}
