package report

import (
	"bytes"
	"fmt"
	"strings"

	"resilience/gates"
)

// failureModes writes each mode with its risk before and after the run, and why
// those that the system did not withstand are as they are.
func (p *page) failureModes(f *FailureModes) {
	if f == nil {
		return
	}
	columns := []column{
		{name: "  failure mode", least: 18},
		{name: "effect", least: 12},
		{name: "rated", right: true},
		{name: "before", right: true},
		{name: "after", right: true},
		{name: "result"},
	}
	rows := make([][]string, 0, len(f.Modes))
	for _, m := range f.Modes {
		rows = append(rows, []string{
			mark(m.Outcome) + " " + printable(m.Name), printable(m.Effect), m.ratings(),
			grouped(uint64(m.Before)), grouped(uint64(m.After)), m.result(),
		})
	}
	p.line("")
	p.table(columns, rows, func(row int, cell string) string { return p.paint(f.Modes[row].Outcome, cell) })
	for _, m := range f.Modes {
		switch lead := textIndent + p.paint(m.Outcome, mark(m.Outcome)) + " "; m.Outcome {
		case gates.Fail:
			p.wrapped(lead, printable(m.Name+": "+m.Reason))
		case gates.Inconclusive:
			p.wrapped(lead, printable(m.Name+": untested: "+m.Reason))
		}
	}
	p.wrapped(textIndent, f.coverage())
}

func markdownFailureModes(b *bytes.Buffer, f *FailureModes) {
	if f == nil {
		return
	}
	rows := make([][]string, 0, len(f.Modes))
	for _, m := range f.Modes {
		rows = append(rows, []string{
			emoji(m.Outcome), m.Name, m.Effect, m.tests(), m.ratings(),
			grouped(uint64(m.Before)), grouped(uint64(m.After)), strings.TrimSuffix(m.result()+": "+m.Reason, ": "),
		})
	}
	fmt.Fprintf(b, "\n%s\n", markdownText(f.coverage()))
	folded(b, "Failure modes", []string{"", "failure mode", "effect", "tested by", "severity × likelihood × detection", "risk before", "after", "result"}, rows)
}

// junitFailureModes is a suite with a case for each mode: one that failed is a
// failure, which a gate is too; one that is untested is skipped.
func junitFailureModes(doc Document) junitSuite {
	s := junitSuite{Name: "failure modes", Time: "0.000", Properties: junitProperties(doc), SystemOut: doc.FailureModes.coverage()}
	names := map[string]int{}
	for _, m := range doc.FailureModes.Modes {
		c := junitCase{
			Class: "resilience.failure-modes", Name: distinct(printable(m.Name), names), Time: "0.000",
			SystemOut: printable(fmt.Sprintf("%s: effect %s, risk priority %s = %d before, %d after, tested by %s",
				m.result(), m.Effect, m.ratings(), m.Before, m.After, m.tests())),
		}
		switch m.Outcome {
		case gates.Fail:
			c.Failure = &junitProblem{Message: printable(m.Reason), Type: causeWord(gates.System)}
		case gates.Inconclusive:
			c.Skipped = &junitProblem{Message: printable("untested: " + m.Reason)}
		}
		s.Cases = append(s.Cases, c)
	}
	return s
}

// githubFailureModes are notes on coverage: a warning for what is untested, a
// notice where nothing is.
func githubFailureModes(f *FailureModes) (notices, warnings []annotation) {
	if f == nil {
		return nil, nil
	}
	a := annotation{"failure modes", printable(f.coverage())}
	missing := f.untested()
	if len(missing) == 0 {
		return []annotation{a}, nil
	}
	a.message += "\n" + printable("untested: "+strings.Join(missing, ", "))
	return nil, []annotation{a}
}
