package report

import (
	"fmt"
	"strings"

	"resilience/gates"
)

// mark is the sign of an outcome, for a quick look down a column.
func mark(o gates.Outcome) string {
	switch o {
	case gates.Pass:
		return "✓"
	case gates.Fail:
		return "✗"
	}
	return "?"
}

// onlyWarns reports whether the gate is reported without deciding anything.
func onlyWarns(c gates.Check) bool { return !c.Decides() }

// warns reports whether the gate does not hold, which is reported and decides
// nothing.
func warns(c gates.Check) bool { return onlyWarns(c) && c.Outcome != gates.Pass }

// sign is the mark of a check, and colour the outcome that it is coloured as:
// a warning looks like neither a failure nor a doubt about the verdict.
func sign(c gates.Check) string {
	if warns(c) {
		return "!"
	}
	return mark(c.Outcome)
}

func colour(c gates.Check) gates.Outcome {
	if warns(c) {
		return gates.Inconclusive
	}
	return c.Outcome
}

// result is the outcome of a check in words.
func result(c gates.Check) string {
	switch {
	case c.Waiver != nil:
		return "waived (" + c.Outcome.String() + ")"
	case warns(c) && c.Outcome == gates.Fail:
		return "warning"
	case warns(c):
		return "warning (" + c.Outcome.String() + ")"
	}
	return c.Outcome.String()
}

// score counts the gates of a phase: "5 gates: 3 pass, 1 fail, 1 inconclusive".
// Those that only warn and do not hold are counted apart.
func score(checks []gates.Check) string {
	if len(checks) == 0 {
		return "no gates"
	}
	counts, warnings := map[gates.Outcome]int{}, 0
	for _, c := range checks {
		if warns(c) {
			warnings++
		} else {
			counts[c.Outcome]++
		}
	}
	text := plural(uint64(len(checks)), "gate") + ":"
	separator := " "
	for _, o := range []gates.Outcome{gates.Pass, gates.Fail, gates.Inconclusive} {
		if counts[o] > 0 {
			text += fmt.Sprintf("%s%s %s", separator, grouped(uint64(counts[o])), o)
			separator = ", "
		}
	}
	if warnings > 0 {
		text += separator + plural(uint64(warnings), "warning")
	}
	return text
}

// versionLine says which version a target was: "shop (candidate) 1.4.2".
func versionLine(v gates.Version) string {
	text := fmt.Sprintf("%s (%s) %s", v.Target, v.Arm, orDash(v.Before))
	if v.After != v.Before {
		text += ", after the tests " + orDash(v.After)
	}
	if v.Wanted != "" && (v.Before != v.Wanted || v.After != v.Wanted) {
		text += "; wanted " + v.Wanted
	}
	return printable(text)
}

// comparedLine names the runs that gates compare with: "compared with
// 20260102T150405Z-3f2a (1.4.1), 20260101T150405Z-aaaa".
func comparedLine(all []gates.BaselineRun) string {
	var runs []string
	for _, c := range all {
		text := c.Run
		if c.Version != "" {
			text += " (" + c.Version + ")"
		}
		runs = append(runs, text)
	}
	return printable("compared with " + strings.Join(runs, ", "))
}

// scoreLine sums up weighted gates: "score 71 % (latency 50 %, errors 100 %)".
func scoreLine(scores []gates.Score) string {
	var groups []string
	for _, s := range scores[1:] {
		groups = append(groups, s.Group+" "+shareRange(s))
	}
	text := "score " + shareRange(scores[0])
	if len(groups) > 0 {
		text += " (" + strings.Join(groups, ", ") + ")"
	}
	return printable(text)
}

func shareRange(s gates.Score) string {
	if s.Least == s.Most {
		return percent(s.Least)
	}
	return percent(s.Least) + " to " + percent(s.Most)
}

