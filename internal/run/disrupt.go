package run

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// liftTimeout is how long lifting may take: the grace that a cancelled job of
// a pipeline gets.
const liftTimeout = 5 * time.Second

// scheduled is a disruption that is ready to be injected.
type scheduled struct {
	plan  plan.Disruption
	fault Disruption
}

// disruptions makes all faults of a phase before any traffic starts, so that
// what is wrong with one shows early.
func (c *Conductor) disruptions(b *bound) ([]scheduled, error) {
	var out []scheduled
	for _, d := range b.phase.Disruptions {
		d, err := plan.Bind(d, b.lookup)
		if err != nil {
			return nil, fmt.Errorf("disruption %s: %w", d.Name, err)
		}
		fault, err := c.Adapters.Disruption(d, c.site(b))
		if err != nil {
			return nil, fmt.Errorf("disruption %s: %w", d.Name, err)
		}
		out = append(out, scheduled{plan: d, fault: fault})
	}
	return out, nil
}

// site is what the disruptions of a phase may need to know.
func (c *Conductor) site(b *bound) Site {
	return Site{
		Run: c.ID, Phase: b.phase.Name, Dir: c.Plan.Dir, Env: c.environment(b), Seed: c.Seed, Dependencies: b.proxies,
		Note: func(kind, name string, attrs map[string]string) {
			_ = c.event(measure.Event{Kind: kind, Phase: b.phase.Name, Name: name, Attrs: attrs}) // as in note
		},
	}
}

// disrupt injects one disruption at its time and lifts it when its time is
// over or the context ends, whichever is first.
func (c *Conductor) disrupt(ctx context.Context, b *bound, d scheduled, clock *clock, health *health) {
	if err := clock.until(ctx, time.Duration(d.plan.At)); err != nil {
		c.note(b, d, measure.EventSkipped, 0, map[string]string{"reason": "the tests ended before its time"})
		return
	}
	if reason := health.sick(time.Now()); reason != "" {
		c.note(b, d, measure.EventSkipped, 0, map[string]string{"reason": reason})
		return
	}
	lift, err := d.fault.Inject(ctx, func(json.RawMessage) error { return nil })
	if err != nil {
		c.note(b, d, measure.EventSkipped, 0, map[string]string{"reason": "could not be injected: " + err.Error()})
		return
	}
	fault, share := d.plan.Fault()
	_, on := d.plan.On()
	end := health.disrupted(time.Now())
	c.note(b, d, measure.EventDisruption, time.Now().UnixNano(), map[string]string{
		"fault": fault, "on": on, "settle": time.Duration(*d.plan.Settle).String(),
		"share": strconv.FormatFloat(share, 'g', -1, 64),
	})
	_ = wait(ctx, time.Duration(d.plan.For)) // an early end lifts early
	c.lift(ctx, b, d, lift)
	end(time.Now())
}

// lift ends a disruption with a context of its own, so that what ended the run
// can not keep the fault in place.
func (c *Conductor) lift(ctx context.Context, b *bound, d scheduled, lift func(context.Context) (measure.Touch, error)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), liftTimeout)
	defer cancel()
	touch, err := lift(ctx)
	at := time.Now().UnixNano()
	attrs := map[string]string{
		"touched": strconv.FormatUint(touch.Touched, 10), "matched": strconv.FormatUint(touch.Matched, 10),
	}
	if err != nil {
		c.fault.Store(true)
		attrs["error"] = err.Error()
	}
	c.note(b, d, measure.EventLifted, at, attrs)
}

// note records what became of a disruption. A record that can not be written
// stops the traffic, whose batches fail the same way.
func (c *Conductor) note(b *bound, d scheduled, kind string, at int64, attrs map[string]string) {
	_ = c.event(measure.Event{At: at, Kind: kind, Phase: b.phase.Name, Name: d.plan.Name, Attrs: attrs})
}

// health watches whether the system is well enough to be disrupted. It looks
// at the seconds without a fault, whenever their windows come in.
type health struct {
	mu      sync.Mutex
	faults  []*stretch
	seconds map[int64]*tally // by their start
}

// stretch is when a fault was in effect; until is zero while it is.
type stretch struct{ from, until time.Time }

type tally struct{ count, failed uint64 }

const (
	healthSeconds = 10 // looked back
	healthSamples = 10 // fewer say nothing
)

func newHealth() *health { return &health{seconds: map[int64]*tally{}} }

func (h *health) heard(batch measure.Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range batch.Windows {
		if w.Series.Metric != measure.MetricRequest || w.Series.Arm == measure.Baseline {
			continue
		}
		t := h.seconds[w.Start]
		if t == nil {
			t = &tally{}
			h.seconds[w.Start] = t
		}
		t.count += w.Count
		t.failed += w.Failed
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

// sick says why a fault should not go in now: more than half of the latest
// requests failed without one. "" when the system is well, or nothing is known.
func (h *health) sick(now time.Time) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var count, failed uint64
	for start, t := range h.seconds {
		begin := time.Unix(0, start)
		switch {
		case now.Sub(begin) > (healthSeconds+1)*time.Second:
			delete(h.seconds, start)
		case !h.faulty(begin, begin.Add(time.Second)):
			count += t.count
			failed += t.failed
		}
	}
	if count < healthSamples || 2*failed <= count {
		return ""
	}
	return fmt.Sprintf("the system was sick already: %d of the last %d requests failed", failed, count)
}

// faulty reports whether any fault was in effect between two moments.
func (h *health) faulty(from, to time.Time) bool {
	return slices.ContainsFunc(h.faults, func(s *stretch) bool {
		return s.from.Before(to) && (s.until.IsZero() || s.until.After(from))
	})
}
