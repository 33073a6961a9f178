package run

import (
	"context"
	"fmt"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// extends reports whether a phase may be extended.
func (c *Conductor) extends(phase plan.Phase) bool { return phase.Extend > 0 && c.Extension != nil }

// extend lets the tests of a phase send once more, without disruptions, where
// there would be too little evidence without. All disruptions are lifted by now.
func (c *Conductor) extend(ctx context.Context, stop context.CancelCauseFunc, b *bound, streams []plan.Stream, clock *clock, emit func(measure.Batch) error) error {
	if !c.extends(b.phase) {
		return nil
	}
	more, why, err := c.Extension(b.phase.Name, time.Duration(b.phase.Extend))
	if err != nil {
		return fmt.Errorf("whether to extend the phase: %w", err)
	}
	if more <= 0 {
		return nil
	}
	again := plan.Extended(streams, more)
	engines := make([]Traffic, len(again))
	for i, s := range again {
		if engines[i], err = c.Adapters.Traffic(s); err != nil {
			return err
		}
	}
	if err := c.event(measure.Event{Kind: measure.EventExtended, Phase: b.phase.Name, Attrs: map[string]string{"for": more.String(), "reason": why}}); err != nil {
		return err
	}
	return c.send(ctx, stop, again, engines, clock, emit)
}
