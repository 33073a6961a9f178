package evidence

import (
	"fmt"
	"math"
)

// Finding is what a watch has found up to now, and what it rests on. The last
// seconds are not in there until their episode is over.
type Finding struct {
	// Log is the natural logarithm of the e-value. 0 is no evidence, and less
	// than 0 speaks for the candidate.
	Log float64
	// Seen is what was counted.
	Seen Block
	// Ratio estimates how many times as often the candidate fails as it may:
	// as the baseline, or as the objective says. NaN while nothing is known.
	Ratio float64
	// Inflation is how many times as much the counts vary as those of
	// independent requests do, at least 1. The evidence is deflated by it.
	Inflation float64
}

// Value is the e-value: what a bet of 1 against the candidate has become. It is
// not a probability: if nothing is wrong it is at least 20 in no more than one
// of 20 rollouts, however often one looks.
func (f Finding) Value() float64 { return math.Exp(f.Log) }

// Certain reports whether the candidate is worse, when at most the share alpha
// of healthy rollouts may be found so. It is false for an alpha that is not
// between 0 and 1.
func (f Finding) Certain(alpha float64) bool {
	return alpha > 0 && alpha < 1 && f.Log >= -math.Log(alpha)
}

// Effective is the effective number of attempts of both arms: as many
// independent ones would say as much.
func (f Finding) Effective() float64 {
	return float64(f.Seen.Candidate.N+f.Seen.Baseline.N) / max(1, f.Inflation)
}

// String tells the finding in numbers.
func (f Finding) String() string {
	c, b := f.Seen.Candidate, f.Seen.Baseline
	text := fmt.Sprintf("candidate %d of %d", c.Failed, c.N)
	if b.N > 0 {
		text += fmt.Sprintf(", baseline %d of %d", b.Failed, b.N)
	}
	if !math.IsNaN(f.Ratio) {
		text += fmt.Sprintf(": %.3g times as many", f.Ratio)
	}
	text += fmt.Sprintf("; e-value %.3g", f.Value())
	if f.Inflation > 1 {
		text += fmt.Sprintf(", as of %.0f independent", f.Effective())
	}
	return text
}
