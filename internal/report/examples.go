package report

import (
	"strings"
	"time"

	"resilience/internal/measure"
)

// varied picks up to limit examples and up to each of a kind, the first of
// every kind before the second of any, so that one frequent failure does not
// hide the others.
func varied(examples []measure.Example, limit, each int) []measure.Example {
	type kind struct{ test, arm, kind string }
	rounds := map[kind]int{}
	round := make([]int, len(examples))
	for i, e := range examples {
		k := kind{e.Test, e.Arm, e.Kind}
		round[i] = rounds[k]
		rounds[k]++
	}
	var picked []measure.Example
	for r := range each {
		for i, e := range examples {
			if round[i] == r && len(picked) < limit {
				picked = append(picked, e)
			}
		}
	}
	return picked
}

// exampleLines describes one failure: what and where, then what was said.
func exampleLines(e measure.Example) []string {
	head := time.Unix(0, e.At).UTC().Format("15:04:05")
	for _, part := range []string{e.Test, e.Kind, e.Request} {
		if part != "" {
			head += "  " + printable(part)
		}
	}
	detail := printable(e.Message)
	if e.TraceID != "" {
		detail = strings.TrimSpace(detail + "  trace " + printable(e.TraceID))
	}
	if detail == "" {
		return []string{head}
	}
	return []string{head, detail}
}
