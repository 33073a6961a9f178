package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"resilience/gates"
	"resilience/internal/plan"
)

// dryRun tells what a run would do and what its gates could show.
func dryRun(ctx context.Context, w io.Writer, p plan.Plan, names []string, o runOptions) error {
	if err := checkRecordings(p, named(p, names)); err != nil {
		return err
	}
	compared, err := findBaselines(ctx, p, named(p, names), o.baseline)
	defer compared.close()
	if err != nil {
		return err
	}
	announce := !o.secret
	for _, phase := range named(p, names) {
		slots := p.Timetable(phase)
		fmt.Fprintf(w, "phase %s against %s (%s), %s\n\n", phase.Name, phase.Candidate, p.Targets[phase.Candidate].URL, length(phase))
		if err := timeLine(w, p, phase, slots, announce); err != nil {
			return err
		}
		if announce {
			overlaps(w, p, phase)
		}
		compared.tell(w, phase)
		fmt.Fprintln(w)
		if err := replayTable(w, p, phase); err != nil {
			return err
		}
		if err := queryTable(w, p); err != nil {
			return err
		}
		if err := gateTable(w, p, phase, slots); err != nil {
			return err
		}
		foreseen(w, p, phase, slots)
	}
	if len(p.FailureModes) > 0 {
		fmt.Fprintln(w)
		untestable(w, p, named(p, names))
	}
	return nil
}

func length(phase plan.Phase) string {
	switch d := phase.Length(); {
	case d > 0:
		return d.String()
	case slices.ContainsFunc(phase.Tests, func(t plan.Test) bool { return t.Shadow != nil }):
		return "as long as its recordings say"
	}
	return "as long as its scripts say"
}

