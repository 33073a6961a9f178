package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// podRollout restarts the pods of a workload, as its own strategy says.
type podRollout struct{ onCluster }

func newRollout(o onCluster) (Disruption, error) {
	if o.on.Workload == "" {
		return nil, errors.New("kubernetes: restart wants workload:, such as deployment/shop")
	}
	_, _, err := splitWorkload(o.on.Workload)
	return &podRollout{o}, err
}

// Prepare finds out whether the workload would restart, and would keep serving
// meanwhile.
func (r *podRollout) Prepare(ctx context.Context) (measure.Reach, error) {
	kind, _, err := splitWorkload(r.on.Workload)
	if err != nil {
		return measure.Reach{}, err
	}
	err = r.need(ctx, r.in("get", "apps", kind+"s", ""), r.in("patch", "apps", kind+"s", ""), r.in("list", "", "pods", ""))
	if err != nil {
		return measure.Reach{}, err
	}
	_, reach, err := r.look(ctx)
	return reach, err
}

func (r *podRollout) look(ctx context.Context) ([]podState, measure.Reach, error) {
	reach := measure.Reach{Unit: "pods"}
	_, _, w, err := r.workload(ctx)
	if err != nil {
		return nil, reach, err
	}
	found, _, err := r.candidates(ctx)
	if err != nil {
		return nil, reach, err
	}
	reach.Of = sortedKeys(found)
	reach.Selected = reach.Of
	status, done := w.settled()
	switch all := meansAll(r.plan); {
	case w.paused:
		return nil, reach, fmt.Errorf("%s is paused: nothing would restart", r.on.Workload)
	case w.manual:
		return nil, reach, plan.Misfitf("%s restarts only pods that are deleted (OnDelete): use kill", r.on.Workload)
	case !done:
		return nil, reach, fmt.Errorf("%s is in the middle of another rollout: %s", r.on.Workload, status)
	case !all && w.recreate && w.replicas > 0:
		return nil, reach, plan.Misfitf("%s stops all its pods before it starts others (Recreate): say at_most: all if that is meant", r.on.Workload)
	}
	pods := make([]podState, 0, len(found))
	for _, name := range reach.Of {
		pods = append(pods, found[name])
	}
	return pods, reach, nil
}

// meansAll reports whether a plan says that a disruption may act on all.
func meansAll(d plan.Disruption) bool { return d.AtMost != nil && d.AtMost.Share == 1 }

// Inject returns when the rollout has begun. It ends by itself, whatever
// becomes of this process.
func (r *podRollout) Inject(ctx context.Context, _ func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	before, _, err := r.look(ctx)
	if err != nil {
		return nil, err
	}
	kind, name, _, err := r.workload(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.api.restart(ctx, kind, name, time.Now()); err != nil {
		return nil, err
	}
	err = until(ctx, pollAgent, func() (bool, error) {
		w, err := r.api.workload(ctx, kind, name)
		return err == nil && w.observed, nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s was told to restart, and was not seen to begin: %w", r.on.Workload, err)
	}
	return once(func(ctx context.Context) (measure.Touch, error) {
		touch, unseen := r.complete(ctx, kind, name, before)
		if unseen != nil { // the proof is missing, and nothing is left to lift: it goes on by itself
			r.site.Note(measure.EventWarning, r.plan.Name, map[string]string{"detail": unseen.Error()})
		}
		return touch, nil
	}), nil
}

// complete waits for the end of the rollout and counts the pods that are gone.
// An error says what was not seen.
func (r *podRollout) complete(ctx context.Context, kind, name string, before []podState) (measure.Touch, error) {
	touch := measure.Touch{Matched: uint64(len(before)), Unit: "pods"}
	last := "it could not be asked"
	err := until(ctx, pollAgent, func() (bool, error) {
		w, err := r.api.workload(ctx, kind, name)
		if err != nil {
			last = err.Error()
			return false, nil
		}
		var done bool
		if last, done = w.settled(); !done {
			return false, nil
		}
		// A workload does not count pods that are on their way out, and those
		// may still be called.
		now, err := r.api.list(ctx, w.selector, nil)
		if err != nil {
			last = err.Error()
			return false, nil
		}
		left := snapshotOf(now)
		last = "old pods are on their way out"
		return !slices.ContainsFunc(before, func(p podState) bool { return left[p.uid].uid != "" }), nil
	})
	if err != nil {
		err = fmt.Errorf("the rollout of %s is not seen to be complete (%s): give it a longer for: %w", r.on.Workload, last, err)
	}
	now, listed := r.api.list(context.WithoutCancel(ctx), r.labels(ctx), nil)
	if listed != nil {
		return touch, errors.Join(err, listed)
	}
	left := snapshotOf(now)
	for _, p := range before {
		if _, still := left[p.uid]; !still || left[p.uid].leaving {
			touch.Touched++
			touch.Names = append(touch.Names, p.name)
		}
	}
	return sortedTouch(touch), err
}

func (r *podRollout) labels(ctx context.Context) map[string]string {
	_, _, w, _ := r.workload(ctx) // none lists all pods, which serves as well
	return w.selector
}

func sortedTouch(t measure.Touch) measure.Touch {
	slices.Sort(t.Names)
	return t
}
