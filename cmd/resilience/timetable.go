package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"resilience/gates"
	"resilience/internal/plan"
)

// shownTimes is how many injections of one disruption a time line shows before
// it leaves out all but the last.
const shownTimes = 6

// unannouncedLine is the row of a time line for all that nobody shall expect.
const unannouncedLine = "?\t?\tdisruptions\t\tnot announced"

// disruptionLines are the rows of a time line for all injections.
func disruptionLines(p plan.Plan, phase plan.Phase, slots []plan.Slot) (lines []string) {
	times, last := map[string]int{}, map[string]string{}
	for _, s := range slots {
		d := s.Disruption
		times[d.Name]++
		fault, _ := d.Fault()
		from, to := between(s.From, s.Late), between(s.To, s.Late)
		name, what := d.Name, severity(d)+whereTo(p, d)+order(phase, s, last[s.Sweep])
		last[s.Sweep] = d.Name
		if s.More {
			name, what = name+".*", what+", one after the other"
		}
		n, of := times[d.Name], d.Times()
		switch {
		case of > shownTimes && n == shownTimes/2+1:
			lines = append(lines, fmt.Sprintf("…\t…\t%s\t%s\t%d more", fault, name, of-shownTimes/2-1))
		case of > shownTimes && n > shownTimes/2 && n < of:
		default:
			lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%s\t%s", from, to, fault, name, what))
		}
	}
	return lines
}

// between writes a time that may be later.
func between(at, late time.Duration) string {
	if late == 0 {
		return at.String()
	}
	return fmt.Sprintf("%s..%s", at, at+late)
}

// order says what an injection waits for; before is the part of a sweep that
// precedes it.
func order(phase plan.Phase, s plan.Slot, before string) string {
	if s.Sweep != "" && before != "" {
		return ", after " + before
	}
	name := cmp.Or(s.Sweep, s.Disruption.Name)
	for _, d := range phase.Disruptions {
		if d.Name == name && d.After != "" {
			return ", after " + d.After
		}
	}
	return ""
}

// whereTo says what a disruption acts on.
func whereTo(p plan.Plan, d plan.Disruption) string {
	kind, what := d.On()
	fault, share := d.Fault()
	counted := map[string]string{"tcp": "connections", "dns": "queries"}[p.Dependencies[d.Dependency].Protocol]
	switch {
	case fault == "drop":
		counted = "packets"
	case d.Kubernetes != nil && d.Kubernetes.Protocol == "tcp":
		counted = "connections"
	}
	if kind == plan.OnDependency || d.Share > 0 { // there is something to pick from
		return fmt.Sprintf("%.4g%% of %s%s to %s%s", 100*share, first(d), cmp.Or(counted, "requests"), what, flapping(d))
	}
	if kind == plan.OnAnything || kind == plan.OnMachine {
		return what
	}
	return kind + " " + what
}

// first says how many of what it meets a disruption touches, where that is
// limited.
func first(d plan.Disruption) string {
	if d.First == 0 {
		return ""
	}
	return fmt.Sprintf("the first %d ", d.First)
}

// flapping says how a disruption comes and goes, where it does.
func flapping(d plan.Disruption) string {
	if d.Flap == nil {
		return ""
	}
	return fmt.Sprintf(", %s on and %s off", d.Flap.On, d.Flap.Off)
}

// severity says how bad a fault is.
func severity(d plan.Disruption) string {
	switch {
	case d.Latency != nil && d.Latency.Jitter > 0:
		return fmt.Sprintf("%s ± %s (%s) for ", time.Duration(d.Latency.Delay), time.Duration(d.Latency.Jitter), cmp.Or(d.Latency.Distribution, "uniform"))
	case d.Latency != nil:
		return fmt.Sprintf("%s for ", time.Duration(d.Latency.Delay))
	case d.Error != nil && d.Error.GRPC != "":
		return fmt.Sprintf("status %s for ", d.Error.GRPC)
	case d.Error != nil:
		return fmt.Sprintf("status %d for ", d.Error.Status)
	}
	return ""
}

// overlaps warns of disruptions that may be in effect at the same time.
func overlaps(w io.Writer, p plan.Plan, phase plan.Phase) {
	for i, pair := range p.Overlaps(phase) {
		if i == 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "! %s and %s may overlap: what happens while both are in effect counts during each of them\n", pair[0], pair[1])
	}
}

// partNames are the names that injections are recorded under, in the order of
// their times.
func partNames(slots []plan.Slot) (names []string) {
	for _, s := range slots {
		if !slices.Contains(names, s.Disruption.Name) {
			names = append(names, s.Disruption.Name)
		}
	}
	return names
}

// span is a planned stretch of a phase.
type span struct{ from, to time.Duration }

// spans is the planned period of a gate within a test. Of `during each` and
// `after each` the first disruption stands for all.
func spans(slots []plan.Slot, test plan.Test, period gates.Period) []span {
	whole := span{test.WarmupEnd(), test.End()}
	name := period.Name
	if period.Kind == gates.DuringEach || period.Kind == gates.AfterEach {
		name = append(partNames(slots), "")[0]
	}
	rest := []span{whole}
	var during, after []span
	for _, s := range slots {
		rest = without(rest, span{s.From, s.To + time.Duration(*s.Disruption.Settle)})
		if s.Disruption.Name == name || s.Sweep == name && name != "" {
			during = append(during, within(whole, span{s.From, s.To})...)
			after = append(after, within(whole, span{s.To, next(slots, s.To, test.End())})...)
		}
	}
	switch period.Kind {
	case gates.Overall:
		return []span{whole}
	case gates.During, gates.DuringEach:
		return during
	case gates.After, gates.AfterEach:
		return after
	}
	return rest
}

// next is when the first injection from a time on is planned, or the end.
func next(slots []plan.Slot, from, end time.Duration) time.Duration {
	for _, s := range slots {
		if s.From >= from {
			end = min(end, s.From)
		}
	}
	return end
}

func within(whole, s span) []span {
	s = span{max(whole.from, s.from), min(whole.to, s.to)}
	if s.from >= s.to {
		return nil
	}
	return []span{s}
}

func without(all []span, hole span) []span {
	var out []span
	for _, s := range all {
		out = append(out, within(s, span{s.from, hole.from})...)
		out = append(out, within(s, span{hole.to, s.to})...)
	}
	return out
}