// timeLine lists tests and disruptions with their times from the start of the
// phase. Those of a game day are nobody's business.
func timeLine(w io.Writer, p plan.Plan, phase plan.Phase, slots []plan.Slot, announce bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FROM\tTO\tWHAT\t\tTRAFFIC")
	for _, test := range phase.Tests {
		kind, profile := test.Kind()
		end, traffic := test.End().String(), amount(shaped(p, test, ""))
		if test.Shadow != nil {
			end, traffic = replays(*test.Shadow, test)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", time.Duration(test.Start), end, kind, test.Name, traffic)
		if profile.Warmup > 0 {
			fmt.Fprintf(t, "%s\t%s\twarm-up\t%s\tnot judged\n", time.Duration(test.Start), test.WarmupEnd(), test.Name)
		}
	}
	lines := disruptionLines(p, phase, slots)
	if !announce && len(lines) > 0 {
		lines = []string{unannouncedLine}
	}
	for _, line := range lines {
		fmt.Fprintln(t, line)
	}
	return t.Flush()
}

// replays says when a shadow test ends at the latest, and what it sends.
func replays(s plan.Shadow, test plan.Test) (end, traffic string) {
	end = "?"
	if s.Duration > 0 {
		end = test.End().String()
	}
	pace := s.Speed.String()
	if s.Rate > 0 {
		pace = s.Rate.String()
	}
	return end, s.Recording + " at " + pace
}

// shaped gives the profile of a test. That of a canary is the rate of its schedule,
// or of one transaction in it.
func shaped(p plan.Plan, test plan.Test, transaction string) plan.Profile {
	_, profile := test.Kind()
	if test.Canary == nil {
		return profile
	}
	schedule, err := p.CanarySchedule(test.Canary.Tenants)
	if err != nil { // whoever runs it is told
		return profile
	}
	profile.VUs = 0
	for _, s := range schedule {
		if transaction == "" || transaction == s.Name {
			profile.Rate += plan.Rate(float64(max(1, len(s.As))) / time.Duration(s.Every).Seconds())
		}
	}
	return profile
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
func gateTable(w io.Writer, p plan.Plan, phase plan.Phase, slots []plan.Slot) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GATE\tSAMPLES\tNEEDED\tWHAT THEY CAN SHOW")
	for _, g := range phase.Gates {
		samples, known := expected(p, phase, slots, g.Gate)
		if q, asked := p.Queries[g.Gate.SLI]; asked {
			samples, known = looks(phase, slots, g.Gate, q)
		}
		need, counted := gates.Need(g.Gate)
		row := []string{g.Gate.Text, "?", "-", ""}
		if counted {
			row[2] = fmt.Sprint(need)
		}
		if known {
			row[1] = fmt.Sprint(samples)
			row[3] = gates.CanShow(g.Gate, samples, critical(phase, slots))
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// foreseen tells what the comparison of both arms and the watch of a phase could
// find, and in how much time.
func foreseen(w io.Writer, p plan.Plan, phase plan.Phase, slots []plan.Slot) {
	planned := gates.Planned{Baseline: phase.Baseline.Target != "", Steady: steadily(phase, slots)}
	if phase.Watch != nil {
		planned.FalseAlarms = float64(phase.Watch.FalseAlarms)
	}
	planned.Rate = func(g gates.Gate) (float64, bool) {
		samples, known := expected(p, phase, slots, g)
		return float64(samples) / planned.Steady.Seconds(), known && planned.Steady > 0
	}
	list := slices.DeleteFunc(phase.Sentences(), func(g gates.Gate) bool { return g.Waiver.Active(time.Now()) })
	for i, line := range gates.Foresee(list, planned) {
		if i == 0 {
			fmt.Fprintln(w, "\nWith a probability of 90 %:")
		}
		fmt.Fprintln(w, line)
	}
}

// steadily is how long the longest of the tests is steady.
func steadily(phase plan.Phase, slots []plan.Slot) (longest time.Duration) {
	for _, test := range phase.Tests {
		sum := time.Duration(0)
		for _, s := range spans(slots, test, gates.Period{Kind: gates.Steady}) {
			sum += s.to - s.from
		}
		longest = max(longest, sum)
	}
	return longest
}

// critical counts the checks that share the allowed error: "each" makes one
// for every disruption.
func critical(phase plan.Phase, slots []plan.Slot) (n int) {
	for _, g := range phase.Gates {
		switch kind := g.Gate.Period.Kind; {
		case g.Gate.Severity == gates.Warning, g.Gate.Advisory != "":
		case kind == gates.DuringEach || kind == gates.AfterEach:
			n += max(1, len(partNames(slots)))
		default:
			n++
		}
	}
	if phase.Extend > 0 { // which is judged twice
		n *= 2
	}
	return n
}

// expected estimates the samples a gate will get: the arrivals of its tests in
// its period. An iteration of a script makes at least one attempt; how many it
// makes only the script knows.
func expected(p plan.Plan, phase plan.Phase, slots []plan.Slot, g gates.Gate) (samples uint64, known bool) {
	if gates.OfTimes(g) || g.SLI == "budget" || g.SLI == "composed" {
		return 0, false
	}
	sum := 0.0
	for _, test := range phase.Tests {
		profile := shaped(p, test, g.Of)
		if _, ok := profile.Total(); !ok || !profile.Open() {
			return 0, false
		}
		if g.From != "" && g.From != test.Name {
			continue
		}
		for _, s := range spans(slots, test, g.Period) {
			if g.Period.Kind != gates.Overall { // the seconds with its edges in them do not count
				s.to = max(s.from, s.to-time.Second)
			}
			sum += profile.Arrivals(s.from-time.Duration(test.Start), s.to-time.Duration(test.Start))
		}
	}
	return uint64(math.Floor(sum)), true
}

// queryTable lists what the monitoring is asked meanwhile.
func queryTable(w io.Writer, p plan.Plan) error {
	if len(p.Queries) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "QUERY\tTYPE\tSOURCE\tASKED")
	for _, name := range slices.Sorted(maps.Keys(p.Queries)) {
		q := p.Queries[name]
		kind := q.Type
		if q.Share() {
			kind = "share"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\tevery %s\n", name, kind, q.From, q.Every)
	}
	fmt.Fprintln(t)
	return t.Flush()
}

// looks is how many values a query will give in the period of a gate.
func looks(phase plan.Phase, slots []plan.Slot, g gates.Gate, q plan.Query) (n uint64, known bool) {
	every := time.Duration(q.Every)
	if q.Share() { // only the system knows of how many
		return 0, false
	}
	for _, test := range phase.Tests {
		if phase.Length() == 0 {
			return 0, false
		}
		if test.End() < phase.Length() { // the longest counts
			continue
		}
		for _, s := range spans(slots, test, g.Period) {
			n += uint64(max(0, s.to-s.from) / every)
		}
		return n, true
	}
	return 0, false
}
