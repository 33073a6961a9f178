package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"resilience/gates"
)

// shortest is how long a disruption must last for a whole second, the width of
// a window, to lie inside whenever it begins.
const shortest = 2 * time.Second

// maxTimes bounds what one disruption may be repeated.
const maxTimes = 1000

// validAfter wants a disruption to come after another one of the phase, and
// none after itself.
func validAfter(c *checker, p *Phase, d *Disruption) {
	if !c.given("after") || !c.clean("after") {
		return
	}
	var names []string
	for _, other := range p.Disruptions {
		names = append(names, other.Name)
	}
	if !slices.Contains(names, d.After) {
		c.wrong("after", didYouMean(d.After, names), "this phase has no disruption %q", d.After)
		return
	}
	trail := []string{d.Name}
	for name := d.After; name != "" && len(trail) <= len(names); {
		trail = append(trail, name)
		if name == d.Name {
			if p.first(trail) != d.Name {
				return // it is said there
			}
			c.wrong("after", "let one of them begin without the others", "these disruptions wait for each other: %s", strings.Join(trail, " -> "))
			return
		}
		i := p.disruption(name)
		if i < 0 {
			return
		}
		name = p.Disruptions[i].After
	}
}

// first gives the one of some disruptions that the plan names first.
func (p Phase) first(names []string) string {
	for _, d := range p.Disruptions {
		if slices.Contains(names, d.Name) {
			return d.Name
		}
	}
	return ""
}

func validRepeat(c *checker, _ *Phase, d *Disruption) {
	if d.Repeat == nil {
		return
	}
	at, r := c.under(".repeat"), *d.Repeat
	if at.given("times") && (r.Times < 2 || r.Times > maxTimes) {
		at.wrong("times", "it counts the first one, too", "times is 2 to %d; got %d", maxTimes, r.Times)
	}
	if !at.given("every") || !c.clean("for") || !c.clean("spread") {
		return
	}
	switch busy := d.For + d.Spread; {
	case d.Spread > 0 && r.Every <= busy:
		at.wrong("every", "", "every must be more than for and spread together (%s), or it is not lifted before it comes again", busy)
	case r.Every <= busy:
		at.wrong("every", "", "every must be more than for (%s): it counts from injection to injection", busy)
	}
}

// validSweeps looks at sweeps as they are written; the other rules see their
// parts.
func validSweeps(c *checker, p *Phase) {
	for i := range p.Disruptions {
		if p.Disruptions[i].Sweep {
			validSweep(c.under(".disruptions[%d]", i), p, &p.Disruptions[i])
		}
	}
}

// validSweep wants a sweep to have something to go through, one at a time.
func validSweep(c *checker, p *Phase, d *Disruption) {
	kind, _ := d.On()
	each, more := c.plan.Instances(*d)
	switch {
	case d.Repeat != nil:
		c.wrongKey("repeat", "make a second sweep that comes after the first", "a sweep can not be repeated")
	case d.AtMost != nil && d.AtMost.Share != 1:
		c.wrong("at_most", "leave it out", "a sweep acts on one at a time; got at_most: %s", d.AtMost)
	case kind == OnDependency && !isPattern(d.Dependency):
		c.wrong("dependency", `write "*" for all of them, or a pattern such as pay*`, "a sweep goes through several dependencies; %q is one", d.Dependency)
	case kind == OnDependency && badPattern(d.Dependency):
		c.wrong("dependency", "", "the pattern %q has a [ without its ]", shorten(d.Dependency))
	case kind == OnDependency && len(each) == 0:
		c.wrong("dependency", "", "no dependency matches %q", shorten(d.Dependency))
	case kind == OnServices && len(each) == 0:
		c.wrong("services", "", "no service matches %q", shorten(strings.Join(d.Services, ", ")))
	case kind != OnDependency && kind != OnServices && kind != OnContainer && kind != OnKubernetes, d.Drain != nil, d.Scale != nil:
		c.wrong("sweep", "leave it out", "a sweep goes through dependencies, services, containers or pods")
	case !more:
		sweepNames(c, p, each)
	}
}

