package report

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"resilience/gates"
)

// budgetColumns head the tables of objectives.
var budgetColumns = []string{"objective", "promise", "nines", "may be down", "budget left", "burn rate"}

// budgetRows tell what is left of each budget and how fast it is spent.
func budgetRows(budgets []gates.Budget) (rows [][]string) {
	for _, b := range budgets {
		left := "not known"
		if b.Left != nil {
			left = percent(*b.Left)
		}
		rows = append(rows, []string{
			b.Objective, percent(b.Share) + " over " + long(b.Over), decimal(b.Nines, 2),
			long(b.Downtime), left, orDash(burnRates(b.Burns)),
		})
	}
	return rows
}

// burnRates writes the rate over each window: "10 in this run", "30 over 1h".
func burnRates(burns []gates.Burn) string {
	var rates []string
	for _, one := range burns {
		window := "over " + long(one.Window)
		if one.Run {
			window = "in this run"
		}
		rates = append(rates, ratio(one.Rate)+" "+window)
	}
	return strings.Join(rates, ", ")
}

// budgetNotes say which alerts of an objective fire, what its numbers cost, and
// why there are none.
func budgetNotes(b gates.Budget) (notes []string) {
	for _, r := range b.Firing {
		notes = append(notes, fmt.Sprintf("%s: it burns at more than %s, over %s and over %s", r.Severity, ratio(r.Rate), long(r.Long), long(r.Short)))
	}
	for _, one := range b.Burns {
		if one.Run && one.Rate > 0 {
			notes = append(notes, fmt.Sprintf("%s of this run (%s) would have used up %s of the budget, had they been users'",
				plural(one.Total-min(one.Good, one.Total), "failure"), long(one.Window), percent(one.Spent)))
		}
	}
	if c := b.Cost; c != nil {
		note := fmt.Sprintf("a total outage costs %s a minute, the whole budget %s", money(c.PerMinute, c.Currency), money(c.Budget, c.Currency))
		if c.Spent != nil {
			note += fmt.Sprintf("; what failed over %s cost %s", long(b.Over), money(*c.Spent, c.Currency))
		}
		if c.Run != nil && *c.Run > 0 {
			note += fmt.Sprintf("; the failures of this run would have cost %s", money(*c.Run, c.Currency))
		}
		notes = append(notes, note)
	}
	if b.Reason != "" {
		notes = append(notes, b.Reason)
	}
	return notes
}

// objectives writes them as a table, and what they cost below.
func (p *page) objectives(budgets []gates.Budget) {
	if len(budgets) == 0 {
		return
	}
	p.line("")
	p.table(leftColumns(budgetColumns, 0), signed(budgetRows(budgets)), nil)
	for _, b := range budgets {
		for _, note := range budgetNotes(b) {
			p.wrapped(textIndent+"  ", printable(b.Objective+": "+note))
		}
	}
}

// leftColumns are columns of texts that may be wrapped, but for those from
// some number on, which hold numbers.
func leftColumns(names []string, numbers int) []column {
	columns := make([]column, len(names))
	for i, name := range names {
		columns[i] = column{name: name, least: 10}
		if numbers > 0 && i >= numbers {
			columns[i] = column{name: name, right: true}
		}
	}
	columns[0] = column{name: "  " + names[0], least: 14}
	return columns
}

// signed makes the texts of rows printable, and leaves place for a sign in
// front, where other tables have one.
func signed(rows [][]string) [][]string {
	for i := range rows {
		for j := range rows[i] {
			rows[i][j] = printable(rows[i][j])
		}
		rows[i][0] = "  " + rows[i][0]
	}
	return rows
}

// partColumns head the table of a model.
var partColumns = []string{"part of the model", "kind", "availability", "samples", "failed", "if perfect"}

