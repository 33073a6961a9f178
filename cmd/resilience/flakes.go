package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/store"
)

// system is what runs are alike in: then their gates ought to say the same.
type system struct{ plan, phase, version string }

// unknownVersion stands where a target does not tell its version.
const unknownVersion = "unknown"

// writeFlakes tells how often each gate failed over runs of one version.
func writeFlakes(out io.Writer, list []store.Summary) error {
	verdicts := map[system][]gates.Verdict{}
	var order []system
	for _, run := range list {
		for _, v := range verdictsOf(run) {
			key := system{run.Run.Plan, v.Phase, candidateVersion(v)}
			if verdicts[key] == nil {
				order = append(order, key)
			}
			verdicts[key] = append(verdicts[key], v)
		}
	}
	if len(order) == 0 {
		fmt.Fprintln(out, "none of these runs was judged")
		return nil
	}
	slices.SortStableFunc(order, func(a, b system) int {
		return cmp.Or(strings.Compare(a.plan, b.plan), strings.Compare(a.phase, b.phase))
	})
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PLAN\tPHASE\tVERSION\tGATE\tRUNS\tFAILED\tINCONCLUSIVE\tFAILS")
	for _, key := range order {
		for _, f := range gates.Flakes(verdicts[key]) {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", key.plan, key.phase, key.version, f.Gate, f.Runs, f.Failed, f.Inconclusive, flakeText(f))
		}
	}
	return w.Flush()
}

func candidateVersion(v gates.Verdict) string {
	for _, version := range v.Versions {
		if version.Arm == measure.Candidate && version.Before == version.After {
			return cmp.Or(version.Before, unknownVersion)
		}
	}
	return unknownVersion
}

// flakeText gives a share with what it may really be: "10 % (0.3 % to 44.5 %)".
func flakeText(f gates.Flake) string {
	rate, ok := f.Rate()
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%s (%s to %s)", shareText(rate), shareText(f.Low), shareText(f.High))
}

func shareText(share float64) string {
	return strconv.FormatFloat(100*share, 'g', 3, 64) + " %"
}
