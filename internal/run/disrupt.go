package run

import (
	"context"
	"fmt"
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
	for i, d := range b.phase.Disruptions {
		d, err := plan.Bind(d, b.lookup)
		if err != nil {
			return nil, fmt.Errorf("disruption %s: %w", d.Name, err)
		}
		fault, err := c.Adapters.Disruption(d, b.proxies[d.Dependency], c.Seed+int64(i))
		if err != nil {
			return nil, fmt.Errorf("disruption %s: %w", d.Name, err)
		}
		out = append(out, scheduled{plan: d, fault: fault})
	}
	return out, nil
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
	lift, err := d.fault.Inject(ctx)
	if err != nil {
		c.note(b, d, measure.EventSkipped, 0, map[string]string{"reason": "could not be injected: " + err.Error()})
		return
	}
	fault, share := d.plan.Fault()
	health.disrupted(true)
	c.note(b, d, measure.EventDisruption, time.Now().UnixNano(), map[string]string{
		"fault": fault, "on": d.plan.Dependency, "settle": time.Duration(*d.plan.Settle).String(),
		"share": strconv.FormatFloat(share, 'g', -1, 64),
	})
	_ = wait(ctx, time.Duration(d.plan.For)) // an early end lifts early
	c.lift(ctx, b, d, lift)
	health.disrupted(false)
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

// health watches whether the system is well enough to be disrupted.
type health struct {
	mu     sync.Mutex
	faults int
	last   []second // the last few seconds without a fault
}

type second struct {
	at            int64
	count, failed uint64
}

const (
	healthSeconds = 10 // looked back
	healthSamples = 10 // fewer say nothing
)

func (h *health) heard(batch measure.Batch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range batch.Windows {
		if w.Series.Metric != measure.MetricRequest || w.Series.Arm == measure.Baseline || h.faults > 0 {
			continue
		}
		h.add(w)
	}
}

func (h *health) add(w measure.Window) {
	for i := range h.last {
		if h.last[i].at == w.Start {
			h.last[i].count += w.Count
			h.last[i].failed += w.Failed
			return
		}
	}
	h.last = append(h.last, second{w.Start, w.Count, w.Failed})
	if len(h.last) > healthSeconds {
		h.last = h.last[1:]
	}
}

func (h *health) disrupted(begins bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if begins {
		h.faults++
		return
	}
	h.faults--
	h.last = nil
}

// sick says why a fault should not go in now: more than half of the latest
// requests failed without one. "" when the system is well, or nothing is known.
func (h *health) sick(now time.Time) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var count, failed uint64
	for _, s := range h.last {
		if now.Sub(time.Unix(0, s.at)) <= (healthSeconds+1)*time.Second {
			count += s.count
			failed += s.failed
		}
	}
	if h.faults > 0 || count < healthSamples || 2*failed <= count {
		return ""
	}
	return fmt.Sprintf("the system was sick already: %d of the last %d requests failed", failed, count)
}
