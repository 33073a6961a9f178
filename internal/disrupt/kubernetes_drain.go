package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"resilience/internal/measure"
)

// draining evicts the pods of a node and keeps others away.
type draining struct{ onCluster }

func newDraining(o onCluster) (Disruption, error) {
	if o.on.Node == "" {
		return nil, errors.New("kubernetes: drain wants the name of a node")
	}
	return &draining{o}, nil
}

// Prepare finds out what would have to leave the node. A node that is the only
// one to take pods is only drained when the plan says at_most: all.
func (d *draining) Prepare(ctx context.Context) (measure.Reach, error) {
	err := d.need(
		ctx, right{verb: "list", resource: "nodes"}, right{verb: "get", resource: "nodes"}, right{verb: "patch", resource: "nodes"},
		right{verb: "list", resource: "pods"}, right{verb: "get", resource: "pods"},
		right{verb: "create", resource: "pods", subresource: "eviction"}, right{verb: "get", group: "apps", resource: "daemonsets"},
	)
	if err != nil {
		return measure.Reach{}, err
	}
	_, reach, err := d.look(ctx)
	return reach, err
}

func (d *draining) look(ctx context.Context) ([]nodePod, measure.Reach, error) {
	reach := measure.Reach{Unit: "nodes", Selected: []string{d.on.Node}}
	all, err := d.api.nodes(ctx)
	if err != nil {
		return nil, reach, err
	}
	reach.Of = sortedKeys(all)
	open, there := all[d.on.Node]
	others := 0
	for name, takes := range all {
		if takes && name != d.on.Node {
			others++
		}
	}
	switch {
	case !there:
		return nil, reach, fmt.Errorf("there is no node %s: there is %v", d.on.Node, reach.Of)
	case !open:
		return nil, reach, fmt.Errorf("node %s is closed for pods (cordoned) already", d.on.Node)
	case others == 0 && !meansAll(d.plan):
		return nil, reach, fmt.Errorf("node %s is the only one that takes pods: say at_most: all if that is meant", d.on.Node)
	}
	pods, err := d.api.evictable(ctx, d.on.Node)
	if err == nil && len(pods) == 0 {
		err = fmt.Errorf("node %s has no pods that could be evicted", d.on.Node)
	}
	return pods, reach, err
}

// drained is what undoing needs.
type drained struct {
	Node string `json:"node"`
}

// Inject closes the node and returns when the first pod is told to leave it; the
// others follow as their disruption budgets allow, until it is lifted.
func (d *draining) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	pods, _, err := d.look(ctx)
	if err != nil {
		return nil, err
	}
	undo, err := json.Marshal(drained{d.on.Node})
	if err != nil {
		return nil, err
	}
	if err := keep(undo); err != nil {
		return nil, err
	}
	if err := d.api.cordon(ctx, d.on.Node, true); err != nil {
		return nil, errors.Join(err, d.open(context.WithoutCancel(ctx)))
	}
	e := d.begin()
	if err := d.leaving(ctx, e, pods); err != nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), liftPatience)
		defer cancel()
		e.end(late)
		return nil, errors.Join(err, d.open(context.WithoutCancel(ctx)))
	}
	return once(func(ctx context.Context) (measure.Touch, error) {
		e.end(ctx)
		if err := d.open(ctx); err != nil {
			return measure.Touch{Unit: "pods"}, err
		}
		return d.touched(ctx, pods), nil
	}), nil
}

// touched counts the pods that left or are leaving. Those that stay were not to
// be touched, as budgets are respected, but are told of.
func (d *draining) touched(ctx context.Context, pods []nodePod) measure.Touch {
	touch := measure.Touch{Unit: "pods"}
	for _, p := range pods {
		if leaves, err := d.api.leaving(ctx, p); leaves && err == nil {
			touch.Matched++
			touch.Touched++
			touch.Names = append(touch.Names, p.namespace+"/"+p.name)
		}
	}
	if left := len(pods) - len(touch.Names); left > 0 {
		d.site.Note(measure.EventWarning, d.plan.Name, map[string]string{"detail": fmt.Sprintf(
			"%d of %d pods had not left node %s when it was opened again: their disruption budgets held them", left, len(pods), d.on.Node)})
	}
	return sortedTouch(touch)
}

// pollLeaving is how often it is looked whether a pod leaves: what it serves may
// fail from then on.
const pollLeaving = 50 * time.Millisecond

// leaving returns when the first of the pods is on its way out.
func (d *draining) leaving(ctx context.Context, e *eviction, pods []nodePod) error {
	err := until(ctx, pollLeaving, func() (bool, error) {
		ended := false
		select {
		case <-e.done:
			ended = true
		default:
		}
		for _, p := range pods {
			if leaves, err := d.api.leaving(ctx, p); leaves && err == nil {
				return true, nil // an error is asked about again
			}
		}
		if ended {
			return false, errors.Join(errors.New("the eviction ended"), e.err)
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("no pod left node %s: %w", d.on.Node, err)
	}
	return nil
}

// eviction is a node on its way to be empty.
type eviction struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it ended; then err is why
	err    error
}

func (d *draining) begin() *eviction {
	ctx, cancel := context.WithCancel(context.Background())
	e := &eviction{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.err = d.api.evict(ctx, d.on.Node, time.Duration(d.plan.Drain.Grace))
	}()
	return e
}

// lastEvictions is how long pods that are being told to leave may take to have
// been told. The eviction may pause for longer between two tries, and the node
// must not stay closed for that.
const lastEvictions = time.Second

// end lets no more pods be told to leave, and returns when those that are being
// told have been, soon in any case: their calls are given up.
func (e *eviction) end(ctx context.Context) {
	e.cancel()
	ctx, cancel := context.WithTimeout(ctx, lastEvictions)
	defer cancel()
	select {
	case <-e.done:
	case <-ctx.Done():
	}
}

// open lets pods come to the node again, and sees that they can.
func (d *draining) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, liftPatience)
	defer cancel()
	var last error
	err := until(ctx, pollAgent, func() (bool, error) {
		if last = d.api.cordon(ctx, d.on.Node, false); last != nil {
			return errors.Is(last, errNotThere), nil
		}
		var all map[string]bool
		all, last = d.api.nodes(ctx)
		return all[d.on.Node], nil
	})
	if err != nil {
		return fmt.Errorf("node %s may still be closed for pods (kubectl uncordon %s): %w", d.on.Node, d.on.Node, errors.Join(err, last))
	}
	return nil
}

func undoDraining(ctx context.Context, o onCluster, undo json.RawMessage) error {
	var left drained
	if err := json.Unmarshal(undo, &left); err != nil {
		return fmt.Errorf("what was kept to undo it can not be read: %w", err)
	}
	o.on.Node = left.Node
	return (&draining{o}).open(ctx)
}
