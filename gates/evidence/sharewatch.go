package evidence

import "math"

// ShareWatch tests, as time goes by, whether the candidate fails more often
// than the baseline. It may be asked after each second, and stopped at any.
type ShareWatch struct {
	allowed float64
	current episode
	total   Block
	expect  expectation
	null    float64 // the candidate's failures to be expected where it is as bad as allowed
	mixture mixture
}

// NewShareWatch watches for odds of failing that are more than allowed times
// those of the baseline; where failures are rare, that is the ratio of the
// shares. 1, and what is less or no number, stands for no worse at all.
func NewShareWatch(allowed float64) *ShareWatch {
	return &ShareWatch{allowed: atLeastOne(allowed)}
}

// atLeastOne gives a factor that can be calculated with.
func atLeastOne(factor float64) float64 {
	if !(factor > 1) {
		return 1
	}
	return min(factor, 1e6)
}

// Add adds what was counted in the next second. A second in which an arm was
// not asked says nothing.
func (w *ShareWatch) Add(b Block) {
	if sum, done := w.current.add(b); done {
		w.compare(sum)
	}
}

func (w *ShareWatch) compare(sum Block) {
	w.total = w.total.plus(sum)
	w.expect.add(sum)
	score := sum.score(w.allowed)
	w.null += float64(sum.Candidate.Failed) - score.score
	w.mixture.unit = unitOf(w.total.Candidate.Failed, w.total.failed(), w.null)
	w.mixture.add(sum.ratios(w.allowed), score)
}

// Finding gives what was found up to now.
func (w *ShareWatch) Finding() Finding {
	log, inflation := w.mixture.log()
	return Finding{Log: log, Seen: w.total, Ratio: w.expect.ratio(), Inflation: inflation}
}

// expectation estimates the ratio of the shares of two arms whose traffic may
// change from one episode to the next (Mantel and Haenszel 1959; for ratios of
// shares Greenland and Robins, Biometrics 41, 1985).
type expectation struct{ candidate, baseline float64 }

func (e *expectation) add(b Block) {
	all := float64(b.Candidate.N) + float64(b.Baseline.N)
	if all == 0 {
		return
	}
	e.candidate += float64(b.Candidate.Failed) * float64(b.Baseline.N) / all
	e.baseline += float64(b.Baseline.Failed) * float64(b.Candidate.N) / all
}

func (e *expectation) ratio() float64 {
	if e.candidate == 0 && e.baseline == 0 {
		return math.NaN()
	}
	return e.candidate / e.baseline
}
