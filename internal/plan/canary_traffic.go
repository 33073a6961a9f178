package plan

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
)

// KindCanary is the kind of a test that does what the plan's canary does, and
// the name of the only test of `resilience canary`.
const KindCanary = "canary"

// CanaryTest has the plan's canary try its transactions, on their schedule, in a
// phase: against the phase's candidate, for a while.
type CanaryTest struct {
	Duration Duration `yaml:"duration" jsonschema:"required"` // without warm-up
	Warmup   Duration `yaml:"warmup,omitempty"`               // before the duration; not judged
	Tenants  Names    `yaml:"tenants,omitempty"`              // fewer than those of the canary

	Shape Profile               `yaml:"-"` // what the plan's canary says: script, VUs, env, tenants, and how long the last ones may take
	Tasks map[string]CanaryTask `yaml:"-"` // its transactions
}

// Profile is the traffic of the test, as that of any other.
func (t CanaryTest) Profile() Profile {
	p := t.Shape
	p.Duration, p.Warmup = t.Duration, t.Warmup
	if len(t.Tenants) > 0 {
		p.Tenants = t.Tenants
	}
	return p
}

// fillCanary tells the tests of a phase what the plan's canary says.
func (p *Phase) fillCanary(c *Canary) {
	for _, t := range p.Tests {
		if t.Canary != nil && c != nil {
			t.Canary.Shape, t.Canary.Tasks = c.shape(), maps.Clone(c.Transactions)
		}
	}
}

// shape is what the traffic of a canary has in common with that of other tests.
func (c *Canary) shape() Profile {
	p := Profile{Script: c.Script, VUs: c.VUs, Env: maps.Clone(c.Env), Tenants: slices.Clone(c.Tenants)}
	for _, task := range c.Transactions {
		p.Grace = max(p.Grace, task.Timeout)
	}
	p.Timeout = p.Grace
	return p
}

// Scheduled is a transaction of a canary, and whom it is tried as.
type Scheduled struct {
	Name string
	CanaryTask
	As []Identity // without headers and credentials; empty for nobody
}

// CanarySchedule gives what the plan's canary tries, sorted by name. Confined are
// the tenants of a test that has fewer of them; empty for no fewer. What is left
// with no tenant by that is not tried.
func (p Plan) CanarySchedule(confined Names) ([]Scheduled, error) {
	as, err := p.CanaryTenants(confined)
	if err != nil {
		return nil, err
	}
	var all []Scheduled
	for _, name := range slices.Sorted(maps.Keys(as)) {
		all = append(all, Scheduled{Name: name, CanaryTask: p.Canary.Transactions[name], As: as[name]})
	}
	return all, nil
}

// CanaryTenants gives whom each transaction of the plan's canary is tried as:
// names, classes, cells and regions, without headers and credentials. One that is
// tried as nobody has none. Confined is as for [Plan.CanarySchedule].
func (p Plan) CanaryTenants(confined Names) (map[string][]Identity, error) {
	out := map[string][]Identity{}
	if len(p.Canary.Tenants) == 0 || p.Tenants == nil {
		for name := range p.Canary.Transactions {
			out[name] = nil
		}
		return out, nil
	}
	all, err := ReadTenants(Locate(p.Dir, p.Tenants.File), p.Tenants.File)
	if err != nil {
		return nil, err
	}
	for _, words := range []Names{p.Canary.Tenants, confined} {
		if all, err = chosen(all, words); err != nil {
			return nil, fmt.Errorf("the tenants of the canary: %w", err)
		}
	}
	for name, task := range p.Canary.Transactions {
		some, err := chosen(all, task.Tenants)
		if err != nil && len(confined) == 0 {
			return nil, fmt.Errorf("the tenants of transaction %s of the canary: %w", name, err)
		}
		for _, t := range some {
			out[name] = append(out[name], Identity{Name: t.Name, Class: t.Class, Cell: t.Cell, Region: t.Region})
		}
	}
	return out, nil
}

