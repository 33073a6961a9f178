package gates

import (
	"cmp"
	"fmt"
	"time"

	"resilience/internal/measure"
)

// abort is a condition of abort_if that held.
type abort struct {
	name              string // of the disruption that it lifted, "" when it ended the phase
	condition, detail string
	at                int64
	watch             bool // a test that goes on all the time became certain
}

func (t *timeline) abortedEvent(e measure.Event) {
	a := abort{name: e.Name, condition: e.Attrs["condition"], detail: cmp.Or(e.Attrs["detail"], "no detail"), at: e.At, watch: e.Attrs["watch"] != ""}
	t.aborts = append(t.aborts, a)
	if a.name != "" {
		t.warn("%s", a.early())
	}
}

// early says that a disruption was lifted before its time.
func (a abort) early() string {
	return fmt.Sprintf("the disruption %s was lifted early: %q held (%s)", a.name, a.condition, a.detail)
}

// abortChecks are failed checks that say which conditions ended the phase.
func (t *timeline) abortChecks() (checks []Check) {
	for _, a := range t.aborts {
		if a.name != "" {
			continue
		}
		if a.watch {
			checks = append(checks, a.watched())
			continue
		}
		check := Check{
			Text: "abort_if " + a.condition, Period: "until the abort", SLI: "abort_if",
			Observed: "held", Objective: "never holds", Evidence: a.detail,
		}
		if g, err := ParseCondition(a.condition); err == nil {
			check.SLI, check.Objective = g.Subject(), "not "+string(g.Op)+" "+g.Value.String()
		}
		check.broke("%s held at %s (%s), which ended the phase", a.condition, time.Unix(0, a.at).UTC().Format(time.TimeOnly), a.detail)
		checks = append(checks, check)
	}
	return checks
}

// watched is the failed check of a gate that was tested all the time.
func (a abort) watched() Check {
	check := Check{
		Text: "watch " + a.condition, Period: "steady, until the end", SLI: "watch", Observed: "does not hold", Objective: "holds", Evidence: a.detail,
	}
	if g, err := Parse(a.condition); err == nil {
		check.Gate, check.SLI, check.Objective = g, g.Subject(), string(g.Op)+" "+g.Value.String()
	}
	check.broke("%s was certain not to hold at %s (%s), which ended the phase", a.condition, time.Unix(0, a.at).UTC().Format(time.TimeOnly), a.detail)
	return check
}

// cutShort says which disruption was lifted before its time, so that what it
// would have shown is not known; "" when none was.
func (t *timeline) cutShort() string {
	for _, a := range t.aborts {
		if a.name != "" {
			return a.early()
		}
	}
	return ""
}
