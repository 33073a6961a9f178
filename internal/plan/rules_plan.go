package plan

import (
	"regexp"
	"slices"
	"strings"
)

func somePhases(c *checker, p *Plan) {
	if c.given("name") {
		if problem := wrongName(p.Name); problem != "" {
			c.wrong("name", "", "%s", problem)
		}
	}
	if c.given("phases") && len(p.Phases) == 0 {
		c.wrong("phases", "", "a plan wants at least one phase")
	}
	if !c.given("phases") && !c.given("canary") {
		c.wrong("phases", "phases: is what is run and judged, canary: what is watched around the clock", "a plan wants phases: or canary:, or both")
	}
}

func validNames(c *checker, p *Plan) {
	maps := map[string][]string{
		"secrets": named(p.Secrets), "services": named(p.Services),
		"targets": named(p.Targets), "dependencies": named(p.Dependencies),
		"objectives": named(p.Objectives),
		"telemetry":  named(p.Telemetry),
	}
	for key, names := range maps {
		for _, name := range names {
			if problem := wrongName(name); problem != "" {
				c.wrongKey(key+`["`+name+`"]`, "", "%s", problem)
			}
		}
	}
}

func uniquePhases(c *checker, p *Plan) {
	names := make([]string, len(p.Phases))
	for i, phase := range p.Phases {
		names[i] = phase.Name
	}
	c.unique("phases", "phases", names)
}

func validEnv(c *checker, p *Plan) {
	c.variables("env", p.Env)
	for name, s := range p.Services {
		c.under(`services["%s"]`, name).variables("env", s.Env)
	}
}

// variables wants names that an environment can hold.
func (c *checker) variables(key string, env map[string]string) {
	for name := range env {
		if !variable.MatchString(name) {
			c.wrongKey(key+`["`+name+`"]`, "", "a variable is called like SHOP_URL: letters, digits and _; got %q", shorten(name))
		}
	}
}

var allowEntry = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.:-]*[A-Za-z0-9_])?$`)

func validAllow(c *checker, p *Plan) {
	for i, entry := range p.Allow {
		if !allowEntry.MatchString(entry) {
			c.under("allow[%d]", i).wrong("", "leave scheme, port and path out",
				"allow wants a host such as shop.example.com or *.example.com; got %q", shorten(entry))
		}
	}
}

func validSecrets(c *checker, p *Plan) {
	for name, s := range p.Secrets {
		at := c.under(`secrets["%s"]`, name)
		if at.oneOf("a secret", "env", "file") && s.File == "" && !variable.MatchString(s.Env) {
			at.wrong("env", "", "env wants the name of a variable; got %q", shorten(s.Env))
		}
	}
}

func validServices(c *checker, p *Plan) {
	ports := map[int]string{}
	for _, name := range slices.Sorted(slices.Values(named(p.Services))) {
		s, at := p.Services[name], c.under(`services["%s"]`, name)
		if at.given("command") && strings.TrimSpace(s.Command) == "" {
			at.wrong("command", "", "the command is empty")
		}
		if at.given("port") && (s.Port < 1 || s.Port > 65535) {
			at.wrong("port", "", "a port is 1 to 65535; got %d", s.Port)
		} else if other := ports[s.Port]; s.Port > 0 && other != "" {
			at.wrong("port", "leave it out for a free one", "the services %s and %s both want port %d", other, name, s.Port)
		}
		ports[s.Port] = name
		if at.given("ready") && !strings.HasPrefix(s.Ready, "/") && !strings.HasPrefix(s.Ready, "http://") && !strings.HasPrefix(s.Ready, "https://") {
			at.wrong("ready", "write for example /healthz", "ready wants a path or a URL; got %q", shorten(s.Ready))
		}
		for _, key := range []string{"ready_timeout", "stop_timeout"} {
			if wait := map[string]Duration{"ready_timeout": s.ReadyTimeout, "stop_timeout": s.StopTimeout}[key]; at.given(key) && wait == 0 {
				at.wrong(key, "", "%s can not be zero", key)
			}
		}
		for i, other := range s.After {
			at.under(".after[%d]", i).reference("", other, "service", "services", named(p.Services))
		}
	}
}

// serviceOrder refuses services that wait for each other in a circle.
func serviceOrder(c *checker, p *Plan) {
	state := map[string]int{} // 1 while on the path, 2 when done
	var visit func(name string, trail []string)
	visit = func(name string, trail []string) {
		state[name] = 1
		for i, next := range p.Services[name].After {
			switch state[next] {
			case 0:
				visit(next, append(trail, name))
			case 1:
				c.under(`services["%s"].after[%d]`, name, i).wrong("", "",
					"these services wait for each other: %s", strings.Join(append(append(slices.Clone(trail), name), next), " -> "))
			}
		}
		state[name] = 2
	}
	for _, name := range slices.Sorted(slices.Values(named(p.Services))) {
		if state[name] == 0 {
			visit(name, nil)
		}
	}
}

// distinctVariables wants the variables by which services learn of their
// dependencies to differ.
func distinctVariables(c *checker, p *Plan) {
	taken := map[string]string{}
	for _, name := range slices.Sorted(slices.Values(named(p.Dependencies))) {
		v := DependencyVariable(name)
		if other := taken[v]; other != "" {
			c.wrongKey(`dependencies["`+name+`"]`, "rename one", "the dependencies %s and %s would share the variable %s", other, name, v)
		}
		taken[v] = name
	}
}

// DependencyVariable names the environment variable in which services find the
// URL of a dependency's proxy: RESILIENCE_DEP_PAYMENTS_URL for payments.
// Characters that a variable can not hold become underscores.
func DependencyVariable(name string) string {
	return "RESILIENCE_DEP_" + strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(name)) + "_URL"
}
