package plan

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"resilience/gates"
)

// validAborts wants the conditions that end a phase to be sentences.
func validAborts(c *checker, p *Phase) { c.conditions(p.AbortIf) }

// validDisruptionAborts does so for those that lift a disruption.
func validDisruptionAborts(c *checker, _ *Phase, d *Disruption) { c.conditions(d.AbortIf) }

func (c *checker) conditions(texts []string) {
	if c.given("abort_if") && len(texts) == 0 && c.clean("abort_if") {
		c.wrong("abort_if", "leave it out", "abort_if is empty")
	}
	for i, text := range texts {
		key := fmt.Sprintf("abort_if[%d]", i)
		_, err := gates.ParseCondition(text)
		n := c.values[c.at(key)]
		if err == nil || n == nil || !c.clean(key) {
			continue
		}
		var wrong *gates.SyntaxError
		if !errors.As(err, &wrong) {
			c.wrong(key, "", "%s", err)
			continue
		}
		c.fail(c.at(key), c.within(n, text, wrong.Offset), "", "%s", wrong.Msg)
	}
}

// sayProduction are the words of a name that say that users are served there.
var sayProduction = []string{"production", "prod", "prd", "live"}

// saysProduction reports whether one of the words of a name does, with a number
// at its end or without: prod2.
func saysProduction(name string) bool {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("-_./ :@", r) })
	return slices.ContainsFunc(words, func(word string) bool { return slices.Contains(sayProduction, strings.TrimRight(word, "0123456789")) })
}

// partOfProduction are the names of phases in which a part of the users is
// served.
var partOfProduction = regexp.MustCompile(`(?i)(^|[-_./ ])(one[-_]?box|waves?[-_]?[0-9]*)($|[-_./ ])`)

// hostOf is the host that a URL names, "" where it names none yet.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// serves says why users are taken to be served in a phase with a target at an
// address, "" when they are not. A disruption in a cluster may add what its
// context or namespace says.
func (p Phase) serves(d *Disruption, address string) string {
	switch {
	case p.Production != nil && !*p.Production:
		return ""
	case p.Production != nil:
		return "production: true"
	case saysProduction(p.Name) || partOfProduction.MatchString(p.Name):
		return "the name of the phase"
	case saysProduction(p.Candidate):
		return "the name of its target"
	case saysProduction(hostOf(address)):
		return "the host " + hostOf(address) + " of its target"
	case d == nil || d.Kubernetes == nil:
		return ""
	case saysProduction(d.Kubernetes.Context):
		return "the context " + d.Kubernetes.Context
	case saysProduction(d.Kubernetes.Namespace):
		return "the namespace " + d.Kubernetes.Namespace
	}
	return ""
}

// sparesUsers refuses disruptions in production unless the plan says that they
// are meant.
func sparesUsers(c *checker, p *Phase, d *Disruption) {
	if why := p.serves(d, c.plan.Targets[p.Candidate].URL); why != "" && !p.Disrupt {
		c.wrong("", "say disrupt_production: true in the phase if that is meant", "users are served here, as %s says: a disruption would hurt them", why)
	}
}

// scriptsSpareUsers does so for disruptions that a script injects.
func scriptsSpareUsers(c *checker, p *Phase) {
	why := p.serves(nil, c.plan.Targets[p.Candidate].URL)
	for i, t := range p.Tests {
		if kind, profile := t.Kind(); why != "" && !p.Disrupt && len(profile.Injects) > 0 {
			c.under(".tests[%d].%s", i, kind).wrong("injects", "say disrupt_production: true in the phase if that is meant",
				"users are served here, as %s says: a disruption would hurt them", why)
		}
	}
}

// instances are what at_most can limit.
var instances = []string{OnServices, OnContainer, OnKubernetes}

// fewerThanAll wants at_most to leave some of a group that is known, and to
// stand where there is one.
func fewerThanAll(c *checker, _ *Phase, d *Disruption) {
	if !c.given("at_most") || d.AtMost == nil || !c.clean("at_most") {
		return
	}
	kind, _ := d.On()
	if !slices.Contains(instances, kind) {
		c.wrongKey("at_most", "leave it out; share: and first: limit requests", "at_most limits instances, and %s has none", kind)
		return
	}
	n := len(d.selected(named(c.plan.Services)))
	if kind == OnServices && n > 1 && d.AtMost.Share != 1 && d.AtMost.Of(n) == n {
		c.wrong("at_most", "make it less, or say at_most: all if that is meant", "at_most %s would act on all %d services", d.AtMost, n)
	}
}

// selected are the services that the names and patterns of a disruption mean.
func (d Disruption) selected(services []string) (list []string) {
	for _, name := range services {
		if slices.ContainsFunc(d.Services, func(pattern string) bool {
			match, err := path.Match(pattern, name)
			return match && err == nil || pattern == name
		}) {
			list = append(list, name)
		}
	}
	return list
}