// CanaryStream gives what an engine needs to know to try the transactions of the
// plan's canary: credentials included. Getenv looks up variables of the
// environment; addresses knows ${services.NAME.url} and the like of services that
// were started, nil when there are none. A canary has no proxies:
// ${dependencies.NAME.url} is the dependency itself.
func (p Plan) CanaryStream(getenv, addresses func(name string) (string, bool)) (Stream, error) {
	b := newBinder(p, getenv, addresses)
	s := Stream{
		Arm: "candidate", Plan: p.Name, Dir: p.Dir, Env: map[string]string{}, // as measure.Candidate
		Test: Test{Name: KindCanary, Canary: &CanaryTest{Shape: p.Canary.shape(), Tasks: p.Canary.Transactions}},
	}
	hosts, err := b.hosts()
	if err != nil {
		return Stream{}, err
	}
	s.Hosts = hosts
	if s.Target, err = filled(b, p.Targets[p.Canary.Target]); err != nil {
		return Stream{}, fmt.Errorf("target %s: %w", p.Canary.Target, err)
	}
	s.Target.URL = strings.TrimRight(s.Target.URL, "/") // scripts append a path to it
	env, err := filled(b, p.Env)
	if err != nil {
		return Stream{}, fmt.Errorf("env: %w", err)
	}
	maps.Copy(s.Env, env)
	if s.Test, err = filled(b, s.Test); err != nil {
		return Stream{}, fmt.Errorf("env of the canary: %w", err)
	}
	maps.Copy(s.Env, s.Test.Canary.Shape.Env)
	if s.Tenants, err = p.Identities(s.Test, getenv); err != nil {
		return Stream{}, err
	}
	s.Schedule, err = p.CanarySchedule(nil)
	return s, err
}

// BindCanary gives the plan's canary with its secrets filled in.
func (p Plan) BindCanary(getenv func(string) (string, bool)) (Canary, error) {
	c, err := filled(newBinder(p, getenv, nil), *p.Canary)
	if err != nil {
		return Canary{}, fmt.Errorf("canary: %w", err)
	}
	return c, nil
}

// binder fills in placeholders where nothing is disrupted.
type binder struct {
	plan      Plan
	getenv    func(string) (string, bool)
	addresses func(string) (string, bool)
	missing   map[string]error // why secrets could not be read
}

func newBinder(p Plan, getenv, addresses func(string) (string, bool)) *binder {
	if addresses == nil {
		addresses = func(string) (string, bool) { return "", false }
	}
	return &binder{plan: p, getenv: getenv, addresses: addresses, missing: map[string]error{}}
}

// filled fills in the placeholders of a value; an error says why a secret has no
// value.
func filled[T any](b *binder, value T) (T, error) {
	out, err := Bind(value, b.lookup)
	if err == nil {
		return out, nil
	}
	for _, name := range slices.Sorted(maps.Keys(b.missing)) {
		if strings.Contains(err.Error(), "${secrets."+name+"}") {
			err = fmt.Errorf("%w: %w", err, b.missing[name])
		}
	}
	return out, err
}

func (b *binder) lookup(name string) (string, bool) {
	kind, rest, _ := strings.Cut(name, ".")
	switch kind {
	case "secrets":
		value, err := b.plan.Secret(rest, b.getenv)
		if err != nil {
			b.missing[rest] = err
		}
		return value, err == nil
	case "dependencies":
		return b.upstream(rest)
	}
	return b.addresses(name)
}

// upstream gives the URL, host or port of a dependency itself: NAME.url.
func (b *binder) upstream(name string) (string, bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return "", false
	}
	d, err := Bind(b.plan.Dependencies[name[:dot]], b.addresses)
	if err != nil || d.Upstream == "" {
		return "", false
	}
	address, err := d.Host()
	if err != nil {
		return "", false
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", false
	}
	value, known := map[string]string{"url": d.Upstream, "host": host, "port": port}[name[dot+1:]]
	return value, known
}

// hosts are all the addresses that the plan names, as far as they are known
// while its canary runs.
func (b *binder) hosts() ([]string, error) {
	known := Plan{Targets: map[string]Target{}, Dependencies: map[string]Dependency{}}
	for name, t := range b.plan.Targets {
		if t, err := Bind(t, b.lookup); err == nil {
			known.Targets[name] = t
		}
	}
	for name, d := range b.plan.Dependencies {
		if d, err := Bind(d, b.addresses); err == nil {
			known.Dependencies[name] = d
		}
	}
	return known.Hosts()
}
