package run

import (
	"context"
	"fmt"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
)

// look is how often the conditions of abort_if are looked at.
const look = time.Second

// aborted says that a condition ended a phase. It is no error of the run: what
// it means is judged from the record.
type aborted struct{ condition string }

func (a *aborted) Error() string { return fmt.Sprintf("%q held", a.condition) }

// conditions reads what abort_if says; the plan was checked.
func conditions(texts []string) ([]gates.Gate, error) {
	list := make([]gates.Gate, len(texts))
	for i, text := range texts {
		var err error
		if list[i], err = gates.ParseCondition(text); err != nil {
			return nil, fmt.Errorf("abort_if %q: %w", text, err)
		}
	}
	return list, nil
}

// watch waits until a condition holds, and records that under the name of the
// disruption that it lifts, "" for the whole phase. False when the context
// ended first.
func (c *Conductor) watch(ctx context.Context, b *bound, health *health, name string, watched []gates.Gate) (gates.Gate, bool) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for len(watched) > 0 {
		select {
		case <-ctx.Done():
			return gates.Gate{}, false
		case <-ticker.C:
		}
		for _, condition := range watched {
			if detail, holds := health.holds(condition, time.Now()); holds && ctx.Err() == nil {
				_ = c.event(measure.Event{ // as in note
					Kind: measure.EventAbort, Phase: b.phase.Name, Name: name,
					Attrs: map[string]string{"condition": condition.Text, "detail": detail},
				})
				return condition, true
			}
		}
	}
	<-ctx.Done()
	return gates.Gate{}, false
}

// watchPhase ends the traffic, and with it all disruptions, when a condition of
// the phase holds.
func (c *Conductor) watchPhase(ctx context.Context, stop context.CancelCauseFunc, b *bound, health *health, watched []gates.Gate) {
	if condition, holds := c.watch(ctx, b, health, "", watched); holds {
		stop(&aborted{condition.Text})
	}
}
