package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// bound is a phase whose names have addresses.
type bound struct {
	phase    plan.Phase
	ports    map[string]int // of services
	proxies  map[string]Dependency
	services map[string]Service // that were started
	targets  map[string]plan.Target
	lookup   func(name string) (string, bool)
	upstream map[string]plan.Dependency
	env      map[string]string // the plan's own
	missing  map[string]error  // why secrets could not be read
	ear      *ear              // hears alerts and acknowledgements
	alerts   string            // where alerts are heard; "" when they are not
	lifting  *lifting
	control  *plan.Control           // of the proxies, for scripts; nil where there is none
	run      context.Context         // that of the run
	tests    context.Context         // ends when the tests are over; nil before they begin
	stop     context.CancelCauseFunc // ends the tests
	spoiled  atomic.Pointer[string]  // why nothing is injected any more
	held     []net.Listener          // keep the services' ports until the proxies have theirs
	claims   []io.Closer             // keep other runs from them until the phase is over
}

// bind chooses a port for each service, and replaces what the phase's targets
// refer to once proxies are there to be referred to.
func (c *Conductor) bind(phase plan.Phase) (*bound, error) {
	b := &bound{
		phase: phase, ports: map[string]int{}, proxies: map[string]Dependency{}, services: map[string]Service{},
		targets: map[string]plan.Target{}, upstream: map[string]plan.Dependency{}, missing: map[string]error{},
	}
	b.lookup = func(name string) (string, bool) { return c.lookup(b, name) }
	for _, name := range sorted(c.Plan.Services) {
		if err := b.hold(name, c.Plan.Services[name].Port); err != nil {
			b.release()
			b.disclaim()
			return nil, fmt.Errorf("service %s: %w", name, err)
		}
	}
	return b, nil
}

