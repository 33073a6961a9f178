package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"resilience/internal/plan"
	"resilience/internal/shadow"
)

// replayTable tells what the shadow tests of a phase would ask, of whom, and what of it
// may change data.
func replayTable(w io.Writer, p plan.Plan, phase plan.Phase) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	some := false
	for _, test := range phase.Tests {
		if test.Shadow == nil {
			continue
		}
		if !some {
			fmt.Fprintln(t, "REPLAY\tWHAT")
		}
		some = true
		recording, err := recordingLine(p, *test.Shadow)
		if err != nil {
			return err
		}
		for _, line := range []string{recording, askedLine(p, phase, *test.Shadow), writesLine(test.Shadow.Writes)} {
			fmt.Fprintf(t, "%s\t%s\n", test.Name, line)
		}
	}
	if some {
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// recordingLine tells what there is to replay, and how long that takes at most.
func recordingLine(p plan.Plan, s plan.Shadow) (string, error) {
	r, err := shadow.Open(plan.Locate(p.Dir, s.Recording))
	if err != nil {
		return "", err
	}
	n, first, last, known := r.Extent()
	if err := r.Close(); err != nil {
		return "", err
	}
	text := fmt.Sprintf("what %s holds, which has no index that tells how much that is", s.Recording)
	if known {
		text = fmt.Sprintf("%d exchanges of %s", n, s.Recording)
	}
	if known && n > 0 {
		text += fmt.Sprintf(", recorded in %s from %s", last.Sub(first).Round(time.Millisecond), first.Format(time.RFC3339))
	}
	text += ", " + paceOf(s)
	if d, ok := replayTakes(s, n, last.Sub(first)); known && ok {
		text += fmt.Sprintf(": %s at most", d.Round(time.Millisecond))
	}
	if chosen := chosenOf(s); chosen != "" {
		text += "; of these " + chosen
	}
	return text, nil
}

func paceOf(s plan.Shadow) string {
	switch {
	case s.Rate > 0:
		return "at " + s.Rate.String()
	case s.Speed.Max():
		return "as fast as it goes"
	}
	return "at " + s.Speed.String()
}

// replayTakes is how long sending takes at most; false where only the targets tell.
func replayTakes(s plan.Shadow, n uint64, recorded time.Duration) (d time.Duration, known bool) {
	if s.Limit > 0 {
		n = min(n, s.Limit)
	}
	most := time.Duration(s.Warmup + s.Duration)
	switch {
	case s.Rate > 0:
		d = time.Duration(float64(n) / float64(s.Rate) * float64(time.Second))
	case s.Speed.Max():
		return most, s.Duration > 0
	default:
		d = time.Duration(float64(recorded) / float64(s.Speed))
	}
	if s.Duration > 0 {
		d = min(d, most)
	}
	return d, true
}

// chosenOf tells which exchanges are left out, "" where none are.
func chosenOf(s plan.Shadow) string {
	var parts []string
	if s.Sample < 1 {
		parts = append(parts, s.Sample.String()+" of the sessions")
	}
	if s.From != nil {
		parts = append(parts, "what was asked from "+time.Time(*s.From).UTC().Format(time.RFC3339))
	}
	if s.To != nil {
		parts = append(parts, "what was asked before "+time.Time(*s.To).UTC().Format(time.RFC3339))
	}
	if len(s.Routes) > 0 {
		parts = append(parts, strings.Join(s.Routes, ", "))
	}
	if len(s.Tenants) > 0 {
		parts = append(parts, "what "+strings.Join(s.Tenants, ", ")+" asked")
	}
	if len(s.Hosts) > 0 {
		parts = append(parts, "what was asked of "+strings.Join(s.Hosts, ", "))
	}
	if s.Limit > 0 {
		parts = append(parts, fmt.Sprintf("%d at most", s.Limit))
	}
	return strings.Join(parts, "; ")
}

// askedLine tells who is asked, and what the answers are compared with.
func askedLine(p plan.Plan, phase plan.Phase, s plan.Shadow) string {
	of := func(name string) string { return fmt.Sprintf("%s (%s)", name, p.Targets[name].URL) }
	text := "asks " + of(phase.Candidate)
	if s.AgainstRecorded() {
		return text + ", and compares with the recorded answers"
	}
	text += " and " + of(phase.Baseline.Target) + ", and learns noise from "
	switch target := s.NoiseTarget(); {
	case target != "":
		return text + of(target)
	case s.Noise == plan.NoiseTwice:
		return text + phase.Baseline.Target + ", which is asked twice"
	case s.Noise == plan.Recorded:
		return text + "the recorded answers"
	}
	return text + "nothing"
}

// writesLine tells on which rung of the ladder the test stands.
func writesLine(w *plan.Writes) string {
	const safe = "GET, HEAD and OPTIONS"
	switch {
	case w == nil:
		return "sends " + safe + " alone"
	case w.Tenant == "":
		return "sends " + safe + ", and as recorded: " + strings.Join(w.Routes, ", ")
	}
	text := "sends " + safe + ", and as the tenant " + w.Tenant + ": " + strings.Join(w.Routes, ", ")
	for _, route := range slices.Sorted(maps.Keys(w.Compensate)) {
		if undo := w.Compensate[route]; undo != plan.NoUndo {
			text += fmt.Sprintf("; %s is undone by %s", route, undo)
		} else {
			text += fmt.Sprintf("; nothing has to undo %s", route)
		}
	}
	return text
}
