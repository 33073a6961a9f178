package disrupt

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// maker puts a proxy in front of a dependency. The context only limits
// starting; relative paths of TLS files start at dir; what the proxy measures
// is handed to emit.
type maker func(ctx context.Context, name string, d plan.Dependency, phase, dir string, emit func(measure.Batch) error) (Dependency, error)

// dependencies is every kind of proxy: by the protocol of those in this
// process, and by their key in the plan of those elsewhere.
var dependencies = map[string]maker{
	"http": newHTTP,
	"grpc": newHTTP,
	"tcp":  newTCP,
	"dns":  newDNS,

	"proxy":     newRemote,
	"toxiproxy": newToxiproxy,
}

// NewDependency puts a proxy in front of a dependency, in this process unless
// the plan says where there is one. The proxy works until it is closed.
func NewDependency(ctx context.Context, name string, d plan.Dependency, phase, dir string, emit func(measure.Batch) error) (Dependency, error) {
	kind := kindOf(d)
	start, ok := dependencies[kind]
	if !ok {
		return nil, fmt.Errorf("dependency %q: there is no proxy for %q: use one of %s",
			name, kind, strings.Join(slices.Sorted(maps.Keys(dependencies)), ", "))
	}
	return start(ctx, name, d, phase, dir, emit)
}

// kindOf is the key of a dependency's proxy in the table.
func kindOf(d plan.Dependency) string {
	switch {
	case d.Proxy != nil:
		return "proxy"
	case d.Toxiproxy != nil:
		return "toxiproxy"
	case d.Protocol == "":
		return "http"
	}
	return d.Protocol
}

func newHTTP(ctx context.Context, name string, d plan.Dependency, phase, dir string, emit func(measure.Batch) error) (Dependency, error) {
	p, err := NewProxy(ctx, name, d, phase, dir, emit)
	if err != nil {
		return nil, err // not a nil *Proxy in an interface
	}
	return p, nil
}

func newTCP(ctx context.Context, name string, d plan.Dependency, phase, dir string, emit func(measure.Batch) error) (Dependency, error) {
	p, err := NewTCPProxy(ctx, name, d, phase, dir, emit)
	if err != nil {
		return nil, err
	}
	return p, nil
}

func newDNS(ctx context.Context, name string, d plan.Dependency, phase, _ string, emit func(measure.Batch) error) (Dependency, error) {
	p, err := NewDNSProxy(ctx, name, d, phase, emit)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// reachable is how clients on this machine write an address.
func reachable(ip net.IP, port int) string {
	host := ip.String()
	if ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// undoer lifts a fault on a proxy elsewhere from what was kept of it.
type undoer func(ctx context.Context, d plan.Disruption, undo json.RawMessage, s Site) error

// undoes is for every kind of proxy whose faults outlive this process: by the
// word under kind in what they hand to keep.
var undoes = map[string]undoer{
	keptKindRemote:    undoRemote,
	keptKindToxiproxy: undoToxiproxy,
}

// undoDependency lifts a fault on a proxy elsewhere that another process
// injected.
func undoDependency(ctx context.Context, d plan.Disruption, undo json.RawMessage, s Site) error {
	var kept struct {
		Kind string `json:"kind"`
	}
	if err := json.Unmarshal(undo, &kept); err != nil {
		return fmt.Errorf("disruption %q: what was kept to undo it can not be read: %w", d.Name, err)
	}
	lift, ok := undoes[kept.Kind]
	if !ok {
		return fmt.Errorf("disruption %q: what was kept to undo it is of the unknown kind %q", d.Name, kept.Kind)
	}
	return lift(ctx, d, undo, s)
}
