package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"resilience/gates"
	"resilience/internal/plan"
)

// dryRun tells what a run would do and what its gates could show.
func dryRun(w io.Writer, p plan.Plan, names []string) error {
	for _, phase := range named(p, names) {
		fmt.Fprintf(w, "phase %s against %s (%s), %s\n\n", phase.Name, phase.Candidate, p.Targets[phase.Candidate].URL, length(phase.Length()))
		if err := timeLine(w, phase); err != nil {
			return err
		}
		fmt.Fprintln(w)
		if err := gateTable(w, phase); err != nil {
			return err
		}
	}
	return nil
}

func length(d time.Duration) string {
	if d == 0 {
		return "as long as its scripts say"
	}
	return d.String()
}

// timeLine lists tests and disruptions with their times from the start of the
// phase.
func timeLine(w io.Writer, phase plan.Phase) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FROM\tTO\tWHAT\t\tTRAFFIC")
	for _, test := range phase.Tests {
		kind, profile := test.Kind()
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", time.Duration(test.Start), test.End(), kind, test.Name, amount(profile))
		if profile.Warmup > 0 {
			fmt.Fprintf(t, "%s\t%s\twarm-up\t%s\tnot judged\n", time.Duration(test.Start), test.WarmupEnd(), test.Name)
		}
	}
	for _, d := range phase.Disruptions {
		from, to := phase.Window(d)
		fault, share := d.Fault()
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s%.4g%% of requests to %s\n", from, to, fault, d.Name, severity(d), 100*share, d.Dependency)
	}
	return t.Flush()
}

// severity says how bad a fault is.
func severity(d plan.Disruption) string {
	switch {
	case d.Latency != nil && d.Latency.Jitter > 0:
		return fmt.Sprintf("%s ± %s for ", time.Duration(d.Latency.Delay), time.Duration(d.Latency.Jitter))
	case d.Latency != nil:
		return fmt.Sprintf("%s for ", time.Duration(d.Latency.Delay))
	case d.Error != nil:
		return fmt.Sprintf("status %d for ", d.Error.Status)
	}
	return ""
}

// amount says how much a profile sends.
func amount(p plan.Profile) string {
	total, known := p.Total()
	switch {
	case p.Closed():
		return fmt.Sprintf("%d VUs", p.PeakVUs())
	case !known || total == 0:
		return "as its script says"
	case p.Script != "":
		return fmt.Sprintf("%.0f iterations, up to %s", total, p.Peak())
	}
	return fmt.Sprintf("%.0f requests, up to %s", total, p.Peak())
}

// gateTable tells how many samples each gate will get and what they can show.
func gateTable(w io.Writer, phase plan.Phase) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GATE\tSAMPLES\tNEEDED\tWHAT THEY CAN SHOW")
	for _, g := range phase.Gates {
		samples, known := expected(phase, g.Gate)
		need, counted := gates.Need(g.Gate)
		row := []string{g.Gate.Text, "?", "-", ""}
		if counted {
			row[2] = fmt.Sprint(need)
		}
		if known {
			row[1] = fmt.Sprint(samples)
			row[3] = gates.CanShow(g.Gate, samples, critical(phase))
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// critical counts the checks that share the allowed error: "each" makes one
// for every disruption.
func critical(phase plan.Phase) (n int) {
	for _, g := range phase.Gates {
		switch kind := g.Gate.Period.Kind; {
		case g.Gate.Severity == gates.Warning:
		case kind == gates.DuringEach || kind == gates.AfterEach:
			n += max(1, len(phase.Disruptions))
		default:
			n++
		}
	}
	return n
}

// expected estimates the samples a gate will get: the arrivals of its tests in
// its period. An iteration of a script makes at least one attempt; how many it
// makes only the script knows.
func expected(phase plan.Phase, g gates.Gate) (samples uint64, known bool) {
	sum := 0.0
	for _, test := range phase.Tests {
		_, profile := test.Kind()
		if _, ok := profile.Total(); !ok || !profile.Open() {
			return 0, false
		}
		if g.From != "" && g.From != test.Name {
			continue
		}
		for _, s := range spans(phase, test, g.Period) {
			if g.Period.Kind != gates.Overall { // the seconds with its edges in them do not count
				s.to = max(s.from, s.to-time.Second)
			}
			sum += profile.Arrivals(s.from-time.Duration(test.Start), s.to-time.Duration(test.Start))
		}
	}
	return uint64(math.Floor(sum)), true
}

type span struct{ from, to time.Duration }

// spans is the planned period of a gate within a test.
func spans(phase plan.Phase, test plan.Test, period gates.Period) []span {
	whole := span{test.WarmupEnd(), test.End()}
	if period.Kind == gates.Overall {
		return []span{whole}
	}
	rest := []span{whole}
	var during, after []span
	for _, d := range phase.Disruptions {
		from, to := phase.Window(d)
		rest = without(rest, span{from, to + time.Duration(*d.Settle)})
		if period.Name == "" || period.Name == d.Name {
			during = append(during, within(whole, span{from, to})...)
			after = append(after, within(whole, span{to, test.End()})...)
		}
		if period.Kind == gates.DuringEach || period.Kind == gates.AfterEach {
			break // the first stands for all
		}
	}
	switch period.Kind {
	case gates.During, gates.DuringEach:
		return during
	case gates.After, gates.AfterEach:
		return after
	}
	return rest
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
