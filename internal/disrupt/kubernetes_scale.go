package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"resilience/internal/measure"
)

// scaling gives a workload another number of pods, and the former again.
type scaling struct{ onCluster }

func newScaling(o onCluster) (Disruption, error) {
	if o.on.Workload == "" {
		return nil, errors.New("kubernetes: scale wants workload:, such as deployment/shop")
	}
	kind, _, err := splitWorkload(o.on.Workload)
	if err == nil && kind == kindDaemonSet {
		err = fmt.Errorf("%s has one pod on each node and can not be scaled", o.on.Workload)
	}
	return &scaling{o}, err
}

// Prepare finds out how many pods there are now.
func (s *scaling) Prepare(ctx context.Context) (measure.Reach, error) {
	kind, _, err := splitWorkload(s.on.Workload)
	if err != nil {
		return measure.Reach{}, err
	}
	err = s.need(ctx, s.in("get", "apps", kind+"s", ""), s.in("get", "apps", kind+"s", "scale"),
		s.in("update", "apps", kind+"s", "scale"), s.in("list", "", "pods", ""))
	if err != nil {
		return measure.Reach{}, err
	}
	_, reach, err := s.look(ctx)
	return reach, err
}

func (s *scaling) look(ctx context.Context) (workloadState, measure.Reach, error) {
	reach := measure.Reach{Unit: "pods"}
	_, _, w, err := s.workload(ctx)
	if err != nil {
		return w, reach, err
	}
	found, _, err := s.candidates(ctx)
	if err != nil {
		return w, reach, err
	}
	reach.Of = sortedKeys(found)
	to, allowed := s.plan.Scale.To, max(0, w.replicas-1)
	if s.plan.AtMost != nil {
		allowed = s.plan.AtMost.Of(w.replicas)
	}
	switch status, done := w.settled(); {
	case to == w.replicas:
		return w, reach, fmt.Errorf("%s has %d replicas already: nothing would change", s.on.Workload, to)
	case !done:
		return w, reach, fmt.Errorf("%s is in the middle of a rollout: %s", s.on.Workload, status)
	case to == 0 && !meansAll(s.plan):
		return w, reach, fmt.Errorf("%s would have no pods left: say at_most: all if that is meant", s.on.Workload)
	case w.replicas-to > allowed:
		return w, reach, fmt.Errorf("%s would lose %d of %d pods, and at_most allows %d", s.on.Workload, w.replicas-to, w.replicas, allowed)
	}
	return w, reach, nil
}

// scaled is what undoing needs.
type scaled struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Inject asks for the other number. It returns when the pods that are too many
// are on their way out, or when as many as were asked for are there.
func (s *scaling) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	w, _, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	before, _, err := s.everyone(ctx)
	if err != nil {
		return nil, err
	}
	c := scaled{From: w.replicas, To: s.plan.Scale.To}
	undo, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	if err := keep(undo); err != nil {
		return nil, err
	}
	if err := s.change(ctx, c.From, c.To); err != nil { // it may have been done all the same
		return nil, errors.Join(err, s.backLate(ctx, c))
	}
	touch := measure.Touch{Matched: uint64(abs(c.From - c.To)), Unit: "pods"} // it is meant to touch no others
	err = until(ctx, pollAgent, func() (bool, error) {
		now, _, err := s.everyone(ctx)
		if err != nil && !errors.Is(err, errNoPod) {
			return false, nil // asked again
		}
		touch = s.touched(before, now, touch)
		return len(touch.Names) >= abs(c.From-c.To), nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s was scaled, and nothing happened: %w", s.on.Workload, err), s.backLate(ctx, c))
	}
	return once(func(ctx context.Context) (measure.Touch, error) { return touch, s.back(ctx, c) }), nil
}

// touched names the pods that went, or that came.
func (s *scaling) touched(before, now []podState, t measure.Touch) measure.Touch {
	was, is := snapshotOf(before), snapshotOf(now)
	t.Names = nil
	for _, p := range before {
		if q, there := is[p.uid]; !there || q.leaving {
			t.Names = append(t.Names, p.name)
		}
	}
	for _, p := range now {
		if _, known := was[p.uid]; !known && s.plan.Scale.To > len(before) {
			t.Names = append(t.Names, p.name)
		}
	}
	t.Touched = min(t.Matched, uint64(len(t.Names))) // others may come and go at the same time
	return sortedTouch(t)
}

func abs(n int) int { return max(n, -n) }

func (s *scaling) change(ctx context.Context, from, to int) error {
	kind, name, err := splitWorkload(s.on.Workload)
	if err != nil {
		return err
	}
	was, changed, err := s.api.scale(ctx, kind, name, from, to)
	if err == nil && !changed {
		return fmt.Errorf("%s has %d replicas, not %d: somebody else changed that", s.on.Workload, was, from)
	}
	return err
}

// back gives the workload its former number, unless somebody else gave it
// another one meanwhile: that is left alone and told.
func (s *scaling) back(ctx context.Context, c scaled) error {
	kind, name, err := splitWorkload(s.on.Workload)
	if err != nil {
		return err
	}
	var last error
	err = until(ctx, pollAgent, func() (bool, error) {
		was, changed, err := s.api.scale(ctx, kind, name, c.To, c.From)
		switch {
		case err == nil && !changed && was != c.From:
			s.site.Note(measure.EventWarning, s.plan.Name, map[string]string{"detail": fmt.Sprintf(
				"%s had %d replicas, was scaled to %d, and has %d now because of somebody else: left as it is", s.on.Workload, c.From, c.To, was)})
			return true, nil
		case errors.Is(err, errNotThere):
			return true, nil // and its pods with it
		}
		last = err // refused because it changed at that moment, or no answer: once more
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%s may still have %d replicas instead of %d: %w", s.on.Workload, c.To, c.From, errors.Join(err, last))
	}
	return nil
}

// backLate is back for what could not be injected.
func (s *scaling) backLate(ctx context.Context, c scaled) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), liftPatience)
	defer cancel()
	return s.back(ctx, c)
}

func undoScaling(ctx context.Context, o onCluster, undo json.RawMessage) error {
	var c scaled
	if err := json.Unmarshal(undo, &c); err != nil {
		return fmt.Errorf("what was kept to undo it can not be read: %w", err)
	}
	return (&scaling{o}).back(ctx, c)
}