// because are the lines that explain a check: why, on what evidence, and what
// else to know. The gate's own note comes last.
func because(c gates.Check) []string {
	var lines []string
	if c.Outcome != gates.Pass && c.Reason != "" {
		lines = append(lines, c.Reason)
	}
	if c.Evidence != "" {
		lines = append(lines, c.Evidence)
	}
	for _, w := range c.Warnings {
		lines = append(lines, "warning: "+w)
	}
	if c.Outcome != gates.Pass && c.Gate.Note != "" {
		lines = append(lines, "note: "+c.Gate.Note)
	}
	return lines
}

// rule is a gate without its period, for tables in which that has a column.
func rule(c gates.Check) string {
	for _, period := range []string{c.Period, "in " + c.Period, "during each", "after each"} {
		if short, ok := strings.CutSuffix(c.Text, " "+period); ok && period != "" {
			return short
		}
	}
	return c.Text
}

// fewNames is how many instances a table names; the JSON report has all.
const fewNames = 3

// touched says how much of the traffic a disruption touched, in words.
func touched(d gates.Disrupted) string {
	switch {
	case d.Injected.IsZero():
		return "never injected"
	case d.Matched == 0 && d.Touched == 0 && d.Unknown:
		return "touched what is not known"
	case d.Matched == 0 && d.Touched == 0 && d.Bit:
		return "its effect was seen"
	case d.Matched == 0 && d.Touched == 0:
		return "touched nothing"
	}
	text := fmt.Sprintf("touched %s of %s", grouped(d.Touched), d.Amount(d.Matched))
	if n := len(d.Names); n > 0 && n <= fewNames {
		text += " (" + printable(strings.Join(d.Names, ", ")) + ")"
	}
	if d.Share > 0 && d.Share < 1 {
		text += ", asked for " + percent(d.Share)
	}
	return text
}

// lasted says when a disruption was in effect (UTC).
func lasted(d gates.Disrupted) string {
	const layout = "15:04:05"
	switch {
	case d.Injected.IsZero():
		return "-"
	case d.Lifted.IsZero():
		return d.Injected.UTC().Format(layout) + ", lifting not confirmed"
	}
	return fmt.Sprintf("%s to %s (%s)", d.Injected.UTC().Format(layout), d.Lifted.UTC().Format(layout),
		span(d.Lifted.Sub(d.Injected)))
}

// faultOf names a disruption's fault and what it is on.
func faultOf(d gates.Disrupted) string {
	if d.On == "" {
		return d.Fault
	}
	return d.Fault + " on " + d.On
}

// rate is attempts per second, or "-" where that is not known.
func rate(t gates.Traffic) string {
	if t.Seconds <= 0 {
		return "-"
	}
	return perSecond(float64(t.Attempts) / t.Seconds)
}

// failures gives a count beside its share: "12 (0.5 %)".
func failures(t gates.Traffic) string {
	if t.Failed == 0 || t.Attempts == 0 {
		return grouped(t.Failed)
	}
	return fmt.Sprintf("%s (%s)", grouped(t.Failed), percent(float64(t.Failed)/float64(t.Attempts)))
}

// sender names what sent the traffic: "checkout (load)", with its arm when
// there is more than one.
func sender(t gates.Traffic, arms bool) string {
	name := t.Test
	if t.Kind != "" {
		name += " (" + t.Kind + ")"
	}
	if arms && t.Arm != "" {
		name += " " + t.Arm
	}
	return name
}

func severalArms(traffic []gates.Traffic) bool {
	for _, t := range traffic {
		if t.Arm != traffic[0].Arm {
			return true
		}
	}
	return false
}

// unsaid is what the numbers of a test do not say by themselves.
func unsaid(t gates.Traffic) []string {
	var notes []string
	if t.Unfinished > 0 {
		notes = append(notes, grouped(t.Unfinished)+" of the failed had not finished when the test ended")
	}
	if t.Dropped > 0 {
		notes = append(notes, grouped(t.Dropped)+" of the failed could not start, because everything was waiting for the target")
	}
	if t.Degraded > 0 {
		notes = append(notes, grouped(t.Degraded)+" of the completed came only after a retry")
	}
	if !t.Complete {
		notes = append(notes, "the test did not run to its end")
	}
	return notes
}
