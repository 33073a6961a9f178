package run

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// bound is a phase whose names have addresses.
type bound struct {
	phase    plan.Phase
	ports    map[string]int // of services
	proxies  map[string]Dependency
	targets  map[string]plan.Target
	lookup   func(name string) (string, bool)
	upstream map[string]plan.Dependency
}

// bind chooses a port for each service, and replaces what the phase's targets
// refer to once proxies are there to be referred to.
func (c *Conductor) bind(phase plan.Phase) (*bound, error) {
	b := &bound{
		phase: phase, ports: map[string]int{}, proxies: map[string]Dependency{},
		targets: map[string]plan.Target{}, upstream: map[string]plan.Dependency{},
	}
	b.lookup = func(name string) (string, bool) { return c.lookup(b, name) }
	held := []net.Listener{}
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for _, name := range sorted(c.Plan.Services) {
		service := c.Plan.Services[name]
		if service.Port != 0 {
			b.ports[name] = service.Port
			continue
		}
		// All are held until each has its own, so that no port is chosen twice.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("service %s: no free port: %w", name, err)
		}
		held = append(held, l)
		b.ports[name] = l.Addr().(*net.TCPAddr).Port
	}
	return b, nil
}

// startProxies puts a proxy in front of each dependency and then binds the
// targets, which may refer to them.
func (c *Conductor) startProxies(ctx context.Context, b *bound, undo *undoing) error {
	for _, name := range sorted(c.Plan.Dependencies) {
		d, err := plan.Bind(c.Plan.Dependencies[name], b.lookup)
		if err != nil {
			return fmt.Errorf("dependency %s: %w", name, err)
		}
		proxy, err := c.Adapters.Dependency(ctx, name, d, b.phase.Name, c.emit)
		if err != nil {
			return fmt.Errorf("dependency %s: %w", name, err)
		}
		undo.add(proxy.Close)
		b.proxies[name], b.upstream[name] = proxy, d
	}
	for name, target := range c.Plan.Targets {
		bound, err := plan.Bind(target, b.lookup)
		if err != nil && (name == b.phase.Candidate || name == b.phase.Baseline) {
			return fmt.Errorf("target %s: %w", name, err)
		}
		b.targets[name] = bound
	}
	return nil
}

// lookup gives what a placeholder stands for.
func (c *Conductor) lookup(b *bound, name string) (string, bool) {
	kind, rest, _ := strings.Cut(name, ".")
	if kind == "secrets" {
		value, err := c.Plan.Secret(rest, c.Getenv)
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

// hosts are all the addresses that the plan names, with ports.
func (b *bound) hosts() []string {
	set := map[string]bool{}
	add := func(raw string) {
		if u, err := url.Parse(raw); err == nil && u.Host != "" {
			set[withPort(u)] = true
		}
	}
	for _, t := range b.targets {
		add(t.URL)
		if t.Auth != nil && t.Auth.OAuth2 != nil {
			add(t.Auth.OAuth2.TokenURL)
		}
	}
	for name, d := range b.upstream {
		add(d.Upstream)
		add(b.proxies[name].URL())
	}
	return slices.Sorted(maps.Keys(set))
}

func withPort(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Host
	case u.Scheme == "https":
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

// streams are all the tests of the phase on all of its arms.
func (c *Conductor) streams(b *bound) ([]plan.Stream, error) {
	var streams []plan.Stream
	arms := []struct{ arm, target string }{{measure.Candidate, b.phase.Candidate}}
	if b.phase.Baseline != "" {
		arms = append(arms, struct{ arm, target string }{measure.Baseline, b.phase.Baseline})
	}
	for _, test := range b.phase.Tests {
		test, err := plan.Bind(test, b.lookup)
		if err != nil {
			return nil, fmt.Errorf("test %s: %w", test.Name, err)
		}
		_, profile := test.Kind()
		env, err := plan.Bind(c.Plan.Env, b.lookup)
		if err != nil {
			return nil, fmt.Errorf("env: %w", err)
		}
		env = maps.Clone(env)
		if env == nil {
			env = map[string]string{}
		}
		maps.Copy(env, profile.Env)
		for _, a := range arms {
			streams = append(streams, plan.Stream{
				Phase: b.phase.Name, Arm: a.arm, Test: test, Target: b.targets[a.target],
				Dir: c.Plan.Dir, Env: env, Hosts: b.hosts(), Seed: c.Seed,
			})
		}
	}
	return streams, nil
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
