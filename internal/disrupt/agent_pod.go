package disrupt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// tablePrefix begins the names of all tables of nftables that are ours.
const tablePrefix = "resilience-"

// podLimits bound what happens to connections, in time.
type podLimits struct {
	reset  time.Duration // for connections to be between two requests before a fault
	linger time.Duration // for clients to leave by themselves after a fault
	rest   time.Duration // for those that did not
}

var usualLimits = podLimits{reset: 300 * time.Millisecond, linger: time.Second, rest: 1500 * time.Millisecond}

// pod is all that an agent does harm to, as one dependency: which port and how
// is said by each disruption. Faults on the same port share a gate.
type pod struct {
	name, address string
	limits        podLimits

	mu      sync.Mutex
	gates   map[gateKey]*gate
	tables  int // made so far, to name the next
	closed  bool
	drains  sync.WaitGroup
	drained error
}

type gateKey struct {
	port     int
	protocol string
}

func newPod(name, address string, limits podLimits) *pod {
	return &pod{name: name, address: address, limits: limits, gates: map[gateKey]*gate{}}
}

// URL is nothing that anybody could call.
func (p *pod) URL() string { return "" }

// Port is none: there may be many.
func (p *pod) Port() int { return 0 }

// Close waits until what was redirected has left, and gives the first error.
func (p *pod) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drains.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.drained
}

// check tells whether rules can be made here.
func (p *pod) check() error {
	rules, err := newRuleset(p.table())
	if err != nil {
		return err
	}
	return rules.close()
}

// clean verifies that no table of this agent is left.
func (p *pod) clean() error {
	left, err := ownTables(tablePrefix + p.name + "-")
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("tables of nftables are left: %v", left)
	}
	return err
}

// table names the next table.
func (p *pod) table() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tables++
	return tablePrefix + p.name + "-" + strconv.Itoa(p.tables)
}

// Disruption reads what an order asks for: packets lost, or a fault at a proxy
// that the traffic of a port is sent through.
func (p *pod) Disruption(d plan.Disruption, seed int64) (Disruption, error) {
	if d.Drop != nil {
		return newLoss(p, d), nil
	}
	if d.Kubernetes == nil {
		return nil, fmt.Errorf("disruption %q: the order does not say which port of the pod is meant", d.Name)
	}
	port, err := strconv.ParseUint(d.Kubernetes.Port, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("disruption %q: %q is not the number of a port", d.Name, d.Kubernetes.Port)
	}
	key := gateKey{int(port), d.Kubernetes.Protocol}
	d.Kubernetes, d.Dependency = nil, podProxy
	return &gated{pod: p, key: key, plan: d, seed: seed}, nil
}

// gated is a fault at the gate of a port.
type gated struct {
	pod  *pod
	key  gateKey
	plan plan.Disruption
	seed int64

	mu    sync.Mutex
	fault Disruption // nil before it was injected
}

// Prepare has nothing to find out.
func (g *gated) Prepare(context.Context) (measure.Reach, error) { return measure.Reach{}, nil }

// SoFar is what was touched until now.
func (g *gated) SoFar() measure.Touch {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.fault.(counting); ok {
		return c.SoFar()
	}
	return measure.Touch{}
}

// Inject opens the gate, unless another fault did, and puts the fault into
// effect there. Nothing outlives this process.
func (g *gated) Inject(ctx context.Context, keep func(json.RawMessage) error) (func(context.Context) (measure.Touch, error), error) {
	gate, err := g.pod.enter(ctx, g.key)
	if err != nil {
		return nil, err
	}
	fault, err := gate.proxy.Disruption(g.plan, g.seed)
	if err != nil {
		return nil, errors.Join(err, g.pod.leave(gate))
	}
	if p, ok := fault.(*proxied); ok {
		p.spare = isProbe
	}
	lift, err := fault.Inject(ctx, keep)
	if err != nil {
		return nil, errors.Join(err, g.pod.leave(gate))
	}
	if err := gate.open(ctx, g.pod.limits.reset); err != nil {
		_, late := lift(ctx)
		return nil, errors.Join(err, late, g.pod.leave(gate))
	}
	g.mu.Lock()
	g.fault = fault
	g.mu.Unlock()
	left := untilDone(func(context.Context) (struct{}, error) { return struct{}{}, g.pod.leave(gate) })
	return once(func(ctx context.Context) (measure.Touch, error) {
		touch, err := lift(ctx)
		_, closed := left(ctx)
		return touch, errors.Join(err, closed)
	}), nil
}

