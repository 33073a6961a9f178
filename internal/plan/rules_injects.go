package plan

import (
	"errors"
	"fmt"
	"slices"
)

// validInjects wants names for what a script injects that gates can use and
// that no disruption of the plan has.
func validInjects(c *checker, p *Phase) {
	planned := make([]string, len(p.Disruptions))
	for i, d := range p.Disruptions {
		planned[i] = d.Name
	}
	for i, t := range p.Tests {
		kind, profile := t.Kind()
		at := c.under(".tests[%d].%s", i, kind)
		if at.given("injects") && profile.Script == "" && at.clean("injects") {
			at.wrongKey("injects", "leave it out", "only a script can inject anything")
		}
		for j, name := range profile.Injects {
			key := "injects"
			if at.given(fmt.Sprintf("injects[%d]", j)) {
				key = fmt.Sprintf("injects[%d]", j)
			}
			if problem := wrongName(name); problem != "" {
				at.wrong(key, "", "%s", problem)
			} else if slices.Contains(planned, name) {
				at.wrong(key, "give one another name", "the phase has a disruption %q already", name)
			}
		}
	}
}

// ValidName says why a disruption can not have a name, nil when it can.
func ValidName(name string) error {
	if problem := wrongName(name); problem != "" {
		return errors.New(problem)
	}
	return nil
}
