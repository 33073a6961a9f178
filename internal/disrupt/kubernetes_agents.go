package disrupt

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// agents is a fault that an agent in each pod injects.
type agents struct {
	onCluster
	reach func(api *cluster, pod podState, container string, port int) *attached

	mu    sync.Mutex
	ready map[string]*attached // by the uid of the pod: attached and idle
	tried map[string]podState  // by their uids: pods that may have an agent that no lifting has ended
}

func newAgents(o onCluster) (Disruption, error) {
	if o.on.Image == "" {
		return nil, errors.New("kubernetes: wants image:, that of an agent: one that has this program as its entry point")
	}
	if o.on.Node != "" {
		return nil, errors.New("kubernetes: node: is for drain")
	}
	return &agents{onCluster: o, reach: reachAgent, ready: map[string]*attached{}, tried: map[string]podState{}}, nil
}

// agentMargin is how long an agent waits for its first order beside the time
// until the fault is planned.
const agentMargin = 3 * time.Minute

// Prepare finds the pods and attaches an agent to each. The agent does nothing
// and ends by itself when no order comes; it is attached here because that is
// the only way to know that its image can be pulled and that the pod and its
// kernel allow what it will do.
func (a *agents) Prepare(ctx context.Context) (measure.Reach, error) {
	rights := append(a.looking(), a.in("get", "", "pods", ""), a.in("patch", "", "pods", "ephemeralcontainers"), a.in("create", "", "pods", "attach"))
	if err := a.need(ctx, rights...); err != nil {
		return measure.Reach{}, err
	}
	_, reach, err := a.attach(ctx)
	return reach, err
}

// attach chooses the pods and sees that each has an agent that is ready.
func (a *agents) attach(ctx context.Context) ([]*attached, measure.Reach, error) {
	chosen, reach, service, err := a.pick(ctx)
	if err != nil {
		return nil, reach, err
	}
	ports := make([]int, len(chosen))
	if a.plan.Drop == nil {
		for i, pod := range chosen {
			if ports[i], err = a.portOf(pod, service); err != nil {
				return nil, reach, err
			}
		}
	}
	idle := agentMargin + time.Duration(a.plan.At) + time.Duration(a.plan.Spread)
	out := make([]*attached, len(chosen))
	err = each(out, func(i int) error {
		a.mu.Lock()
		one := a.ready[chosen[i].uid]
		a.tried[chosen[i].uid] = chosen[i]
		a.mu.Unlock()
		if one != nil && one.alive(ctx) {
			out[i] = one
			return nil
		}
		one, err := attach(ctx, a.api, chosen[i], a.site.Run, a.on.Image, idle)
		if err != nil {
			return err
		}
		one.port, out[i] = ports[i], one
		a.mu.Lock()
		defer a.mu.Unlock()
		a.ready[chosen[i].uid] = one
		return nil
	})
	return out, reach, err
}

// alive reports whether an agent answers.
func (a *attached) alive(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	answer, err := a.ask(ctx, agentRequest{Op: agentCheck})
	return err == nil && answer.Error == ""
}

