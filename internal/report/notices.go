package report

import (
	"bytes"
	"slices"

	"resilience/gates"
)

// noticeColumns head the tables that tell when disruptions were noticed.
var noticeColumns = []string{"noticed", "detected after", "acknowledged after", "recovered after lifting"}

// noticeRows tell for each disruption when it was noticed and how long
// recovery took; none when nobody listened.
func noticeRows(disruptions []gates.Disrupted) (rows [][]string) {
	told := func(d gates.Disrupted) bool {
		return d.Detected != nil || d.Acknowledged != nil || d.Recovered != nil || d.Undetected
	}
	if !slices.ContainsFunc(disruptions, told) {
		return nil
	}
	for _, d := range disruptions {
		detected := after(d.Detected, d.Alert)
		if d.Detected == nil && d.Undetected {
			detected = "not detected"
		}
		rows = append(rows, []string{d.Name, detected, after(d.Acknowledged, d.By), after(d.Recovered, "")})
	}
	return rows
}

// after writes a time, and by what or whom it ended.
func after(ms *float64, by string) string {
	if ms == nil {
		return "-"
	}
	if by == "" {
		return millis(*ms)
	}
	return millis(*ms) + " (" + by + ")"
}

// noticed writes when disruptions were noticed.
func (p *page) noticed(disruptions []gates.Disrupted) {
	rows := noticeRows(disruptions)
	if len(rows) == 0 {
		return
	}
	columns := []column{{name: "  " + noticeColumns[0], least: 16}}
	for _, name := range noticeColumns[1:] {
		columns = append(columns, column{name: name, least: 14})
	}
	for i := range rows {
		for j := range rows[i] {
			rows[i][j] = printable(rows[i][j])
		}
		rows[i][0] = "  " + rows[i][0]
	}
	p.line("")
	p.table(columns, rows, nil)
}

// markdownNoticed writes the same for a step summary.
func markdownNoticed(b *bytes.Buffer, disruptions []gates.Disrupted) {
	if rows := noticeRows(disruptions); len(rows) > 0 {
		folded(b, "Detection, acknowledgement and recovery", noticeColumns, rows)
	}
}
