package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"

	"resilience/gates"
	"resilience/internal/measure"
)

const (
	textIndent   = "  "
	textDetail   = "      "
	textExamples = 6 // failures shown; the record has the rest
	textWarnings = 8
)

// writeText writes the document for a terminal: the answer first, then the
// gates, then what explains those that did not pass. A pass is short.
func writeText(w io.Writer, doc Document, options Options) error {
	p := &page{width: options.width(), color: options.Color}
	p.headline(doc)
	for _, v := range doc.Phases {
		p.phase(v, len(doc.Phases) > 1)
	}
	p.failureModes(doc.FailureModes)
	if doc.Outcome != gates.Pass {
		p.examples(doc.Examples)
	}
	p.footer(doc)
	_, err := w.Write(p.out.Bytes())
	return err
}

// page collects lines of text for a terminal of a certain width.
type page struct {
	out   bytes.Buffer
	width int
	color bool
}

// paint colours s as its outcome, where colours are wanted.
func (p *page) paint(o gates.Outcome, s string) string {
	switch {
	case o == gates.Pass:
		return p.style(s, text.FgGreen)
	case o == gates.Fail:
		return p.style(s, text.FgRed, text.Bold)
	}
	return p.style(s, text.FgYellow, text.Bold)
}

// style sets attributes by the escape sequences of ECMA-48 (SGR).
func (p *page) style(s string, colors ...text.Color) string {
	if !p.color || s == "" {
		return s
	}
	return text.Colors(colors).EscapeSeq() + s + text.Reset.EscapeSeq()
}

func (p *page) faint(s string) string { return p.style(s, text.Faint) }

// line writes one line. One that begins with "::" would be a command in the
// log of a GitHub workflow, wherever a text was broken; it is spaced out.
func (p *page) line(format string, args ...any) {
	line := strings.TrimRight(fmt.Sprintf(format, args...), " ")
	if rest := strings.TrimLeft(line, " "); strings.HasPrefix(rest, "::") {
		line = line[:len(line)-len(rest)] + ": " + rest[1:]
	}
	p.out.WriteString(line + "\n")
}

// wrapped writes text with its first line after lead and the others below,
// none of it wider than the page.
func (p *page) wrapped(lead, s string) {
	indent := strings.Repeat(" ", text.StringWidthWithoutEscSequences(lead))
	for i, line := range wrap(s, p.width-len(indent)) {
		if i > 0 {
			lead = indent
		}
		p.line("%s%s", lead, line)
	}
}

