package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"resilience/gates"
	"resilience/internal/measure"
)

// view is what a live view knows of the phase that is going on.
type view struct {
	schedules []Schedule
	phase     string
	going     bool // a phase is going on
	began     time.Time
	pulse     pulse
	active    []running       // disruptions in effect, oldest first
	seen      map[string]bool // tests and disruptions that have begun
	said      map[string]bool // lines that need not be said again
	secret    bool            // disruptions are held back
	held      []measure.Event // that are in effect, or became so
	alerted   int64           // when an alert last began to fire
}

// running is a disruption in effect.
type running struct {
	name, what string
	since      time.Time
}

func newView(now time.Time, schedules []Schedule, secret bool) view {
	return view{schedules: schedules, secret: secret, began: now, pulse: newPulse(), seen: map[string]bool{}, said: map[string]bool{}}
}

// begin forgets the last phase.
func (v *view) begin(phase string, at time.Time) {
	*v = newView(at, v.schedules, v.secret)
	v.phase, v.going = phase, true
}

func (v *view) measured(w measure.Window) { v.pulse.add(w) }

// judged ends the phase and gives the line that says how.
func (v *view) judged(verdict gates.Verdict, now time.Time) string {
	v.going, v.active = false, nil
	line := fmt.Sprintf("%s %s: %s", mark(verdict.Outcome), verdict.Phase, verdict.Outcome)
	if verdict.Reason != "" {
		line += ": " + verdict.Reason
	}
	return v.stamp(now, line)
}

// stamp puts the position on the phase's time line before a line.
func (v *view) stamp(at time.Time, line string) string {
	return clock(at.Sub(v.began)) + "  " + printable(line)
}

func (v *view) schedule() Schedule {
	for _, s := range v.schedules {
		if s.Phase == v.phase {
			return s
		}
	}
	return Schedule{Phase: v.phase}
}

// next names the part of the schedule that begins next, or "".
func (v *view) next(now time.Time) string {
	schedule, elapsed := v.schedule(), now.Sub(v.began)
	var soonest *Span
	parts := [][]Span{schedule.Tests, schedule.Disruptions}
	if v.secret {
		parts = parts[:1]
	}
	for _, spans := range parts {
		for i, s := range spans {
			if !v.seen[s.Name] && s.At > elapsed && (soonest == nil || s.At < soonest.At) {
				soonest = &spans[i]
			}
		}
	}
	if soonest == nil {
		return ""
	}
	return fmt.Sprintf("next %s in %s", soonest.Name, wholeSeconds(soonest.At-elapsed))
}

// faults names the disruptions in effect and how much longer each should be.
func (v *view) faults(now time.Time) string {
	planned := map[string]time.Duration{}
	for _, d := range v.schedule().Disruptions {
		planned[d.Name] = d.For
	}
	var parts []string
	for _, r := range v.active {
		part := r.name + " in effect: " + r.what
		if left := planned[r.name] - now.Sub(r.since); left > 0 {
			part += ", " + wholeSeconds(left) + " left"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " · ")
}

// status gives the lines that are drawn over on a terminal, none longer than
// width.
func (v *view) status(p page, now time.Time, width int) []string {
	if !v.going {
		return nil
	}
	elapsed, length := now.Sub(v.began), v.schedule().Length
	head := printable(v.phase) + "  " + clock(elapsed)
	if length > 0 {
		head += " / " + clock(length) + "  " + remaining(elapsed, length)
		if room := min(30, width-text.StringWidthWithoutEscSequences(head)-2); room >= 8 {
			head = printable(v.phase) + "  " + bar(elapsed, length, room) + strings.TrimPrefix(head, printable(v.phase))
		}
	}
	lines := []string{p.style(text.Snip(head, width, "…"), text.Bold), text.Snip(v.pulse.summary(now), width, "…")}
	switch {
	case len(v.active) > 0:
		lines = append(lines, p.style(text.Snip(printable(v.faults(now)), width, "…"), text.FgYellow))
	case v.next(now) != "":
		lines = append(lines, p.faint(text.Snip(printable(v.next(now)), width, "…")))
	}
	return lines
}

// statusLine gives the state as one line for a log.
func (v *view) statusLine(now time.Time) []string {
	if !v.going {
		return nil
	}
	parts := []string{v.pulse.summary(now)}
	if len(v.active) > 0 {
		parts = append(parts, v.faults(now))
	}
	if length := v.schedule().Length; length > 0 {
		parts = append(parts, remaining(now.Sub(v.began), length))
	}
	return []string{v.stamp(now, strings.Join(parts, " · "))}
}

func remaining(elapsed, length time.Duration) string {
	if elapsed >= length {
		return "finishing"
	}
	return wholeSeconds(length-elapsed) + " left"
}

func wholeSeconds(d time.Duration) string {
	return span((d + time.Second - 1).Truncate(time.Second))
}

// bar draws how much of the length has gone by.
func bar(elapsed, length time.Duration, width int) string {
	full := int(float64(width) * min(1, max(0, float64(elapsed)/float64(length))))
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}