// each does something for all elements at once and joins the errors.
func each[T any](of []T, do func(i int) error) error {
	errs := make([]error, len(of))
	var wg sync.WaitGroup
	for i := range of {
		wg.Go(func() { errs[i] = do(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// agentsLeft is what undoing needs: the order, and where it was given.
type agentsLeft struct {
	Order  string      `json:"order"`
	Agents []agentLeft `json:"agents"`
}

type agentLeft struct {
	Pod       string `json:"pod"`
	UID       string `json:"uid"`
	Container string `json:"container"`
}

// Inject gives the order to all agents at once.
func (a *agents) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	before := snapshotOf(a.seen())
	on, _, err := a.attach(ctx)
	if err != nil {
		return nil, err
	}
	before.note(a.site, podsOf(on))
	left := agentsLeft{Order: rand.Text()}
	for _, one := range on {
		left.Agents = append(left.Agents, agentLeft{one.pod.name, one.pod.uid, one.container})
	}
	undo, err := json.Marshal(left)
	if err != nil {
		return nil, err
	}
	if err := keep(undo); err != nil {
		return nil, err
	}
	f := &agentFault{agents: a, order: left.Order, on: on, leases: make([]Lease, len(on)), alive: make([]int64, len(on)), gone: make([]int64, len(on)), lost: make([]string, len(on))}
	if err := each(on, func(i int) error { return f.inject(ctx, i) }); err != nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), liftPatience)
		defer cancel()
		_, undone := f.lift(late)
		return nil, errors.Join(err, undone)
	}
	f.keepUp()
	return once(f.lift), nil
}

// seen are the pods that agents were attached to.
func (a *agents) seen() []podState {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []podState
	for _, uid := range sortedKeys(a.ready) {
		out = append(out, a.ready[uid].pod)
	}
	return out
}

func podsOf(on []*attached) []podState {
	out := make([]podState, len(on))
	for i, one := range on {
		out[i] = one.pod
	}
	return out
}

// agentFault is a fault of agents while it is in effect.
type agentFault struct {
	*agents
	order string
	on    []*attached
	stop  context.CancelFunc
	done  sync.WaitGroup

	mu     sync.Mutex
	leases []Lease  // what each agent said last
	alive  []int64  // when each fault was last known to be in effect, in Unix nanoseconds
	gone   []int64  // when each was over; 0 where that is not known
	lost   []string // why each was over before it was lifted; "" where it was not
}

// inject gives one agent its order.
func (f *agentFault) inject(ctx context.Context, i int) error {
	one, d := f.on[i], f.plan
	d.Kubernetes = &plan.Kubernetes{Port: strconv.Itoa(one.port), Protocol: f.agents.on.Protocol, Select: map[string]string{"pod": one.pod.name}}
	d.At, d.After, d.Spread, d.Repeat, d.Sweep, d.AbortIf, d.AtMost = 0, "", 0, nil, false, nil, nil // when and where is decided here
	order := &Order{ID: f.order, Proxy: podProxy, Disruption: d, Seed: f.site.Seed ^ int64(nameSeed(one.pod.name)), TTL: DefaultTTL}
	answer, err := one.ask(ctx, agentRequest{Op: agentInject, Order: order})
	if err = errors.Join(err, answer.err()); err != nil {
		return fmt.Errorf("pod %s: %w", one.pod.name, err)
	}
	f.said(i, answer.Lease)
	return nil
}

// said takes note of what an agent says of its fault.
func (f *agentFault) said(i int, l Lease) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leases[i] = l
	if !l.Over() {
		f.alive[i] = time.Now().UnixNano()
	}
}

// keepUp renews the leases until the fault is lifted, and tells of pods where
// it ended early and of what else happens to them.
func (f *agentFault) keepUp() {
	ctx, cancel := context.WithCancel(context.Background())
	f.stop = cancel
	for i := range f.on {
		f.done.Go(func() { f.renew(ctx, i) })
	}
	f.done.Go(func() { f.watch(ctx) })
}

func (f *agentFault) renew(ctx context.Context, i int) {
	tick := time.NewTicker(DefaultTTL / 5)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		quick, cancel := context.WithTimeout(ctx, DefaultTTL/5)
		answer, err := f.on[i].ask(quick, agentRequest{Op: agentRenew, ID: f.order})
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && answer.Lease.ID == f.order && !answer.Gone:
			f.said(i, answer.Lease)
		case err == nil && answer.Gone:
			f.early(i, answer.Error)
			return
		default:
			quick, cancel := context.WithTimeout(ctx, time.Second)
			over, err := f.on[i].over(quick)
			cancel()
			if err == nil && over {
				f.early(i, "the agent or its pod is gone")
				return
			}
		}
	}
}

// early tells, once, that a fault ended in one pod before it was lifted. What
// came after it was last known to be in effect does not count as during it.
func (f *agentFault) early(i int, why string) {
	f.mu.Lock()
	known := f.gone[i] != 0
	if !known {
		f.gone[i], f.lost[i] = f.alive[i], why
	}
	f.mu.Unlock()
	if known {
		return
	}
	f.site.Note(measure.EventWarning, f.plan.Name, map[string]string{
		"detail": fmt.Sprintf("the fault ended early in pod %s: %s", f.on[i].pod.name, strings.TrimSpace(why)),
	})
}

// lift ends the fault everywhere at once, and sees that nothing of it is left.
func (f *agentFault) lift(ctx context.Context) (measure.Touch, error) {
	if f.stop != nil {
		f.stop()
	}
	err := each(f.on, func(i int) error {
		l, gone, err := f.on[i].lift(ctx, f.order)
		f.lifted(i, l, gone)
		return err
	})
	f.done.Wait()
	for _, one := range f.on {
		one.close()
	}
	f.agents.mu.Lock()
	clear(f.ready)
	clear(f.tried)
	f.agents.mu.Unlock()
	return f.touch(), err
}

