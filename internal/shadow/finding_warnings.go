package shadow

import (
	"fmt"
	"strings"
)

// Warnings tell what a reader of the findings should know. Where the instance that serves
// as baseline tells its own noise, what each instance has of its own is not noise.
func (f *Findings) Warnings(own bool) []string {
	all := f.List()
	warnings := crowdedWarnings(all)
	for _, warning := range []string{hastyWarning(all, f.options.Block.Seconds()), unvariedWarning(all, own)} {
		if warning != "" {
			warnings = append(warnings, warning)
		}
	}
	return warnings
}

// crowdedWarnings warn of routes whose answers differ in so many ways that not all of them
// are listed: what is wrong may be among the rest.
func crowdedWarnings(all []Finding) (warnings []string) {
	for _, f := range all {
		if f.Kind == TooMany && f.Class == Noise {
			warnings = append(warnings, fmt.Sprintf("%s: %d of %d pairs of answers differ in more than %d ways, and so do two answers of the baseline: what is beyond them was not compared; ignore: what differs whenever one asks", f.Route, f.Differing, f.Pairs, maxDifferences))
		}
	}
	return warnings
}

// hastySeen is how often is often enough.
const hastySeen = 20

// hastyWarning warns of what was seen often, and in too short a time to be told from noise.
func hastyWarning(all []Finding, block float64) string {
	var places []string
	for _, f := range all {
		if f.Class == Undecided && f.Kind != Unserved && f.NoiseDiffering == 0 && f.Evidence.Seen.Candidate.N >= max(hastySeen, 2*f.blocks) {
			places = append(places, f.Route+" "+ShownPlace(f.Place))
		}
	}
	if len(places) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: seen in too short a time to be told from noise, however often: what happens within %gs has one cause, and a regression takes 10 to 30 of these; ask for a minute, or less often", someOf(places), block)
}

// unvariedShare is in which share of all answers a field has one and the same value that
// may be what an instance tells of itself.
const unvariedShare = 0.9

// unvariedWarning warns of regressions in which all answers of the baseline have one value,
// and all of the candidate another.
func unvariedWarning(all []Finding, own bool) string {
	var places []string
	for _, f := range all {
		if own && f.Class == Regression && f.unvaried && f.NoiseDiffering == 0 && f.share() >= unvariedShare && (f.Kind == Changed || f.Kind == ID) {
			places = append(places, f.Route+" "+ShownPlace(f.Place))
		}
	}
	if len(places) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: all answers of the baseline have one value, and all of the candidate another: where an instance tells its name there, name a second instance of the baseline for noise, or ignore it; where it is the version, expect it", someOf(places))
}

// someOf lists the first of some texts, and tells how many more there are.
func someOf(texts []string) string {
	const most = 5
	if more := len(texts) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(texts[:most], ", "), more)
	}
	return strings.Join(texts, ", ")
}
