package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

const (
	// liftTimeout is how long lifting may take once a run is to end: the grace
	// that a cancelled job of a pipeline gets.
	liftTimeout = 5 * time.Second
	// liftPatience is how long it may take while the run goes on.
	liftPatience = 2 * time.Minute
)

// noMore is why nothing is injected any more.
const noMore = "%s could not be lifted: nothing else is injected"

// scheduled is a disruption that is ready to be injected.
type scheduled struct {
	plan  plan.Disruption // with the name that it is recorded under
	fault Disruption
	sweep string        // the disruption that this is one instance of; "" when it is none
	reach measure.Reach // what it would act on, as far as is known before
}

// disruptions makes all faults of a phase before any traffic starts, so that
// what is wrong with one shows early.
func (c *Conductor) disruptions(ctx context.Context, b *bound) ([]scheduled, error) {
	var out []scheduled
	for _, planned := range b.phase.Disruptions {
		each, err := c.instances(ctx, b, planned)
		if err != nil {
			return nil, err
		}
		for _, d := range each {
			one, err := c.ready(b, d)
			if err != nil {
				return nil, about("disruption", d.Name, err)
			}
			if planned.Sweep {
				one.sweep = planned.Name
			}
			out = append(out, one)
		}
	}
	return out, nil
}

// ready makes the fault of one disruption.
func (c *Conductor) ready(b *bound, d plan.Disruption) (scheduled, error) {
	d, err := plan.Bind(d, b.lookup)
	if err != nil {
		return scheduled{}, err
	}
	fault, err := c.Adapters.Disruption(d, c.site(b))
	return scheduled{plan: d, fault: fault}, err
}

// site is what the disruptions of a phase may need to know.
func (c *Conductor) site(b *bound) Site {
	return Site{
		Run: c.ID, Phase: b.phase.Name, Dir: c.Plan.Dir, Env: append(os.Environ(), listed(c.additions(b))...), Seed: c.Seed, Dependencies: b.proxies, Services: b.services,
		Spares: b.spares,
		Note: func(kind, name string, attrs map[string]string) {
			_ = c.event(measure.Event{Kind: kind, Phase: b.phase.Name, Name: name, Attrs: attrs}) // as in note
		},
	}
}

// spares is an error where a disruption would hurt users, and the plan does not
// say that this is meant.
func (b *bound) spares(d plan.Disruption) error {
	return b.phase.SparesUsers(d, b.targets[b.phase.Candidate].URL)
}

// disrupt injects a disruption now and lifts it when its time is over, a
// condition of its abort_if holds or the context ends, whichever is first. It
// may be called again once it has returned: a disruption that repeats is the
// same one each time. When that is, [Conductor.schedule] decides.
func (c *Conductor) disrupt(ctx context.Context, b *bound, d scheduled, health *health) (became outcome) {
	watched, err := conditions(d.plan.AbortIf)
	if err != nil {
		return c.skip(b, d, err.Error())
	}
	if reason := health.sick(time.Now()); reason != "" {
		return c.skip(b, d, reason)
	}
	keeper := &keeper{c: c, b: b, d: d.plan}
	lift, err := inject(ctx, b, d.fault, keeper)
	if err != nil {
		return c.notInjected(ctx, b, d, health, keeper, err)
	}
	return c.hold(ctx, b, d, health, &injected{keeper: keeper, lift: lift}, watched)
}

// injected is a fault in effect.
type injected struct {
	keeper *keeper
	lift   func(context.Context) (measure.Touch, error)
}

// hold keeps a fault in effect for its time, and lifts it however that ends:
// also when this program panics, which ends the run. A fault that could not be
// lifted counts as in effect from then on.
func (c *Conductor) hold(ctx context.Context, b *bound, d scheduled, health *health, fault *injected, watched []gates.Gate) (became outcome) {
	end, tried := health.disrupted(time.Now()), false
	became.took = true
	defer func() {
		if problem := recover(); problem != nil {
			err := panicked("disruption "+d.plan.Name, problem)
			b.stop(err)
			if !tried {
				became = c.left(b, d, health, err)
			}
		}
	}()
	defer func() {
		touch, at, err := c.lift(ctx, b, fault, func(touch measure.Touch, at time.Time) { c.isLifted(b, d, touch, at, nil) })
		tried, became.lifted = true, at
		if err == nil {
			end(at)
			return
		}
		c.unlifted(b, d)
		c.isLifted(b, d, touch, at, err)
	}()
	c.inEffect(b, d)
	limited, cancel := context.WithTimeout(ctx, time.Duration(d.plan.For)) // an early end lifts early
	defer cancel()
	if fault.keeper.injected() == nil { // or the journal can not be written any more
		_, became.aborted = c.watch(limited, b, health, d.plan.Name, watched)
	}
	return became
}

