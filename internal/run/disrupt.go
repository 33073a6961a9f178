package run

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

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
		Run: c.ID, Phase: b.phase.Name, Dir: c.Plan.Dir, Env: append(c.environment(b), "TARGET_URL="+b.targets[b.phase.Candidate].URL), Seed: c.Seed, Dependencies: b.proxies, Services: b.services,
		Note: func(kind, name string, attrs map[string]string) {
			_ = c.event(measure.Event{Kind: kind, Phase: b.phase.Name, Name: name, Attrs: attrs}) // as in note
		},
	}
}

// disrupt injects a disruption now and lifts it when its time is over, a
// condition of its abort_if holds or the context ends, whichever is first. It
// may be called again once it has returned: a disruption that repeats is the
// same one each time. When that is, [Conductor.schedule] decides.
func (c *Conductor) disrupt(ctx context.Context, b *bound, d scheduled, health *health) (became outcome) {
	defer c.defect(b, d, &became)
	watched, err := conditions(d.plan.AbortIf)
	if err != nil {
		return c.skip(b, d, err.Error())
	}
	if reason := health.sick(time.Now()); reason != "" {
		return c.skip(b, d, reason)
	}
	keeper := &keeper{c: c, b: b, d: d.plan}
	lift, err := inject(ctx, d.fault, keeper)
	if defect := (*panicError)(nil); errors.Is(err, errStuck) || errors.As(err, &defect) {
		if defect != nil {
			b.stop(err)
		}
		return c.left(b, d, err)
	}
	if err != nil {
		return c.skip(b, d, "could not be injected: "+errors.Join(err, keeper.lifted(nil)).Error())
	}
	end := health.disrupted(time.Now())
	c.inEffect(b, d)
	limited, cancel := context.WithTimeout(ctx, time.Duration(d.plan.For)) // an early end lifts early
	defer cancel()
	abort := false
	if keeper.injected() == nil { // or the journal can not be written any more
		_, abort = c.watch(limited, b, health, d.plan.Name, watched)
	}
	end(c.lift(ctx, b, d, keeper, lift))
	return outcome{took: true, aborted: abort, lifted: time.Now()}
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
// may be before lifting it was.
func (c *Conductor) lift(ctx context.Context, b *bound, d scheduled, keeper *keeper, lift func(context.Context) (measure.Touch, error)) time.Time {
	alone, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(liftTimeout, cancel) })()
	var said atomic.Pointer[measure.Touch] // a lifting that is left behind may still say it
	err := within(alone, liftPatience, func(ctx context.Context) error {
		touch, err := lift(ctx)
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
	attrs := map[string]string{
		"touched": strconv.FormatUint(touch.Touched, 10), "matched": strconv.FormatUint(touch.Matched, 10),
	}
	if touch.Unit != "" {
		attrs["unit"] = touch.Unit
	}
	if len(touch.Names) > 0 {
		attrs["names"] = strings.Join(touch.Names, ", ")
	}
	if err = errors.Join(err, keeper.lifted(err)); err != nil {
		c.fault.Store(true)
		attrs["error"] = err.Error()
	}
	c.note(b, d, measure.EventLifted, at, d.attrs(attrs))
	return time.Unix(0, at)
}

// errStuck says that an injection did not end when it should have.
var errStuck = errors.New("injecting it did not come to its end")

// inject injects a fault. Should that not end although the run does, nobody
// waits for it any longer; what it injects after all is lifted at once.
func inject(ctx context.Context, fault Disruption, keeper *keeper) (lift func(context.Context) (measure.Touch, error), err error) {
	type result struct {
		lift func(context.Context) (measure.Touch, error)
		err  error
	}
	done, gone := make(chan result), make(chan struct{})
	go func() {
		var r result
		defer func() {
			select {
			case done <- r:
			case <-gone:
				if r.err == nil {
					_, err := r.lift(context.Background())
					_ = keeper.lifted(err) // the watchdog goes by what it reads
				}
			}
		}()
		defer recovered(&r.err, "inject")
		r.lift, r.err = fault.Inject(ctx, keeper.keep)
	}()
	patience := make(chan struct{})
	defer context.AfterFunc(ctx, func() { time.AfterFunc(liftTimeout+letGo, func() { close(patience) }) })()
	select {
	case r := <-done:
		return r.lift, r.err
	case <-patience:
		close(gone)
		return nil, errStuck
	}
}

// left records that a fault may be in effect, and nobody here can lift it.
func (c *Conductor) left(b *bound, d scheduled, err error) outcome {
	c.fault.Store(true)
	c.inEffect(b, d)
	c.note(b, d, measure.EventLifted, 0, d.attrs(map[string]string{"error": firstLine(err)}))
	return outcome{took: true, lifted: time.Now()}
}

// defect is deferred: should this program panic while a fault is in effect, it
// counts as left, and the run ends.
func (c *Conductor) defect(b *bound, d scheduled, became *outcome) {
	problem := recover()
	if problem == nil {
		return
	}
	err := panicked("disruption "+d.plan.Name, problem)
	*became = c.left(b, d, err)
	b.stop(err)
}

// note records what became of a disruption. A record that can not be written
// stops the traffic, whose batches fail the same way.
func (c *Conductor) note(b *bound, d scheduled, kind string, at int64, attrs map[string]string) {
	_ = c.event(measure.Event{At: at, Kind: kind, Phase: b.phase.Name, Name: d.plan.Name, Attrs: attrs})
}
