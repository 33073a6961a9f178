package run

import (
	"fmt"
	"slices"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// serveScripts lets the scripts of a phase put faults on its proxies, where
// there are both. What they inject is lifted before the proxies are closed.
func (c *Conductor) serveScripts(b *bound, undo *undoing) error {
	scripted := slices.ContainsFunc(b.phase.Tests, func(t plan.Test) bool {
		_, profile := t.Kind()
		return profile.Script != ""
	})
	if !scripted || len(b.proxies) == 0 || b.spares(plan.Disruption{}) != nil || c.Adapters.Control == nil {
		return nil
	}
	control, stop, err := c.Adapters.Control(b.proxies)
	if err != nil {
		return fmt.Errorf("control of the proxies for scripts: %w", err)
	}
	b.control = &control
	undo.add(stop)
	return nil
}

// scripted notes that a fault which a script injected is in effect, or not any
// more: the system is not to be called sick for it. Those of the plan are noted
// where they are injected. h.mu is held.
func (h *health) scripted(e measure.Event) {
	if e.Test == "" {
		return
	}
	key, at := e.Test+" "+e.Name, time.Unix(0, e.At)
	open := h.scripts[key]
	switch {
	case e.Kind == measure.EventDisruption && open == nil:
		if h.scripts == nil {
			h.scripts = map[string]*stretch{}
		}
		h.scripts[key] = &stretch{from: at}
		h.faults = append(h.faults, h.scripts[key])
	case e.Kind == measure.EventLifted && open != nil && e.Attrs["error"] == "":
		open.until = at
		delete(h.scripts, key)
	}
}