// wrap breaks a text into lines at words, and inside of those that are wider
// than a line.
func wrap(s string, width int) []string {
	wrapped := strings.TrimRight(text.WrapSoft(s, max(width, 4)), "\n ")
	lines := strings.Split(wrapped, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// headline is the answer: the outcome, the reason and the exit code.
func (p *page) headline(doc Document) {
	word := strings.ToUpper(doc.Outcome.String())
	p.wrapped(p.paint(doc.Outcome, word)+textIndent, subject(doc))
	if doc.Outcome == gates.Pass {
		p.wrapped(textIndent, fmt.Sprintf("%s Exit code %d.", sentence(doc.Reason), doc.ExitCode))
		return
	}
	p.wrapped(textIndent, p.style(sentence(doc.Reason), text.Bold))
	p.wrapped(textIndent, fmt.Sprintf("Exit code %d: %s.", doc.ExitCode, meaning(doc.ExitCode)))
}

// subject says what was judged: the plan, the phase, when and for how long.
func subject(doc Document) string {
	parts := []string{printable(doc.Run.Plan)}
	switch len(doc.Phases) {
	case 0:
	case 1:
		parts = append(parts, printable(doc.Phases[0].Phase))
	default:
		parts = append(parts, plural(uint64(len(doc.Phases)), "phase"))
	}
	if !doc.Run.Ended.IsZero() {
		parts = append(parts, span(doc.Run.Ended.Sub(doc.Run.Started)))
	}
	return strings.Join(parts, " · ")
}

// sentence makes a reason a sentence with a full stop.
func sentence(s string) string {
	s = printable(s)
	if s == "" {
		return ""
	}
	if !strings.HasSuffix(s, ".") && !strings.HasSuffix(s, "…") {
		s += "."
	}
	return s
}

// phase writes one verdict.
func (p *page) phase(v gates.Verdict, named bool) {
	p.line("")
	if named {
		p.wrapped(textIndent+p.paint(v.Outcome, mark(v.Outcome)+" "+v.Outcome.String())+textIndent,
			printable(v.Phase)+" · "+score(v.Checks))
		if v.Outcome != gates.Pass {
			p.wrapped(textDetail, sentence(v.Reason))
		}
		p.line("")
	}
	p.gates(v.Checks)
	if len(v.Scores) > 0 {
		p.wrapped(textIndent, scoreLine(v.Scores))
	}
	p.reasons(v.Checks)
	p.versions(v.Versions, v.Baselines)
	p.replayed(v.Shadow)
	p.disruptions(v.Disruptions)
	p.noticed(v.Disruptions)
	p.objectives(v.Objectives)
	p.model(v.Model)
	p.traffic(v.Traffic)
	p.warnings(v.Warnings)
}

// reasons explains each gate that did not pass, and what to know about others.
func (p *page) reasons(checks []gates.Check) {
	for _, c := range checks {
		lines := because(c)
		if c.Outcome == gates.Pass {
			lines = c.Warnings
		}
		if len(lines) == 0 {
			continue
		}
		p.line("")
		p.wrapped(textIndent+p.paint(colour(c), sign(c))+" ", printable(c.Text))
		for _, line := range lines {
			p.wrapped(textDetail, printable(line))
		}
	}
}

// versions says which versions the verdict is about, and what they were compared
// with.
func (p *page) versions(versions []gates.Version, compared []gates.BaselineRun) {
	if len(versions)+len(compared) > 0 {
		p.line("")
	}
	for _, v := range versions {
		p.wrapped(textIndent+p.faint("version")+textIndent, versionLine(v))
	}
	if len(compared) > 0 {
		p.wrapped(textIndent, comparedLine(compared))
	}
}

func (p *page) warnings(warnings []string) {
	if len(warnings) == 0 {
		return
	}
	p.line("")
	for i, w := range warnings {
		if i == textWarnings {
			p.line("%s%s more; see the json report", textIndent, plural(uint64(len(warnings)-i), "warning"))
			return
		}
		p.wrapped(textIndent+p.style("!", text.FgYellow)+" ", printable(w))
	}
}

// examples shows failures to mend. What the system under test said stands
// behind a bar on every line, so that a CI log takes none of it for a command.
func (p *page) examples(examples []measure.Example) {
	if len(examples) == 0 {
		return
	}
	p.line("")
	p.line("%s%s", textIndent, p.faint("examples of failures"))
	rest := len(examples)
	for _, e := range varied(alike(examples), textExamples, 2) {
		rest -= e.times
		for i, line := range e.lines() {
			lead := textIndent + "│ "
			if i > 0 {
				lead += "  "
			}
			for _, l := range wrap(line, p.width-text.StringWidthWithoutEscSequences(lead)) {
				p.line("%s%s", lead, l)
			}
		}
	}
	if rest > 0 {
		p.line("%s%s more in the record", textIndent, grouped(uint64(rest)))
	}
}

// footer says where everything is and how to see this again.
func (p *page) footer(doc Document) {
	if doc.Record != "" || doc.Reproduce != "" {
		p.line("")
	}
	if doc.Record != "" {
		p.wrapped(textIndent+p.faint("record")+"  ", printable(doc.Record))
	}
	if doc.Reproduce != "" {
		p.wrapped(textIndent+p.faint("again")+"   ", printable(doc.Reproduce))
	}
}
