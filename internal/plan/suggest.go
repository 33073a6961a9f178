package plan

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"resilience/gates"
)

// DidYouMean is the hint that plans give, for others who read what people wrote:
// the candidate nearest to it, or the whole list when it is short and none is
// near.
func DidYouMean(written string, candidates []string) string { return didYouMean(written, candidates) }

// didYouMean gives a hint with the candidate nearest to what was written, or
// the whole list when it is short and none is near.
func didYouMean(written string, candidates []string) string {
	slices.Sort(candidates)
	best := gates.Nearest(written, candidates)
	switch {
	case best != "":
		return fmt.Sprintf("did you mean %q?", best)
	case len(candidates) == 0:
		return "there are none"
	case len(candidates) <= 12:
		return "there are: " + strings.Join(candidates, ", ")
	}
	return ""
}

// nearestKey gives a hint for a key that a part of a plan can not have. Who
// writes a fault by another name is told those that there are.
func nearestKey(written string, in reflect.Type, fields map[string]reflect.StructField) string {
	hint := didYouMean(written, named(fields))
	if hint == "" && in == reflect.TypeFor[Disruption]() {
		return "the faults are " + strings.Join(faults, ", ")
	}
	return hint
}
