package gates

import (
	"fmt"
	"slices"
	"strings"
)

// Score is the weighted share of gates that hold, for those who weigh them.
// What is inconclusive may or may not hold, so that it has two ends. It decides
// nothing unless a gate asks for it: `score >= 90%`.
type Score struct {
	Group string   `json:"group,omitempty"` // "" for all gates
	Least float64  `json:"least"`           // 0 to 1, with what is inconclusive against it
	Most  float64  `json:"most"`            // 0 to 1, with what is inconclusive for it
	Gates int      `json:"gates"`
	Lost  []string `json:"lost,omitempty"` // the gates that do not hold or are inconclusive, with their weights

	held, open, all float64 // weights
}

// weight of a gate in scores.
func (c Check) weight() float64 { return float64(max(1, c.Weight)) }

// inScore reports whether a check is one of a plan's gates that scores count.
func (c Check) inScore() bool {
	row, _ := lookUp(c.Gate.SLI)
	return c.Gate.SLI != "" && row.kind != scoreKind
}

// scoreOf counts the checks of a group, or all for "". Gates judged for each of
// several values share their weight.
func scoreOf(checks []Check, group string) Score {
	s := Score{Group: group}
	parts := map[string]float64{}
	for _, c := range checks {
		parts[c.Gate.Text]++
	}
	for _, c := range checks {
		if !c.inScore() || group != "" && c.Group != group {
			continue
		}
		weight := c.weight() / parts[c.Gate.Text]
		s.Gates++
		s.all += weight
		switch c.Outcome {
		case Pass:
			s.held += weight
			continue
		case Inconclusive:
			s.open += weight
		}
		s.Lost = append(s.Lost, fmt.Sprintf("%s (%s, %s of the weight)", c.Text, c.Outcome, plainText(weight)))
	}
	if s.all > 0 {
		s.Least, s.Most = s.held/s.all, (s.held+s.open)/s.all
	}
	return s
}

// judge decides a gate over the score. What is inconclusive leaves the score
// open, and the gate too unless both ends agree.
func (s Score) judge(check *Check) {
	if s.Gates == 0 {
		check.doubt(Evidence, "%s", s.nothing())
		return
	}
	limit, _ := constant(check.Gate.Value)
	check.Value, check.Limit, check.Samples = finite(s.Least), finite(limit), uint64(s.Gates)
	check.Observed, check.Objective = unitText(s.Least, UnitShare), string(check.Gate.Op)+" "+unitText(limit, UnitShare)
	if s.Most > s.Least {
		check.Observed += " to " + unitText(s.Most, UnitShare)
	}
	check.Evidence = fmt.Sprintf("%s of %s points over %s gates", plainText(s.held), plainText(s.all), countText(uint64(s.Gates)))
	if len(s.Lost) > 0 {
		check.Evidence += "; not held: " + strings.Join(s.Lost, ", ")
	}
	least, most := meets(s.Least, check.Gate.Op, limit), meets(s.Most, check.Gate.Op, limit)
	switch {
	case least && most:
		check.Outcome = Pass
	case !least && !most:
		check.broke("the score was %s, which is not %s", check.Observed, check.Objective)
	default:
		check.doubt(Evidence, "the score is %s: gates are inconclusive that decide whether it is %s", check.Observed, check.Objective)
	}
}

func (s Score) nothing() string {
	if s.Group != "" {
		return "no gate is in the group " + s.Group
	}
	return "there is no other gate to score"
}

// scores sums up a verdict where its gates are weighted, grouped or scored:
// all gates first, then each group.
func scores(checks []Check) []Score {
	asked := false
	var groups []string
	for _, c := range checks {
		row, _ := lookUp(c.Gate.SLI)
		asked = asked || c.Weight > 0 || row.kind == scoreKind
		if c.Group != "" && !slices.Contains(groups, c.Group) {
			groups = append(groups, c.Group)
		}
	}
	if !asked && len(groups) == 0 {
		return nil
	}
	slices.Sort(groups)
	all := []Score{scoreOf(checks, "")}
	for _, g := range groups {
		all = append(all, scoreOf(checks, g))
	}
	return all
}
