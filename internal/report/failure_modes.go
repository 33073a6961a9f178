package report

import (
	"fmt"
	"slices"
	"strings"

	"resilience/gates"
)

// FailureMode is one way in which the system can fail, rated by those who know
// it on the scales of IEC 60812: 1 is best, 10 is worst.
type FailureMode struct {
	Name        string   `json:"name"`
	Effect      string   `json:"effect"` // what users notice
	Severity    int      `json:"severity"`
	Likelihood  int      `json:"likelihood"`
	Detection   int      `json:"detection"`   // 10: nobody notices before users do
	Disruptions []string `json:"disruptions"` // names, or patterns such as deps.* that mean deps, too
}

// AssessedMode is a failure mode and what the run says about it.
type AssessedMode struct {
	FailureMode
	Outcome gates.Outcome `json:"outcome"`          // pass: the system withstood it; inconclusive: untested
	Reason  string        `json:"reason,omitempty"` // why it is not a pass
	Before  int           `json:"risk_before"`      // severity x likelihood x detection, 1 to 1000
	After   int           `json:"risk_after"`
}

// FailureModes is the coverage of the plan's failure modes by one run.
type FailureModes struct {
	Tested    int            `json:"tested"`    // those that passed or failed
	Withstood int            `json:"withstood"` // of them, those that passed
	Before    int            `json:"risk_before"`
	After     int            `json:"risk_after"`
	Modes     []AssessedMode `json:"modes"` // in the order of the plan
}

// detectionTested is the detection rating of a failure mode that the system
// withstood in the run: "very high" on the scale of IEC 60812. A test does not
// make a failure rarer or its effect milder; it makes sure that a release which
// does not withstand it is noticed before its users notice. 1 ("almost
// certain") would claim that a sample of traffic can not err.
const detectionTested = 2

// Assess adds to the document what its verdicts say about failure modes. A mode
// passes when each of its disruptions bit, and every critical gate that looks
// at the time during or after one of them holds, of which there is at least
// one; it fails when one of those gates failed. Anything else leaves it
// untested, which is inconclusive. Without modes the document stays as it is.
func (d *Document) Assess(modes []FailureMode) {
	if len(modes) == 0 {
		return
	}
	all := &FailureModes{Modes: make([]AssessedMode, 0, len(modes))}
	for _, mode := range modes {
		mode.Disruptions = append([]string{}, mode.Disruptions...)
		a := AssessedMode{FailureMode: mode, Before: mode.Severity * mode.Likelihood * mode.Detection}
		a.Outcome, a.Reason = withstood(mode, d.Phases)
		a.After = a.Before
		if a.Outcome == gates.Pass {
			a.After = mode.Severity * mode.Likelihood * min(mode.Detection, detectionTested)
			all.Withstood++
		}
		if a.Outcome != gates.Inconclusive {
			all.Tested++
		}
		all.Before, all.After = all.Before+a.Before, all.After+a.After
		all.Modes = append(all.Modes, a)
	}
	d.FailureModes = all
}

// withstood judges one mode by all of its disruptions: a failure decides, then
// a doubt.
func withstood(mode FailureMode, phases []gates.Verdict) (gates.Outcome, string) {
	if len(mode.Disruptions) == 0 {
		return gates.Inconclusive, "no disruption tests it"
	}
	outcome, reason := gates.Pass, ""
	for _, name := range mode.Disruptions {
		o, why := stood(name, phases)
		if o == gates.Fail {
			return o, why
		}
		if o == gates.Inconclusive && outcome == gates.Pass {
			outcome, reason = o, why
		}
	}
	return outcome, reason
}

// stood judges what one name or pattern of a mode means, in all phases that
// were run.
func stood(name string, phases []gates.Verdict) (gates.Outcome, string) {
	outcome, reason, found := gates.Pass, "", false
	for _, v := range phases {
		for _, d := range v.Disruptions {
			if !means(name, d) {
				continue
			}
			found = true
			o, why := judged(d, v)
			if o == gates.Fail {
				return o, why
			}
			if o == gates.Inconclusive && outcome == gates.Pass {
				outcome, reason = o, why
			}
		}
	}
	if !found {
		return gates.Inconclusive, name + " did not run"
	}
	return outcome, reason
}

// judged says what one disruption showed: it proves nothing unless it bit and
// was lifted, nor where no gate looked.
func judged(d gates.Disrupted, v gates.Verdict) (gates.Outcome, string) {
	switch {
	case !d.Bit:
		return gates.Inconclusive, strings.TrimSuffix(d.Name+" did not bite: "+d.Reason, ": ")
	case d.Lifted.IsZero():
		return gates.Inconclusive, "that " + d.Name + " was lifted is not confirmed"
	}
	outcome, reason, looked := gates.Pass, "", false
	for _, c := range v.Checks {
		if onlyWarns(c) || !looks(c, d.Name) && (d.Sweep == "" || !looks(c, d.Sweep)) {
			continue
		}
		looked = true
		switch {
		case c.Outcome == gates.Fail:
			return gates.Fail, fmt.Sprintf("%q failed %s", rule(c), c.Period)
		case c.Outcome == gates.Inconclusive && outcome == gates.Pass:
			outcome, reason = gates.Inconclusive, fmt.Sprintf("%q is inconclusive %s", rule(c), c.Period)
		}
	}
	if !looked {
		return gates.Inconclusive, "no critical gate looks at the time during or after " + d.Name
	}
	return outcome, reason
}

// looks reports whether a check is about the time during or after a disruption.
func looks(c gates.Check, name string) bool {
	return c.Period == "during "+name || c.Period == "after "+name
}

// means reports whether a name of a failure mode means a disruption of the
// record: the name of a sweep means each of its parts, as does the pattern
// deps.*.
func means(name string, d gates.Disrupted) bool {
	prefix, pattern := strings.CutSuffix(name, "*")
	if !pattern {
		return name == d.Name || name == d.Sweep
	}
	return strings.HasPrefix(d.Name, prefix) || strings.TrimSuffix(prefix, ".") == d.Name
}

// coverage sums up: "3 of 5 failure modes tested, 2 withstood; risk priority
// 910 before, 330 after".
func (f *FailureModes) coverage() string {
	return fmt.Sprintf("%d of %s tested, %d withstood; risk priority %s before, %s after", f.Tested,
		plural(uint64(len(f.Modes)), "failure mode"), f.Withstood, grouped(uint64(f.Before)), grouped(uint64(f.After)))
}

// untested are the names of the modes about which the run says nothing.
func (f *FailureModes) untested() []string {
	var names []string
	for _, m := range f.Modes {
		if m.Outcome == gates.Inconclusive {
			names = append(names, m.Name)
		}
	}
	return names
}

// result is the outcome of a mode in words.
func (m AssessedMode) result() string {
	return map[gates.Outcome]string{gates.Pass: "withstood", gates.Fail: "failed"}[m.Outcome] +
		map[gates.Outcome]string{gates.Inconclusive: "untested"}[m.Outcome]
}

// ratings writes severity, likelihood and detection as they are multiplied.
func (m AssessedMode) ratings() string {
	return fmt.Sprintf("%d × %d × %d", m.Severity, m.Likelihood, m.Detection)
}

// tests are the disruptions of a mode for one cell of a table.
func (m AssessedMode) tests() string {
	return orDash(strings.Join(slices.Clone(m.Disruptions), ", "))
}
