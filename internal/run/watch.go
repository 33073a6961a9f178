package run

import (
	"context"
	"fmt"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// newWatch makes what tests the gates of a phase while it goes on; nil when the
// plan does not ask for it.
func newWatch(phase plan.Phase) (*gates.Watch, error) {
	if phase.Watch == nil {
		return nil, nil
	}
	all := phase.Sentences()
	watched := gates.Deciding(all, time.Now())
	w, err := gates.NewWatch(watched, phase.Name, phase.Baseline.Target != "", float64(phase.Watch.FalseAlarms))
	if err != nil && len(watched) < len(all) {
		return nil, nil // what could be watched is waived, or not calibrated yet
	}
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	return w, nil
}

// watchGates ends the traffic, and with it all disruptions, once it is certain
// that a watched gate does not hold.
func (c *Conductor) watchGates(ctx context.Context, stop context.CancelCauseFunc, b *bound, health *health) {
	if health.watch == nil {
		return
	}
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		alarms := health.alarms()
		for _, a := range alarms {
			_ = c.event(measure.Event{ // as in note
				Kind: measure.EventAbort, Phase: b.phase.Name,
				Attrs: map[string]string{"condition": a.Gate.Text, "detail": a.Detail, "watch": fmt.Sprint(float64(b.phase.Watch.FalseAlarms))},
			})
		}
		if len(alarms) > 0 {
			stop(&aborted{"watch " + alarms[0].Gate.Text})
			return
		}
	}
}

// alarms ends a second of the watch.
func (h *health) alarms() []gates.Alarm {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.watch.Second()
}
