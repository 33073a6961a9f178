package gates

import "resilience/gates/evidence"

// Flake tells how often a gate failed over runs of one version. A gate that
// tells versions apart never fails in such A/A runs: each failure is a false
// alarm.
type Flake struct {
	Gate         string
	Runs         int // that judged it
	Failed       int
	Inconclusive int
	Low, High    float64 // of the share that fails, 0 to 1, at 95 % confidence (Clopper and Pearson); inconclusive runs left out
}

// Rate is the share of runs that failed the gate, of those that decided, 0 to
// 1; ok is false when none did.
func (f Flake) Rate() (rate float64, ok bool) {
	decided := f.Runs - f.Inconclusive
	if decided == 0 {
		return 0, false
	}
	return float64(f.Failed) / float64(decided), true
}

// Flakes counts the checks of verdicts over one phase and one version, in the
// order in which their gates first come. Conditions that ended a phase are not
// gates.
func Flakes(verdicts []Verdict) []Flake {
	index := map[string]int{}
	var all []Flake
	for _, v := range verdicts {
		for _, c := range v.Checks {
			if c.SLI == "abort_if" || c.SLI == "watch" {
				continue
			}
			i, known := index[c.Text]
			if !known {
				i = len(all)
				index[c.Text] = i
				all = append(all, Flake{Gate: c.Text})
			}
			all[i].add(c.Outcome)
		}
	}
	for i := range all {
		f := &all[i]
		interval := evidence.Share(uint64(f.Failed), uint64(f.Runs-f.Inconclusive), 0.95)
		f.Low, f.High = interval.Low, interval.High
	}
	return all
}

func (f *Flake) add(o Outcome) {
	f.Runs++
	switch o {
	case Fail:
		f.Failed++
	case Inconclusive:
		f.Inconclusive++
	}
}

// mostFlakes is the share of runs that a calibrated gate may fail: what a
// verdict may err by.
const mostFlakes = 0.05

// Calibrated says why a gate that asks for calibration decides nothing yet: it
// wants so many runs, all of them passed, and may fail in at most 5 % of them;
// "" once it does decide. The runs are those it was judged in, the newest
// first, with the gate's outcome.
func (g Gate) Calibrated(runs []Outcome) string {
	if g.Calibrate == 0 {
		return ""
	}
	want, f := int(g.Calibrate), Flake{}
	for _, o := range runs {
		if o != Inconclusive && f.Runs < want {
			f.add(o)
		}
	}
	most := int(mostFlakes * float64(want))
	switch {
	case f.Runs < want:
		return countText(uint64(f.Runs)) + " of the " + countText(g.Calibrate) + " passing runs that calibrate it have judged it; " + countText(uint64(f.Failed)) + " failed it"
	case f.Failed > most:
		return countText(uint64(f.Failed)) + " of the last " + countText(g.Calibrate) + " passing runs failed it; at most " + countText(uint64(most)) + " may"
	}
	return ""
}
