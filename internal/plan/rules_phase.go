package plan

import (
	"slices"
	"strings"

	"resilience/gates"
)

func validPhase(c *checker, p *Phase) {
	if c.given("name") {
		if problem := wrongName(p.Name); problem != "" {
			c.wrong("name", "", "%s", problem)
		}
	}
	c.reference("candidate", p.Candidate, "target", "targets", named(c.plan.Targets))
	for _, key := range []string{"before", "after"} {
		if command := map[string]string{"before": p.Before, "after": p.After}[key]; c.given(key) && strings.TrimSpace(command) == "" {
			c.wrong(key, "", "the command is empty")
		}
	}
	if c.given("tests") && len(p.Tests) == 0 {
		c.wrong("tests", "", "a phase wants at least one test")
	}
}

func uniqueTests(c *checker, p *Phase) {
	names := make([]string, len(p.Tests))
	for i, t := range p.Tests {
		names[i] = t.Name
	}
	c.unique("tests", "tests", names)
}

func uniqueDisruptions(c *checker, p *Phase) {
	names := make([]string, len(p.Disruptions))
	for i, d := range p.Disruptions {
		names[i] = d.Name
	}
	c.unique("disruptions", "disruptions", names)
}

// validGates wants gates: a phase without any could never pass.
func validGates(c *checker, p *Phase) {
	if len(p.Gates) == 0 {
		c.wrong("gates", "write for example: gates: [availability >= 99.5%]", "a phase wants gates: without any it can not pass")
	}
}

func knownDisruption(c *checker, p *Phase, g *Gate) {
	name := g.Period.Name
	if name == "" || (g.Period.Kind != gates.During && g.Period.Kind != gates.After) {
		return
	}
	names := append(p.DisruptionNames(), c.partNames(p, name)...)
	if slices.Contains(names, name) {
		return
	}
	c.inGate(g, string(g.Period.Kind), "period", name, didYouMean(name, names), "this phase has no disruption")
}

func knownTest(c *checker, p *Phase, g *Gate) {
	if g.From == "" {
		return
	}
	var names []string
	for _, t := range p.Tests {
		if t.Name == g.From {
			return
		}
		names = append(names, t.Name)
	}
	c.inGate(g, "from", "from", g.From, didYouMean(g.From, names), "this phase has no test")
}

// inGate reports a name of a gate that means nothing, where it stands.
func (c *checker) inGate(g *Gate, word, key, name, hint, missing string) {
	if !c.clean("") {
		return
	}
	n := c.values[c.path]
	if long := c.values[c.at(key)]; long != nil {
		n, word = long, strings.TrimSuffix(word, "from")
	} else if sentence := c.values[c.at("gate")]; sentence != nil {
		n = sentence
	}
	text := n.text
	offset := max(0, strings.LastIndex(text, word+" "))
	if i := strings.Index(text[offset:], name); i >= 0 {
		offset += i
	}
	c.fail(c.path, c.within(n, *n.resolved, offset), hint, "%s %q", missing, name)
}

// knownGroup wants the score of a group to be of one that has gates.
func knownGroup(c *checker, p *Phase, g *Gate) {
	if g.SLI != "score" || g.Of == "" {
		return
	}
	var groups []string
	for _, one := range p.Gates {
		if one.Group != "" && one.SLI != "score" && !slices.Contains(groups, one.Group) {
			groups = append(groups, one.Group)
		}
	}
	if !slices.Contains(groups, g.Of) {
		c.inGate(g, "of", "of", g.Of, didYouMean(g.Of, groups), "no gate of the phase is in the group")
	}
}

// validOptions leaves it to the gate language what the options of a gate may
// be, and tries them one by one to know which one is wrong.
func validOptions(c *checker, _ *Phase, g *Gate) {
	if !c.clean("") {
		return
	}
	for key, o := range map[string]gates.Options{
		"confidence": {Confidence: g.Confidence}, "severity": {Severity: g.Severity},
		"group": {Group: g.Group}, "weight": {Weight: g.Weight},
	} {
		if _, err := gates.ParseWith(g.Text, o); err != nil {
			c.wrong(key, "", "%s", err)
		}
	}
	if c.given("weight") && g.Weight == 0 {
		c.wrong("weight", "leave it out of a score by a group: of the others, and score of that", "weight is 1 or more; got 0")
	}
}