// isProbe recognizes what kubelet asks to see whether a pod is well. A fault on
// the traffic of a pod is not meant to have the pod restarted: that is kill.
func isProbe(r *http.Request) bool {
	return strings.HasPrefix(r.UserAgent(), "kube-probe/")
}

// gate is a proxy of this process that new connections to a port go through.
type gate struct {
	key   gateKey
	users int // guarded by the pod's mutex
	proxy Dependency
	rules *ruleset

	mu   sync.Mutex
	wide bool // redirecting
}

// enter gives the gate of a port, closed at first.
func (p *pod) enter(ctx context.Context, key gateKey) (*gate, error) {
	table := p.table()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.New("the agent ends")
	}
	if g := p.gates[key]; g != nil {
		g.users++
		return g, nil
	}
	for other := range p.gates {
		if other.port == key.port {
			return nil, fmt.Errorf("port %d is disrupted as %s already, and can not be as %s too", key.port, other.protocol, key.protocol)
		}
	}
	proxy, err := newPodProxy(ctx, key, p.address)
	if err != nil {
		return nil, err
	}
	rules, err := newRuleset(table)
	if err != nil {
		return nil, errors.Join(err, proxy.Close())
	}
	g := &gate{key: key, users: 1, proxy: proxy, rules: rules}
	p.gates[key] = g
	return g, nil
}

// leave closes the gate of a port after the last that used it. New connections
// are the system's again when it returns; those at the proxy are given a
// little time to leave, see [pod.Close]. After an error the gate is as it was.
func (p *pod) leave(g *gate) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g.users == 1 {
		if err := g.release(); err != nil {
			return err
		}
	}
	if g.users--; g.users > 0 {
		return nil
	}
	delete(p.gates, g.key)
	p.drains.Go(func() {
		err := g.drain(p.limits)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.drained = errors.Join(p.drained, err)
	})
	return nil
}

// open sends the traffic of the port through the proxy: new connections by a
// rule, and those that exist by resetting them, so that they are made anew.
func (g *gate) open(ctx context.Context, patience time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wide {
		return nil
	}
	if err := g.rules.redirect(g.key.port, g.proxy.Port()); err != nil {
		return err
	}
	g.wide = true
	_, err := resetConnections(ctx, g.key.port, patience)
	return err
}

func (g *gate) release() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.wide {
		return nil
	}
	return g.rules.release()
}

// drain lets clients leave, ends what remains, and removes the rules: not
// before, or the connections that were redirected would lose their way.
func (g *gate) drain(limits podLimits) error {
	ctx, cancel := context.WithTimeout(context.Background(), limits.linger+limits.rest)
	defer cancel()
	if d, ok := g.proxy.(interface {
		drain(context.Context, time.Duration)
	}); ok {
		d.drain(ctx, limits.linger)
	} else if _, err := resetConnections(ctx, g.proxy.Port(), limits.linger); err != nil {
		return errors.Join(err, g.proxy.Close(), g.rules.close())
	}
	return errors.Join(g.proxy.Close(), g.rules.close())
}

// newPodProxy makes the proxy of a gate, at a free port of all addresses.
func newPodProxy(ctx context.Context, key gateKey, address string) (Dependency, error) {
	schemes := map[string]string{"": "http://", "http": "http://", "grpc": "h2c://", "tcp": ""}
	scheme, ok := schemes[key.protocol]
	if !ok {
		return nil, fmt.Errorf("protocol %q is unknown: use http, grpc or tcp", key.protocol)
	}
	d := plan.Dependency{
		Upstream: scheme + net.JoinHostPort(address, strconv.Itoa(key.port)), Protocol: key.protocol, Listen: ":0",
	}
	discard := func(measure.Batch) error { return nil } // what the system sees is measured by its tests
	return NewDependency(ctx, podProxy, d, "", "", discard)
}
