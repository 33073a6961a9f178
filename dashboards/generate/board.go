package main

import (
	"bytes"
	"encoding/json"
)

// object is a JSON object; its keys are written sorted, so that a board is the
// same text each time.
type object = map[string]any

// board is a dashboard.
type board struct {
	uid, title, about string
	from              string // the start of its time range, as Grafana writes it
	variables         []object
	annotations       []object
	rows              []row
}

// row is a headline with panels below, which flow from left to right.
type row struct {
	title  string
	height int
	panels []panel
	closed bool // its panels are shown, and asked for, when the reader opens it
}

// columns is the width of a board.
const columns = 24

// source is the data source that the reader chooses at the top of the board.
var source = object{"type": "influxdb", "uid": "${datasource}"}

// json writes a board as Grafana imports it.
func (b board) json() ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(object{
		"uid": b.uid, "title": b.title, "description": b.about, "tags": []string{"resilience"},
		"schemaVersion": 41, "editable": true, "graphTooltip": 1, "timezone": "utc", "refresh": "",
		"time": object{"from": b.from, "to": "now"}, "timepicker": object{}, "fiscalYearStartMonth": 0, "liveNow": false, "weekStart": "",
		"links": links, "templating": object{"list": append([]object{sourceVariable}, b.variables...)},
		"annotations": object{"list": b.annotations}, "panels": b.layout(),
	})
	return text.Bytes(), err
}

// links lead from each board to the others, with what was chosen.
var links = []object{{
	"type": "dashboards", "title": "resilience", "tags": []string{"resilience"}, "icon": "external link",
	"asDropdown": false, "includeVars": true, "keepTime": true, "targetBlank": false, "tooltip": "", "url": "",
}}

// layout gives every row and panel its place and its number.
func (b board) layout() []object {
	list, y, id := []object{}, 0, 0
	next := func() int { id++; return id }
	for _, r := range b.rows {
		headline := object{"type": "row", "title": r.title, "collapsed": r.closed, "panels": []object{}, "gridPos": place(0, y, columns, 1)}
		if r.title != "" {
			headline["id"] = next()
			list = append(list, headline)
			y++
		}
		panels, end := r.flow(y, next)
		if r.closed {
			headline["panels"] = panels
			continue
		}
		list, y = append(list, panels...), end
	}
	return list
}

// flow places the panels of a row from a height on, and gives where it ends.
func (r row) flow(y int, next func() int) (list []object, end int) {
	x := 0
	for _, p := range r.panels {
		if x+p.width > columns {
			x, y = 0, y+r.height
		}
		made := p.json()
		made["id"], made["gridPos"] = next(), place(x, y, p.width, r.height)
		list = append(list, made)
		x += p.width
	}
	return list, y + r.height
}

func place(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }

var sourceVariable = object{"name": "datasource", "label": "InfluxDB", "type": "datasource", "query": "influxdb", "hide": 0, "refresh": 1}

// variable lets the reader choose a value of a tag. The last in the alphabet is
// chosen at first: the newest run, transactions before requests, the candidate.
func variable(name, label, about, query string) object {
	return object{
		"name": name, "label": label, "description": about, "type": "query", "datasource": source, "query": query,
		"refresh": 2, "sort": 2, "hide": 0, "includeAll": false, "multi": false,
	}
}

// variableOfAll lets the reader choose some values of a tag, or whatever it is:
// not to have the tag matches too.
func variableOfAll(name, label, about, query string) object {
	v := variable(name, label, about, query)
	v["includeAll"], v["multi"], v["allValue"], v["sort"] = true, true, ".*", 1
	v["current"] = object{"text": []string{"All"}, "value": []string{"$__all"}}
	return v
}

// variableOfText lets the reader write a value, nothing at first.
func variableOfText(name, label, about string) object {
	empty := object{"selected": false, "text": "", "value": ""}
	return object{
		"name": name, "label": label, "description": about, "type": "textbox", "query": "", "hide": 0, "skipUrlSync": false,
		"current": empty, "options": []object{empty},
	}
}

// hidden is a variable that queries need and nobody chooses.
func hidden(v object) object {
	v["hide"], v["skipUrlSync"] = 2, true // or a link would carry that of another run
	return v
}

// annotation marks moments in all graphs of a board.
func annotation(name, colour, query string) object {
	return object{
		"name": name, "datasource": source, "enable": true, "hide": false, "iconColor": colour,
		"target": object{
			"query": query, "rawQuery": true, "textColumn": "text", "tagsColumn": "kind", "fromAnnotations": true,
			"refId": "Anno", "resultFormat": "time_series",
		},
	}
}
