package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"resilience/internal/measure"
)

// podKill deletes pods. Whoever made them makes new ones.
type podKill struct{ onCluster }

func newPodKill(o onCluster) (Disruption, error) { return &podKill{o}, nil }

// Prepare chooses the pods. One that nothing would make again is an error.
func (k *podKill) Prepare(ctx context.Context) (measure.Reach, error) {
	if err := k.need(ctx, append(k.looking(), k.in("get", "", "pods", ""), k.in("delete", "", "pods", ""))...); err != nil {
		return measure.Reach{}, err
	}
	_, reach, err := k.victims(ctx)
	return reach, err
}

func (k *podKill) victims(ctx context.Context) ([]podState, measure.Reach, error) {
	chosen, reach, _, err := k.pick(ctx)
	for _, p := range chosen {
		if p.owner == "" {
			return nil, reach, fmt.Errorf("pod %s belongs to no workload: nothing would start it again", p.name)
		}
	}
	return chosen, reach, err
}

// Inject deletes the pods, with the grace that the plan gives: 1 s at least,
// because less makes the cluster forget a pod before its processes have ended.
func (k *podKill) Inject(ctx context.Context, _ func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	chosen, _, err := k.victims(ctx)
	if err != nil {
		return nil, err
	}
	grace := max(time.Second, (time.Duration(k.plan.Kill.Grace) + time.Second - 1).Truncate(time.Second))
	asked := make([]bool, len(chosen))
	err = each(chosen, func(i int) error {
		err := k.api.remove(ctx, chosen[i], grace)
		asked[i] = err == nil
		return err
	})
	if err != nil && !slices.Contains(asked, true) {
		return nil, err
	}
	if err != nil { // some are deleted, which nobody can undo
		k.site.Note(measure.EventWarning, k.plan.Name, map[string]string{"detail": err.Error()})
	}
	return once(func(ctx context.Context) (measure.Touch, error) {
		touch := measure.Touch{Matched: uint64(len(chosen)), Unit: "pods"}
		var mu sync.Mutex
		unseen := each(chosen, func(i int) error {
			if !asked[i] {
				return nil
			}
			if err := k.gone(ctx, chosen[i]); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			touch.Touched++
			touch.Names = append(touch.Names, chosen[i].name)
			return nil
		})
		if unseen != nil { // the proof is missing, and nothing is left to lift
			k.site.Note(measure.EventWarning, k.plan.Name, map[string]string{"detail": unseen.Error()})
		}
		return sortedTouch(touch), nil
	}), nil
}

// gone waits until a pod is another one or none.
func (k *podKill) gone(ctx context.Context, p podState) error {
	err := until(ctx, pollAgent, func() (bool, error) {
		now, err := k.api.pod(ctx, p.name)
		switch {
		case errors.Is(err, errNotThere):
			return true, nil
		case err != nil:
			return false, nil // asked again
		}
		return now.uid != p.uid, nil
	})
	if err != nil {
		return fmt.Errorf("pod %s was deleted, but it was not seen to go: %w", p.name, err)
	}
	return nil
}