// inEffect records that a fault is.
func (c *Conductor) inEffect(b *bound, d scheduled) {
	at := time.Now().UnixNano()
	fault, share := d.plan.Fault()
	_, on := d.plan.On()
	attrs := map[string]string{
		"fault": fault, "on": on, "settle": time.Duration(*d.plan.Settle).String(),
		"share": strconv.FormatFloat(share, 'g', -1, 64),
	}
	if len(d.reach.Selected) > 0 {
		attrs["names"] = strings.Join(d.reach.Selected, ", ")
	}
	if d.reach.Unit != "" {
		attrs["unit"] = d.reach.Unit
	}
	c.note(b, d, measure.EventDisruption, at, d.attrs(attrs))
}

// lift ends a disruption with a context of its own, so that what ended the run
// can not keep the fault in place. Once the run is to end it takes no longer
// than a pipeline waits. It gives the time at which the fault was over, which
// may be before lifting it was. What was lifted is told before the journal
// forgets it: if this process ends in between, the watchdog lifts once more,
// which is harmless, and the record does not lack the end of the fault.
func (c *Conductor) lift(ctx context.Context, b *bound, fault *injected, told func(measure.Touch, time.Time)) (measure.Touch, time.Time, error) {
	alone, cancel := b.alone(ctx)
	defer cancel()
	late := fault.keeper.lifting()
	var said atomic.Pointer[measure.Touch] // a lifting that is left behind may still say it
	err := within(alone, liftPatience, func(ctx context.Context) error {
		touch, err := fault.lift(ctx)
		said.Store(&touch)
		return err
	})
	at := time.Now().UnixNano()
	touch := measure.Touch{}
	if t := said.Load(); t != nil {
		touch = *t
	}
	if err == nil {
		at = touch.Ended(at)
	}
	if err == nil && late == nil {
		told(touch, time.Unix(0, at))
	}
	if err = errors.Join(err, fault.keeper.lifted(err), late); err != nil {
		c.fault.Store(true)
	}
	return touch, time.Unix(0, at), err
}

// alone gives a context for undoing what a context that has ended, or will,
// was for. It ends soon after the run does, and says so beforehand when the run
// has ended.
func (b *bound) alone(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := context.WithCancel
	if b.run.Err() != nil {
		limit = func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, liftTimeout)
		}
	}
	alone, cancel := limit(context.WithoutCancel(ctx))
	stop := context.AfterFunc(b.run, func() { time.AfterFunc(liftTimeout, cancel) })
	return alone, func() {
		stop()
		cancel()
	}
}

// isLifted records that a fault is over, or why it may not be.
func (c *Conductor) isLifted(b *bound, d scheduled, touch measure.Touch, at time.Time, err error) {
	attrs := map[string]string{
		"touched": strconv.FormatUint(touch.Touched, 10), "matched": strconv.FormatUint(touch.Matched, 10),
	}
	if touch.Unit != "" {
		attrs["unit"] = touch.Unit
	}
	if len(touch.Names) > 0 {
		attrs["names"] = strings.Join(touch.Names, ", ")
	}
	if touch.Doubt != "" {
		attrs["doubt"] = touch.Doubt
	}
	if err != nil {
		attrs["error"] = err.Error()
	}
	c.note(b, d, measure.EventLifted, at.UnixNano(), d.attrs(attrs))
}

// unlifted notes that a fault may be in effect for good: nothing else is
// injected in this phase, as what it did could not be told apart.
func (c *Conductor) unlifted(b *bound, d scheduled) {
	c.fault.Store(true)
	reason := fmt.Sprintf(noMore, d.plan.Name)
	b.spoiled.CompareAndSwap(nil, &reason)
}

// left records that a fault may be in effect, and nobody here can lift it.
func (c *Conductor) left(b *bound, d scheduled, health *health, err error) outcome {
	c.unlifted(b, d)
	health.disrupted(time.Now()) // for good
	c.inEffect(b, d)
	c.note(b, d, measure.EventLifted, 0, d.attrs(map[string]string{"error": firstLine(err)}))
	return outcome{took: true, lifted: time.Now()}
}

// note records what became of a disruption. A record that can not be written
// stops the traffic, whose batches fail the same way.
func (c *Conductor) note(b *bound, d scheduled, kind string, at int64, attrs map[string]string) {
	_ = c.event(measure.Event{At: at, Kind: kind, Phase: b.phase.Name, Name: d.plan.Name, Attrs: attrs})
}