// hold keeps a service's port until it starts: the one of the plan, or a free
// one. If somebody else listened there, that one would be tested instead.
func (b *bound) hold(service string, port int) error {
	listen := listenAnywhere
	if port != 0 {
		listen = func() (net.Listener, io.Closer, error) {
			l, err := listenOn(port)
			return l, nil, err
		}
	}
	l, claimed, err := listen()
	switch {
	case err == nil:
		b.held = append(b.held, l)
		if claimed != nil {
			b.claims = append(b.claims, claimed)
		}
		b.ports[service] = l.Addr().(*net.TCPAddr).Port
		return nil
	case port == 0:
		return fmt.Errorf("no free port: %w", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another process listens on its port %d: stop it, or leave out port to get a free one", port)
	}
	b.ports[service] = port // it may have rights that the harness has not
	return nil
}

// release lets go of the services' ports, for the services to take.
func (b *bound) release() {
	for _, l := range b.held {
		l.Close()
	}
	b.held = nil
}

// disclaim lets other runs have the services' ports.
func (b *bound) disclaim() {
	for _, c := range b.claims {
		c.Close()
	}
	b.claims = nil
}

// startProxies puts a proxy in front of each dependency and then binds what may
// refer to them.
func (c *Conductor) startProxies(ctx context.Context, b *bound, undo *undoing) (err error) {
	defer b.release()
	for _, name := range sorted(c.Plan.Dependencies) {
		d, err := plan.Bind(c.Plan.Dependencies[name], b.lookup)
		if err != nil {
			return fmt.Errorf("dependency %s: %w", name, err)
		}
		proxy, err := c.Adapters.Dependency(ctx, name, d, b.phase.Name, c.emit)
		if err != nil {
			return about("dependency", name, err)
		}
		undo.add(proxy.Close)
		b.proxies[name], b.upstream[name] = proxy, d
	}
	return c.bindTargets(b)
}

// bindTargets replaces what the plan's own variables and targets refer to.
func (c *Conductor) bindTargets(b *bound) (err error) {
	if b.env, err = plan.Bind(c.Plan.Env, b.lookup); err != nil {
		return fmt.Errorf("env: %w", err)
	}
	for name, target := range c.Plan.Targets {
		bound, err := plan.Bind(target, b.lookup)
		if err == nil {
			bound.URL = strings.TrimRight(bound.URL, "/") // scripts append a path to it
			b.targets[name] = bound
		} else if name == b.phase.Candidate || name == b.phase.Baseline.Target {
			return fmt.Errorf("target %s: %w", name, err)
		}
	}
	return nil
}

// lookup gives what a placeholder stands for.
func (c *Conductor) lookup(b *bound, name string) (string, bool) {
	kind, rest, _ := strings.Cut(name, ".")
	if kind == "secrets" {
		value, err := c.Plan.Secret(rest, c.Getenv)
		if err != nil {
			b.missing[rest] = err
		}
		return value, err == nil
	}
	i := strings.LastIndexByte(rest, '.')
	if i < 0 {
		return "", false
	}
	who, what := rest[:i], rest[i+1:]
	var port int
	switch kind {
	case "services":
		port = b.ports[who]
	case "dependencies":
		if p := b.proxies[who]; p != nil {
			if what == "url" {
				return p.URL(), true
			}
			port = p.Port()
		}
	}
	if port == 0 {
		return "", false
	}
	switch what {
	case "url":
		return "http://127.0.0.1:" + strconv.Itoa(port), true
	case "port":
		return strconv.Itoa(port), true
	case "host":
		return "127.0.0.1", true
	}
	return "", false
}

// explained adds to an error about a secret's placeholder why there is no value
// for it.
func (b *bound) explained(err error) error {
	for _, name := range sorted(b.missing) {
		if err != nil && strings.Contains(err.Error(), "${secrets."+name+"}") {
			return fmt.Errorf("%w: %w", err, b.missing[name])
		}
	}
	return err
}

// hosts are all the addresses that the plan names, and those of the proxies.
func (b *bound) hosts() ([]string, error) {
	hosts, err := plan.Plan{Targets: b.targets, Dependencies: b.upstream}.Hosts()
	if err != nil {
		return nil, err
	}
	for _, proxy := range b.proxies {
		host, err := plan.Host(proxy.URL())
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), nil
}

// role is a target in the arm that a phase gives it.
type role struct{ arm, target string }

// arms are the candidate of the phase and, where there is one, its baseline.
func (b *bound) arms() []role {
	arms := []role{{measure.Candidate, b.phase.Candidate}}
	if b.phase.Baseline.Target != "" {
		arms = append(arms, role{measure.Baseline, b.phase.Baseline.Target})
	}
	return arms
}

// Streams are all the tests of a phase on all of its arms, as far as the plan
// alone says what they are: nothing is started, so that a target or a variable
// that refers to a service or a dependency is an error.
func (c *Conductor) Streams(name string) ([]plan.Stream, error) {
	phase, ok := c.phase(name)
	if !ok {
		return nil, fmt.Errorf("the plan has no phase %q", name)
	}
	b := &bound{phase: phase, targets: map[string]plan.Target{}, upstream: map[string]plan.Dependency{}, missing: map[string]error{}}
	b.lookup = func(name string) (string, bool) { return c.lookup(b, name) }
	for name, d := range c.Plan.Dependencies {
		bound, err := plan.Bind(d, b.lookup)
		if err != nil {
			return nil, fmt.Errorf("dependency %s: %w", name, b.explained(err))
		}
		b.upstream[name] = bound
	}
	if err := c.bindTargets(b); err != nil {
		return nil, b.explained(err)
	}
	streams, err := c.streams(b)
	return streams, b.explained(err)
}

// streams are all the tests of the phase on all of its arms.
func (c *Conductor) streams(b *bound) ([]plan.Stream, error) {
	var streams []plan.Stream
	hosts, err := b.hosts()
	if err != nil {
		return nil, err
	}
	for _, test := range b.phase.Tests {
		test, err := plan.Bind(test, b.lookup)
		if err != nil {
			return nil, fmt.Errorf("test %s: %w", test.Name, err)
		}
		_, profile := test.Kind()
		tenants, err := c.Plan.Identities(test, c.Getenv)
		if err != nil {
			return nil, err
		}
		var schedule []plan.Scheduled
		if test.Canary != nil {
			if schedule, err = c.Plan.CanarySchedule(test.Canary.Tenants); err != nil {
				return nil, fmt.Errorf("test %s: %w", test.Name, err)
			}
		}
		env := map[string]string{}
		maps.Copy(env, b.env)
		maps.Copy(env, profile.Env)
		of := func(a role) plan.Stream {
			return plan.Stream{
				Phase: b.phase.Name, Arm: a.arm, Test: test, Target: b.targets[a.target],
				Dir: c.Plan.Dir, Env: env, Hosts: hosts, Seed: c.Seed, Tenants: tenants, Schedule: schedule,
				Run: c.ID, Plan: c.Plan.Name, Control: b.control, Production: b.phase.Production, Disrupt: b.phase.Disrupt,
			}
		}
		if test.Shadow != nil {
			s := of(role{measure.Candidate, b.phase.Candidate})
			s.ByTenant = b.phase.ByTenant()
			if err := b.beside(&s); err != nil {
				return nil, fmt.Errorf("test %s: %w", test.Name, err)
			}
			streams = append(streams, s)
			continue
		}
		for _, a := range b.arms() {
			streams = append(streams, of(a))
		}
	}
	return streams, nil
}

// beside tells a shadow test, which is one stream for both arms, what else it asks
// than the candidate.
func (b *bound) beside(s *plan.Stream) error {
	test := s.Test.Shadow
	if test.AgainstRecorded() {
		return nil
	}
	baseline := b.targets[b.phase.Baseline.Target]
	s.Beside = &baseline
	switch name := test.NoiseTarget(); {
	case name != "":
		again, known := b.targets[name]
		if !known {
			return fmt.Errorf("the target %s, which tells noise, has no address", name)
		}
		s.Again = &again
	case test.Noise == plan.NoiseTwice:
		s.Again = &baseline
	}
	return nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
