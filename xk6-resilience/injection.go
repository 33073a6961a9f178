package xk6resilience

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"resilience/internal/disrupt"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// liftWithin is how long lifting may take: less than a k6 that was stopped gets
// before it is killed.
const liftWithin = 4 * time.Second

// liftPatience is how long it may take while the test goes on: a busy cluster
// is slow to tell that an agent has ended.
const liftPatience = 20 * time.Second

// driver makes a disruption ready to be injected: [disrupt.New], outside of
// tests.
type driver func(d plan.Disruption, s disrupt.Site) (disrupt.Disruption, error)

// injection is what one call of a script puts into effect: a disruption, or two
// that come and go together.
type injection struct {
	session *session
	driver  driver
	site    disrupt.Site
	parts   []*part
	length  time.Duration // in effect; 0 for what is done once it is injected
	within  time.Duration // from the call until it must be in effect

	choose func(ctx context.Context, i *injection) error // changes the parts before all else; nil: nothing
}

// part is one disruption of an injection.
type part struct {
	plan  plan.Disruption
	fault disrupt.Disruption // made before it is injected
	lift  func(context.Context) (measure.Touch, error)
	since time.Time // in effect; zero if it never was
	touch measure.Touch
	err   error // lifting could not be confirmed
}

// run injects all parts, waits, and lifts them, also when the context ends
// before. It returns when nothing is in effect any more, or that could not be
// confirmed.
func (i *injection) run(ctx context.Context) (measure.Touch, error) {
	defer i.release(ctx)
	if err := i.inject(ctx); err != nil {
		i.halfway(err)
		return measure.Touch{}, err
	}
	i.began(time.Now())
	if i.length > 0 {
		select {
		case <-ctx.Done(): // the test is over or was stopped
		case <-time.After(i.length):
		}
	}
	err := i.lift(ctx)
	i.ended(i.over(time.Now()))
	return i.parts[0].touch, err
}

// inject puts all parts into effect, or none.
func (i *injection) inject(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, i.within, fmt.Errorf("it was not in effect within %s", i.within))
	defer cancel()
	if i.choose != nil {
		if err = i.choose(ctx, i); err != nil {
			return i.failed(ctx, i.parts[0], err)
		}
	}
	for _, p := range i.parts {
		if p.fault, err = i.driver(p.plan, i.site); err == nil {
			_, err = p.fault.Prepare(ctx)
		}
		if err != nil {
			return i.failed(ctx, p, err)
		}
	}
	for _, p := range i.parts {
		if p.lift, err = p.fault.Inject(ctx, keepNothing); err != nil {
			return errors.Join(i.failed(ctx, p, err), i.lift(ctx))
		}
		p.since = time.Now()
	}
	return nil
}

// keepNothing is for faults that end by themselves soon after this process: the
// proxies and agents that do the harm have a time to live. Scripts can inject no
// others, but for those that have nothing to undo.
func keepNothing(json.RawMessage) error { return nil }

func (i *injection) failed(ctx context.Context, p *part, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
		err = cause
		if errors.Is(cause, context.Canceled) {
			err = errors.New("the test ended before it was in effect")
		}
	}
	if strings.Contains(err.Error(), p.plan.Name) {
		return err
	}
	return fmt.Errorf("disruption %q: %w", p.plan.Name, err)
}

// lift ends all parts that are in effect, at the same time and with a context
// of its own: what ended the test can not keep a fault in place. Where nothing
// is to be lifted but an effect to be seen, that may take as long as the script
// said, unless the test ends.
func (i *injection) lift(test context.Context) error {
	within := liftPatience
	if i.length == 0 {
		within = max(within, i.within)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(test), within)
	defer cancel()
	defer context.AfterFunc(test, func() { time.AfterFunc(liftWithin, cancel) })()
	var all sync.WaitGroup
	for _, p := range i.parts {
		if p.lift != nil {
			all.Go(func() { p.touch, p.err = p.lift(ctx) })
		}
	}
	all.Wait()
	var errs []error
	for _, p := range i.parts {
		if p.err != nil {
			errs = append(errs, fmt.Errorf("disruption %q may still be in effect: %w", p.plan.Name, p.err))
		}
	}
	return errors.Join(errs...)
}