// lifted takes note of how the fault of one pod was when it was lifted: still in
// effect, or over already. One that can not be lifted may be so later.
func (f *agentFault) lifted(i int, l Lease, gone int64) {
	known := l.ID != "" && l.Name != ""
	if known {
		f.said(i, l)
	}
	f.mu.Lock()
	took := f.alive[i] != 0
	f.mu.Unlock()
	switch {
	case gone == 0:
	case took && l.State == StateExpired:
		f.early(i, "its agent was not reached in time to renew it")
	case took && !known:
		f.early(i, "the agent or its pod is gone")
	default:
		f.mu.Lock()
		defer f.mu.Unlock()
		f.gone[i] = cmp.Or(f.gone[i], gone)
	}
}

// doubt says where the fault was over while it was in effect elsewhere, "" where
// that did not happen; f.mu is held.
func (f *agentFault) doubt() string {
	var where []string
	for i, why := range f.lost {
		if why != "" {
			where = append(where, "pod "+f.on[i].pod.name)
		}
	}
	if len(where) == 0 || len(where) == len(f.on) { // all of it was over then, which its time tells
		return ""
	}
	return fmt.Sprintf("it was over before it was lifted in %s, and went on in others", strings.Join(where, ", "))
}

// touch adds up what the agents said.
func (f *agentFault) touch() measure.Touch {
	f.mu.Lock()
	defer f.mu.Unlock()
	var t measure.Touch
	for i, l := range f.leases {
		t.Matched += l.Matched
		t.Touched += l.Touched
		if l.Unit != "" {
			t.Unit = l.Unit
		}
		if l.Touched > 0 {
			t.Names = append(t.Names, f.on[i].pod.name)
		}
	}
	if !slices.Contains(f.gone, 0) {
		t.Gone = slices.Max(f.gone)
	}
	t.Doubt = f.doubt()
	slices.Sort(t.Names)
	return t
}

// lift ends a fault in one pod and returns when its agent is seen to have
// ended: with its process all rules are gone. An agent that others still use
// goes on. The fault itself is over earlier, which gone tells in Unix
// nanoseconds: clients are given time to leave the proxy after that.
func (a *attached) lift(ctx context.Context, order string) (l Lease, gone int64, err error) {
	answer, over, err := a.askUnlessOver(ctx, agentRequest{Op: agentLift, ID: order})
	gone = time.Now().UnixNano()
	switch {
	case over:
		return Lease{}, gone, nil
	case err != nil:
		return Lease{}, 0, fmt.Errorf("pod %s: lifting could not be confirmed; its agent ends the fault by itself within %s: %w", a.pod.name, DefaultTTL, err)
	case answer.Error != "" && !answer.Gone:
		return answer.Lease, 0, fmt.Errorf("pod %s: %w", a.pod.name, answer.err())
	}
	end, over, err := a.askUnlessOver(ctx, agentRequest{Op: agentEnd})
	switch {
	case over:
		return answer.Lease, gone, nil
	case err == nil && end.Error != "":
		return answer.Lease, gone, fmt.Errorf("pod %s: its agent could not end: %s", a.pod.name, end.Error)
	case err == nil && !end.Ended: // others use it
		return answer.Lease, gone, nil
	}
	return answer.Lease, gone, a.gone(ctx)
}

// askUnlessOver gives an order to an agent that may not be there any more.
func (a *attached) askUnlessOver(ctx context.Context, r agentRequest) (answer agentAnswer, over bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	said := make(chan struct{})
	go func() {
		defer close(said)
		answer, err = a.ask(ctx, r)
	}()
	tick := time.NewTicker(2 * pollAgent)
	defer tick.Stop()
	for {
		select {
		case <-said:
			return answer, false, err
		case <-tick.C:
			if over, err := a.over(ctx); err == nil && over {
				cancel()
				<-said
				return answer, true, nil
			}
		}
	}
}

// undoAgents lifts what another process injected.
func undoAgents(ctx context.Context, o onCluster, undo json.RawMessage) error {
	var left agentsLeft
	if err := json.Unmarshal(undo, &left); err != nil {
		return fmt.Errorf("what was kept to undo it can not be read: %w", err)
	}
	return each(left.Agents, func(i int) error {
		l := left.Agents[i]
		one := reachAgent(o.api, podState{name: l.Pod, uid: l.UID}, l.Container, 0)
		defer one.close()
		if over, err := one.over(ctx); err == nil && over {
			return nil
		}
		_, _, err := one.lift(ctx, left.Order)
		return err
	})
}
