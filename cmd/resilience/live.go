package main

import (
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"resilience/internal/plan"
	"resilience/internal/report"
)

// newLive shows the run on standard error while it goes on.
func newLive(s *streams, p plan.Plan, phases []string, o runOptions) *report.Live {
	if o.quiet {
		return report.NewLive(io.Discard, report.LiveOptions{})
	}
	options := report.LiveOptions{Schedules: schedules(p, phases), Secret: o.secret}
	if file, ok := s.err.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		options.Terminal = true
		options.Color = os.Getenv("NO_COLOR") == ""
		options.Width = func() int {
			width, _, err := term.GetSize(int(file.Fd()))
			if err != nil {
				return 80
			}
			return width
		}
	}
	return report.NewLive(s.err, options)
}

// schedules are the time lines of the phases, for the live view.
func schedules(p plan.Plan, names []string) []report.Schedule {
	var out []report.Schedule
	for _, phase := range named(p, names) {
		s := report.Schedule{Phase: phase.Name, Length: phase.Length()}
		for _, t := range phase.Tests {
			s.Tests = append(s.Tests, report.Span{Name: t.Name, At: time.Duration(t.Start), For: t.End() - time.Duration(t.Start)})
		}
		for _, d := range p.Timetable(phase) {
			s.Disruptions = append(s.Disruptions, report.Span{Name: d.Disruption.Name, At: d.From, For: d.To - d.From})
		}
		out = append(out, s)
	}
	return out
}