// release gives back what parts hold that were prepared and have come to
// nothing, such as agents. What it can not give back ends by itself.
func (i *injection) release(test context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(test), liftWithin)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range i.parts {
		holds, ok := p.fault.(disrupt.Releaser)
		if !ok {
			continue
		}
		all.Go(func() {
			if err := holds.Release(ctx); err != nil {
				i.site.Note(measure.EventWarning, p.plan.Name, map[string]string{"detail": fmt.Sprintf("disruption %q: %v", p.plan.Name, err)})
			}
		})
	}
	all.Wait()
}

// over is when the faults of all parts were, if lifting them returned at now.
func (i *injection) over(now time.Time) time.Time {
	last := int64(0)
	for _, p := range i.parts {
		if p.err != nil {
			return now
		}
		last = max(last, p.touch.Ended(now.UnixNano()))
	}
	return time.Unix(0, last)
}

// halfway records an injection that failed: the parts that were in effect until
// then began and ended, as far as they did; the others never were.
func (i *injection) halfway(why error) {
	now := time.Now()
	i.session.keep(func() {
		for _, p := range i.parts {
			if p.since.IsZero() {
				i.event(p, measure.EventSkipped, now, i.missing(p, why))
				continue
			}
			i.event(p, measure.EventDisruption, p.since, i.beginning(p))
			end := now
			if p.err == nil {
				end = time.Unix(0, p.touch.Ended(now.UnixNano()))
			}
			i.event(p, measure.EventLifted, end, i.ending(p))
		}
	})
}

// event records what became of a part; the session's lock is held.
func (i *injection) event(p *part, kind string, at time.Time, attrs map[string]string) {
	i.session.event(measure.Event{At: at.UnixNano(), Kind: kind, Name: p.plan.Name, Attrs: attrs})
}

// note records what became of every part, at one moment.
func (i *injection) note(kind string, at time.Time, attrs func(*part) map[string]string) {
	i.session.keep(func() {
		for _, p := range i.parts {
			i.event(p, kind, at, attrs(p))
		}
	})
}

func (i *injection) began(at time.Time) { i.note(measure.EventDisruption, at, i.beginning) }

func (i *injection) beginning(p *part) map[string]string {
	fault, share := p.plan.Fault()
	_, on := p.plan.On()
	return i.partly(p, map[string]string{
		"fault": fault, "on": on, "share": strconv.FormatFloat(share, 'g', -1, 64),
		"settle": time.Duration(*p.plan.Settle).String(),
	})
}

// partly adds of which disruption a part is one: the first gives the name.
func (i *injection) partly(p *part, attrs map[string]string) map[string]string {
	if whole := i.parts[0]; p != whole {
		attrs["sweep"] = whole.plan.Name
	}
	return attrs
}

func (i *injection) ended(at time.Time) { i.note(measure.EventLifted, at, i.ending) }

func (i *injection) ending(p *part) map[string]string {
	attrs := map[string]string{
		"touched": strconv.FormatUint(p.touch.Touched, 10), "matched": strconv.FormatUint(p.touch.Matched, 10),
	}
	if p.touch.Unit != "" {
		attrs["unit"], attrs["names"] = p.touch.Unit, strings.Join(p.touch.Names, ", ")
	}
	if p.touch.Doubt != "" {
		attrs["doubt"] = p.touch.Doubt
	}
	if p.err != nil {
		attrs["error"] = p.err.Error()
	}
	return attrs
}

func (i *injection) skipped(why error) {
	i.note(measure.EventSkipped, time.Now(), func(p *part) map[string]string { return i.missing(p, why) })
}

func (i *injection) missing(p *part, why error) map[string]string {
	return i.partly(p, map[string]string{"reason": "could not be injected: " + why.Error()})
}