// partRows tell how available each part is, and how much better all would be if
// it never failed.
func partRows(m gates.Composed) (rows [][]string) {
	for _, p := range m.Parts {
		row := []string{p.Name, p.Kind, share(p.Availability), "-", "-", "-"}
		if p.Kind != "promised" && p.Availability != nil {
			row[3], row[4] = grouped(p.Samples), grouped(p.Failed)
		}
		if p.Gain != nil {
			row[5] = "+" + strings.TrimSuffix(percent(*p.Gain), "%") + "pp"
		}
		rows = append(rows, row)
	}
	return rows
}

// composed sums up a model: "composed 99.89 % (99.8 % to 99.95 %), measured
// 99.9 % (...); the weakest link is ledger".
func composed(m gates.Composed) string {
	text := "composed " + between(m.Availability, m.Low, m.High) + ", measured " + between(m.Measured, m.MeasuredLow, m.MeasuredHigh)
	if m.Weakest != "" {
		text += "; the weakest link is " + m.Weakest
	}
	if m.Reason != "" {
		text += "; " + m.Reason
	}
	return text
}

func between(value, low, high *float64) string {
	if value == nil {
		return "not known"
	}
	text := percent(*value)
	if low != nil && high != nil && *low < *high {
		text += " (" + percent(*low) + " to " + percent(*high) + ")"
	}
	return text
}

func share(s *float64) string {
	if s == nil {
		return "not known"
	}
	return percent(*s)
}

// model writes the parts of the model, and what they make together.
func (p *page) model(m *gates.Composed) {
	if m == nil {
		return
	}
	p.line("")
	p.table(leftColumns(partColumns, 2), signed(partRows(*m)), nil)
	p.wrapped(textIndent+"  ", printable(composed(*m)))
}

// markdownObjectives writes objectives and model for a step summary.
func markdownObjectives(b *bytes.Buffer, v gates.Verdict) {
	if rows := budgetRows(v.Objectives); len(rows) > 0 {
		for i, budget := range v.Objectives {
			rows[i] = append(rows[i], strings.Join(budgetNotes(budget), "; "))
		}
		folded(b, "Objectives", append(slices.Clone(budgetColumns), ""), rows)
	}
	if v.Model != nil {
		fmt.Fprintf(b, "\n%s\n", markdownText("Model: "+composed(*v.Model)))
		folded(b, "Parts of the model", partColumns, partRows(*v.Model))
	}
}

// objectiveStory writes objectives and model as lines.
func objectiveStory(v gates.Verdict) (lines []string) {
	for i, row := range budgetRows(v.Objectives) {
		line := fmt.Sprintf("%s: %s, may be down %s, budget left %s, burn rate %s", row[0], row[1], row[3], row[4], row[5])
		lines = append(lines, printable(strings.Join(append([]string{line}, budgetNotes(v.Objectives[i])...), "; ")))
	}
	if v.Model != nil {
		lines = append(lines, printable("model: "+composed(*v.Model)))
	}
	return lines
}

// long writes a length of time that may be days, in seconds: 28d, 40m19s, 1m.
func long(seconds float64) string {
	rest := time.Duration(min(seconds, 1e9) * float64(time.Second)).Round(time.Second)
	text := ""
	for _, u := range []struct {
		name   string
		length time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		n := rest / u.length
		rest %= u.length
		if n == 0 && text != "" {
			return text
		}
		if n > 0 {
			if text != "" {
				return text + strconv.FormatInt(int64(n), 10) + u.name
			}
			text = strconv.FormatInt(int64(n), 10) + u.name
		}
	}
	return cmp.Or(text, span(time.Duration(seconds*float64(time.Second))))
}

// ratio writes a plain number for people: 10, 1.67, 0.004.
func ratio(x float64) string {
	if x != 0 && x < 0.1 {
		return strconv.FormatFloat(x, 'g', 2, 64)
	}
	return decimal(x, 2)
}

// money writes an amount, in cents only where it is small: 1,200 EUR.
func money(amount float64, currency string) string {
	text := grouped(uint64(min(max(0, amount), 1e18)))
	if amount < 100 {
		text = strconv.FormatFloat(amount, 'f', 2, 64)
	}
	return strings.TrimSpace(text + " " + currency)
}
