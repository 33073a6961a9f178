package disrupt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Releaser is a [Disruption] that holds something between Prepare and Inject,
// which does no harm and is not wanted any more once nobody will inject it.
// Release gives that back; it is called when no fault of the disruption is in
// effect, also after Prepare failed, and may be called where there is nothing
// to give back. An error says what is left, and until when.
type Releaser interface {
	Release(ctx context.Context) error
}

// Release ends the agents that were attached and that no lifting has ended:
// those of a disruption that was skipped or never came.
func (a *agents) Release(ctx context.Context) error {
	pods, ready := a.forget()
	return each(pods, func(i int) error {
		if one := ready[pods[i].uid]; one != nil {
			return one.release(ctx)
		}
		return a.releaseUnknown(ctx, pods[i])
	})
}

// forget gives the pods where agents may be, and those that are ready by the
// uid of the pod; both are then as if nothing was prepared.
func (a *agents) forget() ([]podState, map[string]*attached) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var pods []podState
	for _, uid := range sortedKeys(a.tried) {
		pods = append(pods, a.tried[uid])
	}
	ready := a.ready
	a.tried, a.ready = map[string]podState{}, map[string]*attached{}
	return pods, ready
}

// releaseUnknown ends what was attached to a pod and was not heard of before
// its preparing was broken off.
func (a *agents) releaseUnknown(ctx context.Context, pod podState) error {
	now, err := a.api.pod(ctx, pod.name)
	switch {
	case errors.Is(err, errNotThere) || err == nil && now.uid != pod.uid:
		return nil
	case err != nil:
		return fmt.Errorf("whether an idle agent is left in pod %s is not known; it would end by itself: %w", pod.name, err)
	}
	var errs []error
	for _, name := range sortedKeys(now.agents) {
		state := now.agents[name]
		if !strings.HasPrefix(name, agentPrefix+shortRun(a.site.Run)+"-") || state.ended || slices.Contains(hopeless, state.reason) {
			continue
		}
		errs = append(errs, a.reach(a.api, pod, name, 0).release(ctx))
	}
	return errors.Join(errs...)
}

// release ends an agent unless it is at work for others.
func (a *attached) release(ctx context.Context) error {
	defer a.close()
	answer, over, err := a.askUnlessOver(ctx, agentRequest{Op: agentEnd})
	if over {
		return nil
	}
	if err == nil {
		err = answer.err()
	}
	if err != nil {
		return fmt.Errorf("pod %s: its idle agent (container %s) could not be ended; it does nothing, and ends by itself: %w", a.pod.name, a.container, err)
	}
	return nil
}
