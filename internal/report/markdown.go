package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"resilience/gates"
	"resilience/internal/measure"
)

// markdownRows is how many passing gates a phase shows before the others go
// into a folded table.
const markdownRows = 30

// writeMarkdown writes the document for a step summary or a comment on a pull
// request (GitHub flavoured Markdown): the answer and the gates, the rest in
// details to unfold.
func writeMarkdown(w io.Writer, doc Document, _ Options) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## %s %s: %s\n\n", emoji(doc.Outcome), doc.Outcome, markdownText(subject(doc)))
	fmt.Fprintf(&b, "**%s** Exit code %d (%s).\n", markdownText(sentence(doc.Reason)), doc.ExitCode, markdownText(meaning(doc.ExitCode)))
	for _, v := range doc.Phases {
		markdownPhase(&b, v, len(doc.Phases) > 1)
	}
	markdownFailureModes(&b, doc.FailureModes)
	markdownExamples(&b, doc.Examples)
	markdownFooter(&b, doc)
	_, err := w.Write(b.Bytes())
	return err
}

func emoji(o gates.Outcome) string {
	switch o {
	case gates.Pass:
		return "✅"
	case gates.Fail:
		return "❌"
	}
	return "⚠️"
}

func markdownPhase(b *bytes.Buffer, v gates.Verdict, named bool) {
	if named {
		fmt.Fprintf(b, "\n### %s %s: %s\n\n%s\n", emoji(v.Outcome), v.Outcome, markdownText(v.Phase), markdownText(sentence(v.Reason)))
	}
	markdownGates(b, v.Checks)
	if len(v.Scores) > 0 {
		fmt.Fprintf(b, "\n%s\n", markdownText(scoreLine(v.Scores)))
	}
	markdownReasons(b, v.Checks)
	for _, version := range v.Versions {
		fmt.Fprintf(b, "- version of %s\n", markdownText(versionLine(version)))
	}
	if len(v.Baselines) > 0 {
		fmt.Fprintf(b, "- %s\n", markdownText(comparedLine(v.Baselines)))
	}
	markdownReplayed(b, v.Shadow)
	for _, w := range v.Warnings {
		fmt.Fprintf(b, "- ⚠️ %s\n", markdownText(w))
	}
	if len(v.Disruptions) > 0 {
		rows := make([][]string, 0, len(v.Disruptions))
		for _, d := range v.Disruptions {
			proof := touched(d)
			if !d.Bit {
				proof = strings.TrimSuffix("did not bite: "+touched(d)+"; "+d.Reason, "; ")
			}
			rows = append(rows, []string{emoji(bit(d)), d.Name, faultOf(d), lasted(d), proof})
		}
		folded(b, "Disruptions", []string{"", "disruption", "fault", "in effect (UTC)", "proof"}, rows)
	}
	markdownNoticed(b, v.Disruptions)
	markdownObjectives(b, v)
	if len(v.Traffic) > 0 {
		rows := make([][]string, 0, len(v.Traffic))
		for _, t := range v.Traffic {
			rows = append(rows, []string{
				sender(t, severalArms(v.Traffic)), grouped(t.Attempts), rate(t), failures(t),
				millis(t.P50), millis(t.P95), millis(t.P99), millis(t.Max), strings.Join(unsaid(t), "; "),
			})
		}
		folded(b, "Traffic", []string{"test", "attempts", "rate", "failed", "p50", "p95", "p99", "max", ""}, rows)
	}
}

// markdownGates shows the gates in the order of the plan. Where there are very
// many, those that pass are folded away.
func markdownGates(b *bytes.Buffer, checks []gates.Check) {
	header := []string{"", "gate", "period", "observed", "objective", "samples", "result"}
	var open, away [][]string
	for _, c := range checks {
		row := []string{emoji(colour(c)), rule(c), c.Period, orDash(c.Observed), orDash(c.Objective), grouped(c.Samples), result(c)}
		if c.Outcome == gates.Pass && len(checks) > markdownRows {
			away = append(away, row)
		} else {
			open = append(open, row)
		}
	}
	fmt.Fprintf(b, "\n%s\n", score(checks))
	if len(open) > 0 {
		b.WriteString("\n")
		markdownTable(b, header, open)
	}
	if len(away) > 0 {
		folded(b, "Gates that pass", header, away)
	}
}

func markdownReasons(b *bytes.Buffer, checks []gates.Check) {
	first := true
	for _, c := range checks {
		if c.Outcome == gates.Pass && len(c.Warnings) == 0 {
			continue
		}
		if first {
			b.WriteString("\n")
			first = false
		}
		fmt.Fprintf(b, "- %s **%s**\n", emoji(colour(c)), markdownText(c.Text))
		for _, line := range because(c) {
			fmt.Fprintf(b, "  - %s\n", markdownText(line))
		}
	}
}

func markdownExamples(b *bytes.Buffer, examples []measure.Example) {
	if len(examples) == 0 {
		return
	}
	rows := make([][]string, 0, len(examples))
	for _, e := range varied(alike(examples), 20, measure.MaxExamples) {
		rows = append(rows, []string{e.Test, e.what(), e.Request, e.Status, e.Message, e.TraceID})
	}
	folded(b, "Examples of failures", []string{"test", "kind", "request", "status", "message", "trace"}, rows)
}

func markdownFooter(b *bytes.Buffer, doc Document) {
	var parts []string
	if doc.Run.ID != "" {
		parts = append(parts, "run "+markdownText(doc.Run.ID))
	}
	if doc.Record != "" {
		parts = append(parts, "record "+markdownText(doc.Record))
	}
	if doc.Reproduce != "" {
		parts = append(parts, "again: "+markdownText(doc.Reproduce))
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "\n<sub>%s</sub>\n", strings.Join(parts, " · "))
	}
}

// folded is a table that is shown when asked for.
func folded(b *bytes.Buffer, title string, header []string, rows [][]string) {
	fmt.Fprintf(b, "\n<details><summary>%s (%d)</summary>\n\n", title, len(rows))
	markdownTable(b, header, rows)
	b.WriteString("\n</details>\n")
}

// markdownTable writes a table; the cells are escaped here and nowhere else.
func markdownTable(b *bytes.Buffer, header []string, rows [][]string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat(" --- |", len(header)))
	for _, row := range rows {
		b.WriteString("|")
		for _, cell := range row {
			fmt.Fprintf(b, " %s |", markdownText(cell))
		}
		b.WriteString("\n")
	}
}