// sweepNames wants the names of a sweep's instances to be names.
func sweepNames(c *checker, p *Phase, each []Disruption) {
	for _, one := range each {
		if err := gates.ValidName(one.Name); err != nil {
			c.wrong("name", "", "%s", err)
		}
		if p.disruption(one.Name) >= 0 {
			c.wrong("name", "give it another name", "another disruption has the name of a part of this sweep: %q", one.Name)
		}
	}
}

func badPattern(pattern string) bool {
	_, err := path.Match(pattern, "")
	return err != nil
}

// withinTests wants a disruption to be over before the traffic is, whatever is
// drawn.
func withinTests(c *checker, p *Phase, d *Disruption) {
	root, _, _ := strings.Cut(c.path, ".disruptions[")
	phase := checker{c.decoder, c.plan, root}
	complete := !slices.ContainsFunc(p.Tests, func(t Test) bool { return t.End() == 0 })
	if p.Length() == 0 || !phase.clean("tests") || len(p.Tests) == 0 || !complete || !timesClean(&phase, p) {
		return
	}
	for _, s := range c.plan.Timetable(*p) {
		if s.Disruption.Name != d.Name && s.Sweep != d.Name {
			continue
		}
		key, end := "for", p.Length()
		if d.Repeat != nil {
			key = "repeat"
		} else if d.Spread > 0 && s.To <= end {
			key = "spread"
		}
		switch {
		case s.From >= end && d.Repeat == nil && !d.Sweep:
			c.wrong("at", "", "the disruption begins %s after the start (%s after the warm-up), when all tests are over: they end at %s",
				Duration(s.From), Duration(s.From-p.WarmupEnd()), Duration(end))
		case s.To+s.Late > end:
			c.wrong(key, "shorten it or let a test run longer", "the disruption ends %s after the start%s, but the tests end at %s",
				Duration(s.To+s.Late), latest(s), Duration(end))
		}
	}
}

func latest(s Slot) string {
	if s.Late > 0 {
		return " at the latest"
	}
	return ""
}

// timesClean reports whether all that the timetable of a phase depends on was
// understood: what comes after a disruption depends on its times, too.
func timesClean(phase *checker, p *Phase) bool {
	for i := range p.Disruptions {
		d := phase.under(".disruptions[%d]", i)
		for _, key := range []string{"name", "at", "after", "spread", "for", "repeat", "sweep", "dependency", "services", "settle"} {
			if !d.clean(key) {
				return false
			}
		}
	}
	return true
}

// longEnough wants a disruption that a gate looks into to have a whole second
// inside: a window with its edge in it counts for neither side.
func longEnough(c *checker, p *Phase, g *Gate) {
	if g.Period.Kind != gates.During && g.Period.Kind != gates.DuringEach || gates.OfTimes(g.Gate) || !c.clean("") {
		return
	}
	for _, d := range p.Disruptions {
		if g.Period.Kind == gates.During && g.Period.Name != d.Name && !strings.HasPrefix(g.Period.Name, d.Name+".") {
			continue
		}
		if d.For > 0 && time.Duration(d.For) < shortest {
			c.wrong("", fmt.Sprintf("let it last %s or more", Duration(shortest)),
				"%s lasts %s: no whole second need lie inside, and only whole seconds are judged", d.Name, d.For)
			return
		}
	}
}

// parts gives a disruption as the rules should see it: a sweep over
// dependencies or services once for each.
func (c *checker) parts(d *Disruption) []*Disruption {
	each, more := c.plan.Instances(*d)
	if !d.Sweep || more || len(each) == 0 {
		return []*Disruption{d}
	}
	var out []*Disruption
	for _, one := range each {
		part := *d
		part.Dependency, part.Services = one.Dependency, one.Services
		out = append(out, &part)
	}
	return out
}

// partNames are what gates may call the parts of sweeps. Those that only the
// run finds are taken as they come.
func (c *checker) partNames(p *Phase, asked string) (names []string) {
	for _, d := range p.Disruptions {
		each, more := c.plan.Instances(d)
		for _, one := range each {
			names = append(names, one.Name)
		}
		if more && strings.HasPrefix(asked, d.Name+".") {
			names = append(names, asked)
		}
	}
	return names
}
