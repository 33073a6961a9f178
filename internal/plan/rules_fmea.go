package plan

import (
	"fmt"
	"slices"
	"strings"
)

// validFailureModes wants each failure mode to be rated and to be tested by
// what the plan has.
func validFailureModes(c *checker, p *Plan) {
	names := make([]string, len(p.FailureModes))
	for i, mode := range p.FailureModes {
		names[i] = mode.Name
		at := c.under("failure_modes[%d]", i)
		at.words("name", mode.Name)
		at.words("effect", mode.Effect)
		at.rating("severity", mode.Severity)
		at.rating("likelihood", mode.Likelihood)
		at.rating("detection", mode.Detection)
		at.tested(mode)
	}
	c.unique("failure modes", "failure_modes", names)
}

// words wants a text on one line that says something.
func (c *checker) words(key, text string) {
	switch {
	case !c.given(key):
	case strings.TrimSpace(text) == "":
		c.wrong(key, "", "%s is empty", key)
	case strings.ContainsAny(text, "\r\n"):
		c.wrong(key, "", "%s wants one line", key)
	}
}

// rating wants a number of the scales of IEC 60812.
func (c *checker) rating(key string, value int) {
	if c.given(key) && (value < 1 || value > 10) {
		c.wrong(key, "1 is best, 10 is worst", "%s is 1 to 10; got %d", key, value)
	}
}

// tested wants the disruptions of a failure mode to be in some phase.
func (c *checker) tested(mode FailureMode) {
	known := c.plan.disruptionNames()
	for i, name := range mode.Disruption {
		key := "disruption"
		if c.given(fmt.Sprintf("disruption[%d]", i)) {
			key = fmt.Sprintf("disruption[%d]", i)
		}
		switch hint := didYouMean(name, slices.Clone(known)); {
		case slices.Contains(mode.Disruption[:i], name):
			c.wrong(key, "", "%s is there twice", name)
		case strings.Contains(strings.TrimSuffix(name, "*"), "*"):
			c.wrong(key, "", "a * can only be the last character; got %q", shorten(name))
		case !slices.ContainsFunc(known, func(other string) bool { return Means(name, other) }):
			c.wrong(key, hint, "no phase has a disruption %q", shorten(name))
		}
	}
}

// Means reports whether a name, or a pattern such as deps.*, means a disruption
// of the plan: a sweep is there under its own name, its parts come later.
func Means(name, disruption string) bool {
	prefix, pattern := strings.CutSuffix(name, "*")
	if !pattern {
		return name == disruption
	}
	return strings.HasPrefix(disruption, prefix) || strings.TrimSuffix(prefix, ".") == disruption
}

// disruptionNames are those of all phases, the ones that scripts inject
// included; each once.
func (p *Plan) disruptionNames() []string {
	var names []string
	for _, phase := range p.Phases {
		names = append(names, phase.DisruptionNames()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// DisruptionNames are those of a phase, the ones that scripts inject included.
func (p Phase) DisruptionNames() []string {
	var names []string
	for _, d := range p.Disruptions {
		names = append(names, d.Name)
	}
	for _, t := range p.Tests {
		_, profile := t.Kind()
		names = append(names, profile.Injects...)
	}
	return names
}
