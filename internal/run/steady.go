package run

import (
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

const (
	healthSeconds = 10 // looked back
	healthSamples = 10 // fewer say nothing
	healthLate    = 10 // seconds for which windows are kept beyond that: they may come in late
)

// health watches how the system is while a phase runs: whether it is well
// enough to be disrupted, and whether a condition of abort_if holds. It looks
// at the last seconds, whenever their windows come in.
type health struct {
	phase  string
	steady []gates.Gate // what tells that the system is well

	mu      sync.Mutex
	faults  []*stretch
	scripts map[string]*stretch // of the faults that scripts injected and did not lift yet
	events  []measure.Event     // of tests: when they began and ended
	windows []measure.Window
	watch   *gates.Watch      // nil when the phase does not ask for it
	dead    map[string]string // services that died, and how
}

// stretch is when a fault was in effect; until is zero while it is.
type stretch struct{ from, until time.Time }

func newHealth(phase plan.Phase) *health {
	return &health{phase: phase.Name, steady: gates.Watchable(gates.Deciding(phase.Sentences(), time.Now())), dead: map[string]string{}}
}

// heard takes note of what happened and was measured.
func (h *health) heard(batch measure.Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watch != nil {
		h.watch.Heard(batch)
	}
	for _, e := range batch.Events {
		switch e.Kind {
		case measure.EventTest, measure.EventTestEnd:
			h.events = append(h.events, e)
		case measure.EventDisruption, measure.EventLifted:
			h.scripted(e)
		case measure.EventService:
			if e.Attrs["state"] == "died" {
				h.dead[e.Name] = e.Attrs["detail"]
			} else {
				delete(h.dead, e.Name)
			}
		}
	}
	if len(batch.Windows) == 0 {
		return
	}
	oldest := time.Now().Add(-(healthSeconds + healthLate) * time.Second).UnixNano()
	h.windows = slices.DeleteFunc(h.windows, func(w measure.Window) bool { return w.Start < oldest })
	for _, w := range batch.Windows {
		if w.Series.Arm != measure.Baseline && w.Series.Metric != measure.MetricDependency {
			h.windows = append(h.windows, w)
		}
	}
}

// disrupted notes that a fault is in effect, until end is called.
func (h *health) disrupted(from time.Time) (end func(time.Time)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &stretch{from: from}
	h.faults = append(h.faults, s)
	return func(until time.Time) {
		h.mu.Lock()
		defer h.mu.Unlock()
		s.until = until
	}
}

// sick says why a fault should not go in now: a service is dead, or without a
// fault more than half of the latest requests failed or a steady gate did not
// hold. "" when the system is well, or nothing is known.
func (h *health) sick(now time.Time) string {
	for _, name := range h.died() {
		return "the system was sick already: " + name
	}
	calm := h.recent(now, true)
	count, failed := requestsIn(calm)
	if count >= healthSamples && 2*failed > count {
		return fmt.Sprintf("the system was sick already: %d of the last %d requests failed", failed, count)
	}
	for _, g := range h.steady {
		look := gates.Live(g, h.record(calm), now.Add(-(healthSeconds+1)*time.Second).UnixNano(), now.UnixNano())
		if look.Samples >= healthSamples && look.Excluded {
			return fmt.Sprintf("the system was sick already: %q did not hold over the last %d s: %s (%s)", g.String(), healthSeconds, look.Observed, look.Evidence)
		}
	}
	return ""
}

func requestsIn(windows []measure.Window) (count, failed uint64) {
	for _, w := range windows {
		if w.Series.Metric == measure.MetricRequest {
			count += w.Count
			failed += w.Failed
		}
	}
	return count, failed
}

// died are the services that died and were not started again, and how.
func (h *health) died() (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range sorted(h.dead) {
		list = append(list, fmt.Sprintf("the service %s died (%s)", name, h.dead[name]))
	}
	return list
}

// holds looks whether a condition holds over the last seconds, faults or not.
func (h *health) holds(condition gates.Gate, now time.Time) (detail string, holds bool) {
	look := gates.Live(condition, h.record(h.recent(now, false)), now.Add(-(healthSeconds+1)*time.Second).UnixNano(), now.UnixNano())
	if look.Samples < healthSamples || !look.Meets {
		return "", false
	}
	return fmt.Sprintf("%s over the last %d s: %s", look.Observed, healthSeconds, look.Evidence), true
}

// recent are the windows of the last seconds; calm ones only, in which no fault
// was in effect, when that is asked for.
func (h *health) recent(now time.Time, calm bool) (list []measure.Window) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.windows {
		begin := time.Unix(0, w.Start)
		if now.Sub(begin) > (healthSeconds+1)*time.Second || calm && h.faulty(begin, begin.Add(time.Second)) {
			continue
		}
		list = append(list, w)
	}
	return list
}

// record makes of windows what gates judge.
func (h *health) record(windows []measure.Window) gates.Record {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all iter.Seq2[measure.Window, error] = func(yield func(measure.Window, error) bool) {
		for _, w := range windows {
			if !yield(w, nil) {
				return
			}
		}
	}
	return gates.Record{Phase: h.phase, Events: slices.Clone(h.events), Windows: all}
}

// faulty reports whether any fault was in effect between two moments.
func (h *health) faulty(from, to time.Time) bool {
	return slices.ContainsFunc(h.faults, func(s *stretch) bool {
		return s.from.Before(to) && (s.until.IsZero() || s.until.After(from))
	})
}
