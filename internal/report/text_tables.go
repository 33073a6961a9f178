package report

import (
	"cmp"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"resilience/gates"
)

// column of a table: how it is named, and how narrow it may become by
// wrapping when the page is too narrow. Numbers are never wrapped.
type column struct {
	name  string
	right bool
	least int // 0: never narrower than its widest cell
}

const (
	columnGap  = 2
	widestWord = 20 // words up to this width are kept whole on a narrow page
)

// gates writes the table of gates in the order of the plan.
func (p *page) gates(checks []gates.Check) {
	if len(checks) == 0 {
		p.line("%sno gates were judged", textIndent)
		return
	}
	columns := []column{
		{name: "  gate", least: 18},
		{name: "period", least: 12},
		{name: "observed", right: true, least: 8},
		{name: "objective", least: 9},
		{name: "samples", right: true},
		{name: "result", least: 12},
	}
	rows := make([][]string, 0, len(checks))
	for _, c := range checks {
		rows = append(rows, []string{
			sign(c) + " " + printable(rule(c)), printable(c.Period), orDash(printable(c.Observed)),
			orDash(printable(c.Objective)), grouped(c.Samples), result(c),
		})
	}
	p.table(columns, rows, func(row int, cell string) string { return p.paint(colour(checks[row]), cell) })
}

// disruptions writes when each was in effect and what it touched.
func (p *page) disruptions(disruptions []gates.Disrupted) {
	if len(disruptions) == 0 {
		return
	}
	columns := []column{{name: "  disruption", least: 16}, {name: "fault", least: 14}, {name: "in effect (UTC)", least: 20}, {name: "proof", least: 20}}
	rows := make([][]string, 0, len(disruptions))
	for _, d := range disruptions {
		rows = append(rows, []string{
			mark(bit(d)) + " " + printable(d.Name), printable(faultOf(d)), lasted(d), touched(d),
		})
	}
	p.line("")
	p.table(columns, rows, nil)
	for _, d := range disruptions {
		if !d.Bit {
			p.wrapped(textIndent+p.paint(gates.Inconclusive, "?")+" ",
				printable(d.Name+" did not bite: "+cmp.Or(d.Reason, touched(d))))
		}
	}
}

func bit(d gates.Disrupted) gates.Outcome {
	if d.Bit {
		return gates.Pass
	}
	return gates.Inconclusive
}

// traffic writes what each test sent, and what its numbers do not say.
func (p *page) traffic(traffic []gates.Traffic) {
	if len(traffic) == 0 {
		return
	}
	columns := []column{{name: "  traffic", least: 14}}
	for _, name := range []string{"attempts", "rate", "failed", "p50", "p95", "p99", "max"} {
		columns = append(columns, column{name: name, right: true})
	}
	arms := severalArms(traffic)
	rows := make([][]string, 0, len(traffic))
	for _, t := range traffic {
		rows = append(rows, []string{
			"  " + printable(sender(t, arms)), grouped(t.Attempts), rate(t), failures(t),
			millis(t.P50), millis(t.P95), millis(t.P99), millis(t.Max),
		})
	}
	p.line("")
	p.table(columns, rows, nil)
	for _, t := range traffic {
		for _, note := range unsaid(t) {
			p.wrapped(textIndent+p.style("!", text.FgYellow)+" ", printable(sender(t, arms)+": "+note))
		}
	}
}

// table writes rows below their names without any lines between: the first
// column and the last one are coloured by paint.
func (p *page) table(columns []column, rows [][]string, paint func(row int, cell string) string) {
	widths := fit(columns, rows, p.width-len(textIndent))
	t := table.NewWriter()
	t.SetStyle(plainTable())
	configs := make([]table.ColumnConfig, len(columns))
	header := make(table.Row, len(columns))
	for i, c := range columns {
		header[i] = p.faint(c.name)
		configs[i] = table.ColumnConfig{Number: i + 1, VAlign: text.VAlignTop}
		if c.right {
			configs[i].Align, configs[i].AlignHeader = text.AlignRight, text.AlignRight
		}
	}
	t.SetColumnConfigs(configs)
	t.AppendHeader(header)
	for r, row := range rows {
		t.AppendRow(cells(row, widths, func(cell string) string {
			if paint == nil {
				return cell
			}
			return paint(r, cell)
		}))
	}
	for line := range strings.SplitSeq(t.Render(), "\n") {
		p.line("%s%s", textIndent, line)
	}
}

// cells wraps the texts of a row to the widths of their columns. The sign in
// front of the first and the whole of the last are painted.
func cells(row []string, widths []int, paint func(string) string) table.Row {
	out := make(table.Row, len(row))
	for i, cell := range row {
		lines := wrap(cell, widths[i])
		if i == 0 { // later lines stand below the text, not below its sign
			sign, rest, _ := strings.Cut(cell, " ")
			if sign != "" {
				lines = wrap(rest, widths[i]-2)
				sign = paint(sign) + " "
			} else {
				lines = wrap(strings.TrimSpace(rest), widths[i]-2)
				sign = "  "
			}
			out[i] = sign + strings.Join(lines, "\n  ")
			continue
		}
		if i == len(row)-1 {
			for l := range lines {
				lines[l] = paint(lines[l])
			}
		}
		out[i] = strings.Join(lines, "\n")
	}
	return out
}

// fit gives each column the width of its widest cell. If that is more than the
// page has, the widest of those that may be wrapped gives way first.
func fit(columns []column, rows [][]string, width int) []int {
	widths, least := make([]int, len(columns)), make([]int, len(columns))
	total := columnGap * (len(columns) - 1)
	for i, c := range columns {
		widths[i], least[i] = text.StringWidthWithoutEscSequences(c.name), c.least
		for _, row := range rows {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(row[i]))
			if i > 0 && c.least > 0 { // the first has names of any length, and is broken where it must
				least[i] = max(least[i], min(longestWord(row[i]), widestWord))
			}
		}
		total += widths[i]
	}
	total = narrow(widths, least, total, width)
	for i, c := range columns { // still too wide: words are broken, too
		least[i] = c.least
	}
	narrow(widths, least, total, width)
	return widths
}

// narrow takes from the widest column that may give something, one character
// at a time, until the total fits or none is left. A column whose least is 0
// gives nothing.
func narrow(widths, least []int, total, width int) int {
	for ; total > width; total-- {
		widest := -1
		for i := range widths {
			if least[i] > 0 && widths[i] > least[i] && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break // a page narrower than its numbers: lines run over
		}
		widths[widest]--
	}
	return total
}

// longestWord is the width of the widest word.
func longestWord(cell string) int {
	longest := 0
	for word := range strings.FieldsSeq(cell) {
		longest = max(longest, text.StringWidthWithoutEscSequences(word))
	}
	return longest
}

// plainTable has no borders: white space is enough, and copies well.
func plainTable() table.Style {
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Format.Header = text.FormatDefault
	style.Box.PaddingLeft, style.Box.PaddingRight = "", strings.Repeat(" ", columnGap)
	return style
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
