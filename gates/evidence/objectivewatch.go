package evidence

import (
	"fmt"
	"math"
)

// ObjectiveWatch tests, as time goes by, whether one arm fails more often than
// an objective allows. It may be asked after each second, and stopped at any.
type ObjectiveWatch struct {
	objective float64
	current   episode
	total     Counts
	mixture   mixture
}

// NewObjectiveWatch watches for a share of failures over the objective, which
// must be over 0 and under 1: one failure is more than none, and nothing more
// than all.
func NewObjectiveWatch(objective float64) (*ObjectiveWatch, error) {
	if !(objective > 0 && objective < 1) {
		return nil, fmt.Errorf("watching a share of failures: the objective %v is not between 0 and 1", objective)
	}
	return &ObjectiveWatch{objective: objective}, nil
}

// Add adds what was counted in the next second.
func (w *ObjectiveWatch) Add(c Counts) {
	if sum, done := w.current.add(Block{Candidate: c}); done {
		w.compare(sum.Candidate)
	}
}

func (w *ObjectiveWatch) compare(c Counts) {
	w.total = w.total.plus(c)
	n, k := float64(c.N), float64(c.Failed)
	var episode ratios
	for i, r := range alternatives { // r times the odds of the objective
		episode[i] = k*math.Log(r) - n*math.Log1p((r-1)*w.objective)
	}
	share := w.total.Share()
	w.mixture.unit = share * (1 - share)
	w.mixture.add(episode, scored{score: k, variance: n})
}

// Finding gives what was found up to now.
func (w *ObjectiveWatch) Finding() Finding {
	log, inflation := w.mixture.log()
	f := Finding{Log: log, Seen: Block{Candidate: w.total}, Ratio: math.NaN(), Inflation: inflation}
	if w.total.N > 0 {
		f.Ratio = w.total.Share() / w.objective
	}
	return f
}
