package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// lifecycle is a kill, pause or restart of instances, whatever they are.
type lifecycle struct {
	d     plan.Disruption
	fault string
	unit  string
	seed  int64
	note  func(kind, name string, attrs map[string]string)

	// find gives the instances that the plan selects. With exact they are one
	// that the plan calls by its full name.
	find func(ctx context.Context) (group []life, exact bool, err error)
}

func newLifecycle(d plan.Disruption, s Site, unit string, find func(context.Context) ([]life, bool, error)) (*lifecycle, error) {
	fault, _ := d.Fault()
	if !slices.Contains([]string{"kill", "pause", "restart"}, fault) {
		return nil, fmt.Errorf("disruption %q: %s can not act on %s", d.Name, fault, unit)
	}
	if d.Kill != nil {
		if _, err := signalNamed(d.Kill.Signal); err != nil {
			return nil, fmt.Errorf("disruption %q: %w", d.Name, err)
		}
	}
	return &lifecycle{d: d, fault: fault, unit: unit, seed: s.Seed, note: s.Note, find: find}, nil
}

// pick decides which instances are acted on. Who calls one by its full name
// means it, and needs no at_most; everything else is bounded by [choose]. A
// rolling restart never has more than one down at a time, so that it may reach
// all.
func (c *lifecycle) pick(ctx context.Context) (group, chosen []life, err error) {
	group, exact, err := c.find(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("disruption %q: %w", c.d.Name, err)
	}
	rolling := c.d.Restart != nil && c.d.Restart.Rolling
	if len(group) > 0 && c.d.AtMost == nil && (exact || rolling) {
		return group, group, nil
	}
	names, err := choose(c.d, namesOf(group), c.unit, c.seed)
	if err != nil {
		return nil, nil, err
	}
	for _, l := range group {
		if slices.Contains(names, l.name()) {
			chosen = append(chosen, l)
		}
	}
	return group, chosen, nil
}

func namesOf(lives []life) []string {
	names := make([]string, len(lives))
	for i, l := range lives {
		names[i] = l.name()
	}
	slices.Sort(names)
	return names
}

// Prepare implements Disruption.
func (c *lifecycle) Prepare(ctx context.Context) (measure.Reach, error) {
	group, chosen, err := c.pick(ctx)
	if err != nil {
		return measure.Reach{}, err
	}
	for _, l := range chosen {
		now, err := l.look(ctx)
		if err == nil && !now.running {
			err = errors.New("does not run")
		}
		if err != nil {
			return measure.Reach{}, fmt.Errorf("disruption %q: %s: %w", c.d.Name, l.name(), err)
		}
	}
	return measure.Reach{Unit: c.unit, Of: namesOf(group), Selected: namesOf(chosen)}, nil
}

// Inject implements Disruption.
func (c *lifecycle) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("disruption %q: not injected: %w", c.d.Name, err)
	}
	_, chosen, err := c.pick(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.keep(ctx, chosen, keep); err != nil {
		return nil, err
	}
	in := &harming{of: c, stop: make(chan struct{})}
	for _, l := range chosen {
		in.all = append(in.all, &victim{life: l, grip: gripOn(l)})
	}
	err = in.harm(ctx)
	if err == nil && c.fault == "pause" { // what stands still is known for sure only now
		err = c.keep(ctx, chosen, keep)
	}
	if err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), failedLimit)
		defer cancel()
		err = fmt.Errorf("disruption %q: %w", c.d.Name, err)
		_, undone := in.lift(undo)
		if undone == nil {
			return nil, err
		}
		// Something may be in effect: whoever injected it has to go on lifting.
		c.note(measure.EventWarning, c.d.Name, map[string]string{"detail": errors.Join(err, undone).Error()})
	}
	return in.lift, nil
}

func (c *lifecycle) keep(ctx context.Context, chosen []life, keep func(json.RawMessage) error) error {
	undo, err := traces(ctx, c.fault, chosen)
	if err == nil && undo != nil {
		err = keep(undo)
	}
	if err != nil {
		return fmt.Errorf("disruption %q: not injected: %w", c.d.Name, err)
	}
	return nil
}

// harming is one injection.
type harming struct {
	of   *lifecycle
	all  []*victim
	work sync.WaitGroup // what goes on while the fault is in effect
	stop chan struct{}  // closed when no further instance shall be restarted

	mu     sync.Mutex // one lifting at a time
	lifted bool
	doubt  string // why the time of a pause can not be trusted
}

// harm puts the fault into effect. A restart goes on by itself afterwards.
func (h *harming) harm(ctx context.Context) error {
	switch {
	case h.of.d.Pause != nil:
		return together(h.all, func(l *victim) error { return l.pause(ctx) })
	case h.of.d.Kill != nil:
		return together(h.all, func(l *victim) error { return l.kill(ctx, h.of.d.Kill.Signal) })
	}
	ctx = context.WithoutCancel(ctx) // it is stopped by lifting
	if h.of.d.Restart.Rolling {
		h.work.Go(func() { h.noteRoll(h.rolling(ctx)) })
		return nil
	}
	h.work.Go(func() {
		h.noteRoll(together(h.all, func(l *victim) error { return l.restart(ctx) }))
	})
	return nil
}

// rolling restarts one instance after the other.
func (h *harming) rolling(ctx context.Context) error {
	for i, l := range h.all {
		gap := time.Duration(h.of.d.Restart.Gap)
		if i == 0 {
			gap = 0
		}
		select {
		case <-h.stop:
			return nil
		default:
		}
		select {
		case <-h.stop:
			return nil
		case <-time.After(gap):
		}
		if err := l.restart(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (h *harming) noteRoll(err error) {
	if err != nil {
		h.of.note(measure.EventWarning, h.of.d.Name, map[string]string{"detail": "the restart did not go well: " + err.Error()})
	}
}

// lift ends the fault and waits until every instance is as the other faults
// leave it.
func (h *harming) lift(ctx context.Context) (measure.Touch, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.lifted {
		h.lifted = true
		close(h.stop)
		if h.of.fault == "pause" {
			h.doubt = doubt(ctx, h.moving)
		}
	}
	touch := measure.Touch{Unit: h.of.unit, Doubt: h.doubt}
	err := within(ctx, &h.work)
	if err == nil {
		err = together(h.all, func(l *victim) error { return l.release(ctx) })
	}
	for _, l := range h.all {
		touch.Matched++
		if l.wasTouched() {
			touch.Touched++
			touch.Names = append(touch.Names, l.life.name())
		}
	}
	slices.Sort(touch.Names)
	if err != nil {
		return touch, fmt.Errorf("disruption %q: %w", h.of.d.Name, err)
	}
	return touch, nil
}

// moving says which of the paused instances do not stand still any more: somebody
// else let them go on, or started them again.
func (h *harming) moving(ctx context.Context) (string, error) {
	var names []string
	for _, v := range h.all {
		stands, err := v.stands(ctx)
		if err != nil {
			return "", fmt.Errorf("%s: %w", v.life.name(), err)
		}
		if !stands {
			names = append(names, v.life.name())
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	return strings.Join(names, ", ") + " did not stand still any more", nil
}
