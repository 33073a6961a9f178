package report

import (
	"fmt"
	"strings"
	"time"

	"resilience/internal/measure"
)

// failure is an example and how many say the same.
type failure struct {
	measure.Example
	times int
}

// alike takes examples together that differ by nothing but their time; the
// first stands for all.
func alike(examples []measure.Example) []failure {
	var failures []failure
	index := map[measure.Example]int{}
	for _, e := range examples {
		key := e
		key.At = 0
		i, seen := index[key]
		if !seen {
			i = len(failures)
			index[key] = i
			failures = append(failures, failure{Example: e})
		}
		failures[i].times++
	}
	return failures
}

// varied picks up to limit failures and up to each of a kind, the first of
// every kind before the second of any, so that one frequent failure does not
// hide the others.
func varied(failures []failure, limit, each int) []failure {
	type kind struct{ test, arm, kind string }
	rounds := map[kind]int{}
	round := make([]int, len(failures))
	for i, e := range failures {
		k := kind{e.Test, e.Arm, e.Kind}
		round[i] = rounds[k]
		rounds[k]++
	}
	var picked []failure
	for r := range each {
		for i, e := range failures {
			if round[i] == r && len(picked) < limit {
				picked = append(picked, e)
			}
		}
	}
	return picked
}

// what is the kind of the failure and how many examples there are:
// "5 x check paid-at-once".
func (f failure) what() string {
	if f.times > 1 {
		return fmt.Sprintf("%d x %s", f.times, f.Kind)
	}
	return f.Kind
}

// lines describe the failure: what and where, then what was said.
func (f failure) lines() []string {
	head := time.Unix(0, f.At).UTC().Format("15:04:05")
	for _, part := range []string{f.Test, f.what(), f.Request} {
		if part != "" {
			head += "  " + printable(part)
		}
	}
	detail := printable(f.Message)
	if f.TraceID != "" {
		detail = strings.TrimSpace(detail + "  trace " + printable(f.TraceID))
	}
	if detail == "" {
		return []string{head}
	}
	return []string{head, detail}
}
