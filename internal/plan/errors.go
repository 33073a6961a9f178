package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Problem is one mistake in a plan.
type Problem struct {
	File    string // as the user gave it; relative to the plan for included files
	Line    int    // from 1
	Column  int    // from 1, in characters
	Message string // what is wrong
	Hint    string // what to do; may be empty
}

// Error gives file:line:column: message; hint.
func (p *Problem) Error() string {
	text := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return text
}

// Errors are all mistakes that were found in a plan, in the order of their
// places.
type Errors []*Problem

// Error gives one line for each mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single mistakes.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, p := range e {
		errs[i] = p
	}
	return errs
}

// ordered sorts mistakes by place and drops those that are said twice, as
// happens when an anchor is used twice. Nil when there are none.
func (e Errors) ordered() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(e, func(a, b *Problem) bool { return *a == *b })
}

// maxProblems is how many mistakes are kept: nobody mends more at a time.
const maxProblems = 1000

// report is where the stages of the pipeline leave what they found.
type report struct{ errs Errors }

func (r *report) add(at place, hint, format string, args ...any) {
	if len(r.errs) >= maxProblems {
		return
	}
	r.errs = append(r.errs, &Problem{
		File: at.file, Line: at.line, Column: at.column,
		Message: printable(fmt.Sprintf(format, args...)), Hint: printable(hint),
	})
}

// printable keeps a message on its line: what a plan holds may be anything.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
	}
	return b.String()
}

// place is where something is written.
type place struct {
	file         string
	line, column int
}
