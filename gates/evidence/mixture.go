package evidence

import "math"

// alternatives are what a bet is spread over: how many times as great as
// allowed the odds of failing may be. One rule for all: nobody knows beforehand
// how bad a regression will be.
var alternatives = [...]float64{1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3, 4, 6, 10, 20, 100}

// stakes are what is bet on each: 1 in all.
var stakes = [...]float64{.04, .05, .06, .08, .09, .12, .10, .10, .09, .09, .08, .06, .04}

// ratios are logarithms of likelihood ratios, one for each alternative.
type ratios [len(alternatives)]float64

// An episode multiplies the evidence by at most episodeLimit: a burst hits one
// of two arms by chance, and doubling the stakes is then fair, however great the
// burst. Where requests are seen to depend on each other, evidence will be
// deflated, so it may be up to patience times the logarithm of that.
const (
	episodeLimit = 2
	patience     = 2
)

// mixture is an e-process: the average, over the alternatives, of the
// likelihood ratios of all episodes. It begins with 1 and does not grow on
// average unless there is a regression, so the probability that it ever reaches
// 1/alpha is at most alpha, however often one looks (Ville 1939; Ramdas,
// Gruenwald, Vovk and Shafer, Game-theoretic statistics and safe anytime-valid
// inference, Statistical Science 38, 2023).
type mixture struct {
	logs       ratios
	dependence dependence
	unit       float64 // what the variances of the scores must be multiplied by; 0 stands for 1
}

// add adds an episode: the likelihood ratios, and the score with its variance
// if all requests are independent. To replace a ratio by a smaller one is
// always allowed, so each may be limited.
func (m *mixture) add(episode ratios, s scored) {
	m.dependence.add(s)
	limit := math.Log(episodeLimit) * min(patience, m.spread().seen())
	for i, l := range episode {
		m.logs[i] += min(l, limit)
	}
}

// spread is that of the scores, whose variances are to be multiplied by unit.
func (m *mixture) spread() spread {
	if !(m.unit > 0) {
		return m.dependence.spread(1)
	}
	return m.dependence.spread(m.unit)
}

// log gives the logarithm of the evidence, deflated by the dependence seen up
// to now, and by how much. A root of what is over 1 is less than itself: the
// deflated evidence is at no time more than the evidence of independent
// requests, whatever the deflation was computed from; so it errs as rarely on
// those.
func (m *mixture) log() (evidence, inflation float64) {
	inflation = m.spread().feared()
	var terms ratios
	for i, l := range m.logs {
		terms[i] = math.Log(stakes[i]) + min(l, l/inflation)
	}
	return logSum(terms[:]), inflation
}

// logSum gives the logarithm of the sum of what the terms are logarithms of.
func logSum(terms []float64) float64 {
	greatest := math.Inf(-1)
	for _, t := range terms {
		greatest = max(greatest, t)
	}
	if math.IsInf(greatest, 0) {
		return greatest
	}
	sum := 0.0
	for _, t := range terms {
		sum += math.Exp(t - greatest)
	}
	return greatest + math.Log(sum)
}
