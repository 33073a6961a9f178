package run

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// outcome is what became of one injection.
type outcome struct {
	took    bool      // it was in effect
	aborted bool      // a condition of abort_if lifted it: it is not injected again
	lifted  time.Time // when it was lifted, or skipped
}

// course is a disruption of the plan with all its injections: those of a
// repetition, or one for each part of a sweep.
type course struct {
	plan  plan.Disruption
	parts []scheduled // several in a sweep, else one

	over   chan struct{} // closed when it is lifted for the last time
	took   bool          // any of them was in effect
	lifted time.Time     // the last of them
}

// overtime is how much later than the tests a disruption may be planned to
// end, because another took longer to lift than planned: the width of a window.
const overtime = time.Second

// schedule injects the disruptions of a phase, each at its time, and returns
// when the last of them is lifted. Each course has a goroutine that waits for
// the one it comes after; the plan was checked for circles.
func (c *Conductor) schedule(ctx context.Context, b *bound, all []scheduled, clock *clock, health *health) {
	courses := map[string]*course{}
	for _, d := range b.phase.Disruptions {
		courses[d.Name] = &course{plan: d, over: make(chan struct{})}
	}
	for _, d := range all {
		on := courses[cmp.Or(d.sweep, d.plan.Name)]
		on.parts = append(on.parts, d)
	}
	var running sync.WaitGroup
	for _, on := range courses {
		running.Go(func() {
			defer close(on.over)
			defer guarded(b.stop, "schedule of "+on.plan.Name)
			c.follow(ctx, b, on, courses[on.plan.After], clock, health)
		})
	}
	running.Wait()
}

// follow runs one course from its origin on.
func (c *Conductor) follow(ctx context.Context, b *bound, on, before *course, clock *clock, health *health) {
	on.lifted = time.Now()
	origin, end, reason := clock.origin(ctx, b.phase, before)
	for n := range on.turns() {
		part, why := on.part(n), reason
		if why == "" {
			why = await(ctx, on.moment(c.Seed, n, origin), end, time.Duration(part.plan.For))
		}
		if spoiled := b.spoiled.Load(); why == "" && spoiled != nil {
			why = *spoiled
		}
		if why == "" {
			one := c.disrupt(ctx, b, part, health)
			on.took, on.lifted = on.took || one.took, one.lifted
			if one.aborted {
				reason = "it was aborted before"
			}
			continue
		}
		on.lifted = c.skip(b, part, why).lifted
		if !on.plan.Sweep { // once says enough
			return
		}
	}
}

// turns is how often something is injected.
func (on *course) turns() int {
	if on.plan.Sweep {
		return len(on.parts)
	}
	return on.plan.Times()
}

func (on *course) part(n int) scheduled {
	if on.plan.Sweep {
		return on.parts[n]
	}
	return on.parts[0]
}

// moment is when the n-th injection is due. The parts of a sweep but the first
// wait until the one before has settled.
func (on *course) moment(seed int64, n int, origin time.Time) time.Time {
	switch {
	case !on.plan.Sweep:
		return origin.Add(on.plan.Moment(seed, n))
	case n == 0:
		return origin.Add(on.parts[0].plan.Moment(seed, 0))
	}
	return on.lifted.Add(time.Duration(*on.plan.Settle) + on.parts[n].plan.Drawn(seed, 0))
}

// origin waits for the moment from which the times of a course count: the end
// of warm-up or, where it comes after another, the lifting of that one. End is
// when the tests should be over, zero when only a script knows.
func (k *clock) origin(ctx context.Context, phase plan.Phase, before *course) (at, end time.Time, reason string) {
	select {
	case <-ctx.Done():
		return at, end, "the tests ended before its time"
	case <-k.ready:
	}
	if length := phase.Length(); length > 0 {
		end = k.warm.Add(length - phase.WarmupEnd())
	}
	if before == nil {
		return k.warm, end, ""
	}
	<-before.over // which ends with the context, too
	if !before.took {
		return at, end, before.plan.Name + ", which it comes after, never took effect"
	}
	return before.lifted, end, ""
}

// await waits until something that lasts so long is due, and says why it can
// not be any more.
func await(ctx context.Context, at, end time.Time, lasts time.Duration) (reason string) {
	if now := time.Now(); at.Before(now) {
		at = now
	}
	if over := at.Add(lasts).Sub(end); !end.IsZero() && over > overtime {
		return fmt.Sprintf("it would not be over before the tests are, but %s later", over.Round(100*time.Millisecond))
	}
	if wait(ctx, time.Until(at)) != nil {
		return "the tests ended before its time"
	}
	return ""
}

// skip records that a disruption is not injected.
func (c *Conductor) skip(b *bound, d scheduled, reason string) outcome {
	c.note(b, d, measure.EventSkipped, 0, d.attrs(map[string]string{"reason": reason}))
	return outcome{lifted: time.Now()}
}

// attrs adds to the attributes of an event what the disruption is a part of.
func (d scheduled) attrs(of map[string]string) map[string]string {
	if d.sweep != "" {
		of["sweep"] = d.sweep
	}
	return of
}

// instances gives the disruptions that one of the plan stands for: itself, or
// the parts of a sweep. Those that the plan can not know are looked for now.
func (c *Conductor) instances(ctx context.Context, b *bound, d plan.Disruption) ([]plan.Disruption, error) {
	each, more := c.Plan.Instances(d)
	if !more {
		return each, nil
	}
	template := d
	if d.AtMost == nil { // one at a time never takes all of them
		template.AtMost = &plan.Amount{Share: 1}
	}
	reach, err := c.reach(ctx, b, template)
	if err != nil {
		return nil, err
	}
	if len(reach.Of) == 1 && d.AtMost == nil {
		return nil, fmt.Errorf("disruption %s: would act on the only one of the %s (%s): say at_most: all if that is meant", d.Name, reach.Unit, reach.Of[0])
	}
	each = nil
	for _, name := range reach.Selected {
		one := d.Instance(name, len(reach.Of))
		alone, err := c.reach(ctx, b, one)
		if err != nil {
			return nil, err
		}
		if !slices.Equal(alone.Selected, []string{name}) {
			return nil, fmt.Errorf("disruption %s: would act on %v instead of %s alone", one.Name, alone.Selected, name)
		}
		each = append(each, one)
	}
	if len(each) == 0 {
		return nil, fmt.Errorf("disruption %s: there is nothing to go through", d.Name)
	}
	return each, nil
}

// reach finds out what a disruption would act on.
func (c *Conductor) reach(ctx context.Context, b *bound, d plan.Disruption) (measure.Reach, error) {
	d, err := plan.Bind(d, b.lookup)
	if err != nil {
		return measure.Reach{}, about("disruption", d.Name, err)
	}
	fault, err := c.Adapters.Disruption(d, c.site(b))
	if err != nil {
		return measure.Reach{}, about("disruption", d.Name, err)
	}
	reach, err := fault.Prepare(ctx)
	if err != nil {
		return reach, about("disruption", d.Name, err)
	}
	return reach, nil
}
