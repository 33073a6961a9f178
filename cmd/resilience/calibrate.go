package main

import (
	"strings"

	"resilience/gates"
	"resilience/internal/plan"
)

// calibrated are the gates of a phase, of which those that are not calibrated
// yet only advise: so many runs of the plan that passed the phase must have
// judged them first. Runs that another gate failed say nothing of false alarms.
func calibrated(p plan.Plan, phase plan.Phase) ([]gates.Gate, error) {
	list := gatesOf(phase)
	most := uint64(0)
	for _, g := range list {
		most = max(most, g.Calibrate)
	}
	if most == 0 {
		return list, nil
	}
	outcomes := make([][]gates.Outcome, len(list))
	for run, err := range passed(runsDir, p.Name, phase.Name) {
		if err != nil {
			return nil, err
		}
		if !hear(list, outcomes, verdictOf(run, phase.Name), most) {
			break
		}
	}
	for i := range list {
		list[i].Advisory = list[i].Calibrated(outcomes[i])
	}
	return list, nil
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
