package main

import (
	"slices"
	"strings"

	"resilience/gates"
	"resilience/internal/plan"
)

// calibrated gives the plan with those gates of some phases only advisory that
// are not calibrated yet: so many runs of the plan that passed the phase must
// have judged them first. Runs that another gate failed say nothing of false
// alarms.
func calibrated(p plan.Plan, names []string) (plan.Plan, error) {
	p.Phases = slices.Clone(p.Phases)
	for i := range p.Phases {
		phase := &p.Phases[i]
		if !slices.Contains(names, phase.Name) {
			continue
		}
		phase.Gates = slices.Clone(phase.Gates)
		if err := calibrate(p.Name, phase); err != nil {
			return p, err
		}
	}
	return p, nil
}

// calibrate notes of each gate of a phase whether it decides.
func calibrate(planName string, phase *plan.Phase) error {
	list := phase.Sentences()
	most := uint64(0)
	for _, g := range list {
		most = max(most, g.Calibrate)
	}
	if most == 0 {
		return nil
	}
	outcomes := make([][]gates.Outcome, len(list))
	for run, err := range passed(runsDir, planName, phase.Name) {
		if err != nil {
			return err
		}
		if !hear(list, outcomes, verdictOf(run, phase.Name), most) {
			break
		}
	}
	for i := range list {
		phase.Gates[i].Advisory = list[i].Calibrated(outcomes[i])
	}
	return nil
}

// hear adds what a verdict says of each gate, and reports whether more is
// needed.
func hear(list []gates.Gate, outcomes [][]gates.Outcome, v gates.Verdict, most uint64) (more bool) {
	for i, g := range list {
		worst, judged := gates.Pass, false
		for _, c := range v.Checks { // several, of a gate for each of something
			if c.Text != g.Text && !strings.HasPrefix(c.Text, g.Text+" (") {
				continue
			}
			judged = true
			if c.Outcome == gates.Fail || worst == gates.Pass {
				worst = c.Outcome
			}
		}
		if judged && worst != gates.Inconclusive {
			outcomes[i] = append(outcomes[i], worst)
		}
		more = more || g.Calibrate > 0 && uint64(len(outcomes[i])) < most
	}
	return more
}
