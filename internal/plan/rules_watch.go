package plan

import (
	"slices"

	"resilience/gates"
)

// mostFalseAlarms is where a watch would guess more than test.
const mostFalseAlarms = 0.5

// validWatch wants something to watch.
func validWatch(c *checker, p *Phase) {
	if p.Watch == nil || !c.clean("gates") {
		return
	}
	if at := c.under(".watch"); p.Watch.FalseAlarms <= 0 || p.Watch.FalseAlarms > mostFalseAlarms {
		at.wrong("false_alarms", "leave it out for 1 %", "%s", "false_alarms must be more than 0% and at most 50%")
		return
	}
	if len(p.Gates) == 0 {
		return // which is said already
	}
	if _, err := gates.NewWatch(p.Sentences(), p.Name, p.Baseline.Target != "", float64(p.Watch.FalseAlarms)); err != nil {
		c.wrong("watch", "add for example: availability >= 99.5%", "%s", err)
	}
}

// Sentences are the gates of a phase as the gate language has them.
func (p Phase) Sentences() []gates.Gate {
	list := make([]gates.Gate, len(p.Gates))
	for i, g := range p.Gates {
		list[i] = g.Gate
	}
	return list
}

// ByTenant reports whether a gate of the phase is about some tenants, or each.
func (p Phase) ByTenant() bool {
	return slices.ContainsFunc(p.Sentences(), func(g gates.Gate) bool {
		return g.Each == "tenant" || slices.ContainsFunc(g.Where, func(f gates.Filter) bool { return f.Key == "tenant" })
	})
}
