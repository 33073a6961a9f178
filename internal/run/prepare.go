package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
)

// prepareTimeout is how long a disruption may take to find out whether it could
// be injected.
const prepareTimeout = time.Minute

// prepare asks all disruptions before there is any load whether they could be
// injected, and records on what.
func (c *Conductor) prepare(ctx context.Context, b *bound, all []scheduled) error {
	errs := make([]error, len(all))
	var asked sync.WaitGroup
	for i := range all {
		d := &all[i]
		asked.Go(func() {
			errs[i] = within(ctx, prepareTimeout, func(ctx context.Context) (err error) {
				d.reach, err = d.fault.Prepare(ctx)
				return err
			})
			if errs[i] != nil {
				errs[i] = about("disruption", d.plan.Name, errs[i])
			}
		})
	}
	asked.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, d := range all {
		if len(d.reach.Of) == 0 && len(d.reach.Selected) == 0 {
			continue
		}
		err := c.event(measure.Event{Kind: measure.EventReach, Phase: b.phase.Name, Name: d.plan.Name, Attrs: d.attrs(map[string]string{
			"unit": d.reach.Unit, "of": strings.Join(d.reach.Of, ", "), "names": strings.Join(d.reach.Selected, ", "),
		})})
		if err != nil {
			return err
		}
	}
	return nil
}

// releaseTimeout is how long giving back what disruptions hold may take: a
// pipeline waits for it.
const releaseTimeout = 3 * time.Second

// releaser is a [Disruption] that holds something from Prepare on which does
// nothing and is not wanted any more once no fault of it will come.
type releaser interface {
	Release(ctx context.Context) error
}

// release gives back what disruptions hold that were prepared, injected or not.
// What could not be given back is worth a warning only: it is no fault.
func (c *Conductor) release(ctx context.Context, b *bound, all []scheduled) {
	var held sync.WaitGroup
	for _, d := range all {
		holds, ok := d.fault.(releaser)
		if !ok {
			continue
		}
		held.Go(func() {
			if err := within(context.WithoutCancel(ctx), releaseTimeout, holds.Release); err != nil {
				c.note(b, d, measure.EventWarning, 0, map[string]string{"detail": firstLine(about("disruption", d.plan.Name, err))})
			}
		})
	}
	held.Wait()
}

// about says what an error is about, unless the error says so itself.
func about(kind, name string, err error) error {
	if strings.HasPrefix(err.Error(), fmt.Sprintf("%s %q: ", kind, name)) {
		return err
	}
	return fmt.Errorf("%s %s: %w", kind, name, err)
}
