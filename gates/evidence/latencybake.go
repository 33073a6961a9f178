package evidence

import (
	"fmt"
	"math"
)

// deciles are the quantiles between which latencies are ranked.
var deciles = []float64{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9}

// LatencyBake collects a bake, for the decision whether the candidate is slower
// than the baseline, or not slower than allowed.
//
// In each episode all latencies are ranked by the deciles of what the baseline
// showed before (a candidate that is much slower would move those of both arms so
// far that the baseline never comes near them), and the candidate's sum of ranks is compared with what chance
// gives it (Wilcoxon's test in strata: van Elteren, Bulletin of the ISI 37,
// 1960), at the variance that the episodes' sums really have. The margin is a
// factor: against it, the candidate's limits are so many times as great.
type LatencyBake[S Values[S]] struct {
	fresh               func() S
	margin              float64
	quantiles           []float64
	middle              float64
	candidate, baseline S    // of the current episode
	all                 [2]S // before it, the candidate first
	blocks              int
	difference          dependence // of the scores at no difference
	beside, beyond      dependence // at the margin: rounded down, and up
}

// NewLatencyBake begins a bake in which latencies are compared as a whole.
func NewLatencyBake[S Values[S]](fresh func() S, margin Margin) *LatencyBake[S] {
	return &LatencyBake[S]{
		fresh: fresh, margin: atLeastOne(margin.Ratio), quantiles: deciles, middle: 0.5,
		candidate: fresh(), baseline: fresh(), all: [2]S{fresh(), fresh()},
	}
}

// NewQuantileBake begins a bake in which one quantile of latencies, from over 0
// to under 1, is compared: by how often each arm exceeds the baseline's of before.
func NewQuantileBake[S Values[S]](fresh func() S, margin Margin, quantile float64) (*LatencyBake[S], error) {
	if !(quantile > 0 && quantile < 1) {
		return nil, fmt.Errorf("comparing a quantile of latencies: %v is not between 0 and 1", quantile)
	}
	b := NewLatencyBake(fresh, margin)
	b.quantiles, b.middle = []float64{quantile}, quantile
	return b, nil
}

// Add adds the latencies of the next second.
func (b *LatencyBake[S]) Add(candidate, baseline S) {
	b.candidate.Merge(candidate)
	b.baseline.Merge(baseline)
	if b.blocks++; b.blocks < Episode {
		return
	}
	b.closed()
}

// AddEpisode adds the latencies of the next ten seconds, or of as much of them
// as counts. It is for those who have the seconds added up already.
func (b *LatencyBake[S]) AddEpisode(candidate, baseline S) {
	b.candidate.Merge(candidate)
	b.baseline.Merge(baseline)
	b.closed()
}

// closed ends the current episode.
func (b *LatencyBake[S]) closed() {
	if limits, ok := b.limits(); ok {
		b.difference.add(b.ranks(limits, 1))
		b.beside.add(b.ranks(limits, b.margin))
		b.beyond.add(b.ranks(limits, roundedUp(b.margin)))
	}
	b.all[0].Merge(b.candidate)
	b.all[1].Merge(b.baseline)
	b.candidate, b.baseline, b.blocks = b.fresh(), b.fresh(), 0
}

func (b *LatencyBake[S]) limits() (limits []float64, ok bool) {
	for _, q := range b.quantiles {
		limit, ok := b.all[1].Quantile(q)
		if !ok || !(math.Abs(limit) < math.MaxFloat64) {
			return nil, false
		}
		limits = append(limits, limit)
	}
	return limits, true
}

// ranks gives the score of the current episode: the candidate's ranks over what
// they would be on average if it did not matter which latency is whose.
func (b *LatencyBake[S]) ranks(limits []float64, margin float64) scored {
	var candidate, sum, squares, nc, nb float64
	for i, limit := range limits {
		o := over(b.candidate, b.baseline, limit, margin)
		nc, nb = float64(o.Candidate.N), float64(o.Baseline.N)
		above := float64(o.Candidate.Failed) + float64(o.Baseline.Failed)
		candidate += float64(o.Candidate.Failed)
		sum += above
		squares += float64(2*i+1) * above // the odd numbers up to 2r-1 make r squared
	}
	n := nc + nb
	if nc == 0 || nb == 0 || n < 2 {
		return scored{}
	}
	return scored{
		score:    candidate - nc*sum/n,
		variance: max(0, nc*nb/(n*(n-1))*(squares-sum*sum/n)),
	}
}

// Decide decides at a look, whose bound is the one that [Boundary] gives it; its
// errors are those of [ShareBake.Decide].
func (b *LatencyBake[S]) Decide(bound float64) Decision {
	ratio := math.NaN()
	candidate, ok := b.all[0].Quantile(b.middle)
	baseline, known := b.all[1].Quantile(b.middle)
	if ok && known && baseline != 0 {
		ratio = candidate / baseline
	}
	return decide(b.difference.statistic(1), b.beside.statistic(1), b.beyond.cautious(1), ratio, bound)
}
