package evidence

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// looksInflation is how many times as much data a bake with five looks needs as
// one with a single look (Jennison and Turnbull 2000, table 2.4: 1.03 or less
// for the boundary of O'Brien and Fleming).
const looksInflation = 1.03

// ShareShownIn gives the seconds of a bake whose decision at the level alpha is,
// with the probability power, that a candidate that fails as often as the
// baseline, of which the share base fails, is not worse than the margin allows.
func (t Traffic) ShareShownIn(base float64, margin Margin, alpha, power float64) (seconds float64, ok bool) {
	if !t.sane() || !(base >= 0 && base < 1) {
		return math.Inf(1), false
	}
	if !(margin.Difference > 0) {
		return t.ratioShown(base, margin.Ratio).in(alpha, power)
	}
	candidate := max(base+margin.Difference/2, margin.Difference) // see [ShareBake.likeliest]
	baseline := max(base-margin.Difference/2, 0)
	if !(candidate < 1) {
		return math.Inf(1), false
	}
	failures := t.Candidate*base + t.Baseline*base
	scale := 1 / (1/t.Candidate + 1/t.Baseline)
	variance := scale * scale * (candidate*(1-candidate)/t.Candidate + baseline*(1-baseline)/t.Baseline)
	return contrast{t, failures, scale * margin.Difference, variance, variance}.in(alpha, power)
}

// LatencyShownIn gives the seconds of a bake whose decision at the level alpha
// is, with the probability power, that a candidate as fast as what was seen is
// not slower than the margin allows. It is a little long: only the middle is
// reckoned with, ranks see more.
func LatencyShownIn[S Values[S]](t Traffic, seen S, margin Margin, alpha, power float64) (seconds float64, ok bool) {
	return QuantileShownIn(t, seen, 0.5, margin, alpha, power)
}

// QuantileShownIn gives the seconds of a bake of one quantile, from over 0 to
// under 1, whose decision at the level alpha is, with the probability power, that
// a candidate as fast as what was seen is not slower there than the margin allows.
func QuantileShownIn[S Values[S]](t Traffic, seen S, quantile float64, margin Margin, alpha, power float64) (seconds float64, ok bool) {
	base, allowed, known := shifted(seen, quantile, margin.Ratio)
	if !known || !t.sane() || !(base > 0 && allowed < 1) {
		return math.Inf(1), false
	}
	return t.ratioShown(base, odds(allowed)/odds(base)).in(alpha, power)
}

// contrast is what a second adds, on average, to the statistic of a bake.
type contrast struct {
	traffic  Traffic
	failures float64 // of both arms
	gap      float64 // between what happens and what is allowed
	allowed  float64 // variance of the statistic at what is allowed
	happens  float64 // and at what happens
}

// ratioShown is the contrast of equal arms with an odds ratio of the margin.
func (t Traffic) ratioShown(base, margin float64) contrast {
	all := t.Candidate + t.Baseline
	even, allowed := t.Candidate/all, margin*t.Candidate/(margin*t.Candidate+t.Baseline)
	failures := all * base
	return contrast{
		traffic: t, failures: failures, gap: failures * (1 - base) * (allowed - even),
		allowed: failures * (1 - base) * allowed * (1 - allowed),
		happens: failures * (1 - base) * even * (1 - even),
	}
}

// in gives the time until the contrast is significant.
func (c contrast) in(alpha, power float64) (seconds float64, ok bool) {
	if !(c.gap > 0 && c.allowed > 0) || !(alpha > 0 && alpha < 1) || !(power > 0 && power < 1) {
		return math.Inf(1), false
	}
	err, miss := -distuv.UnitNormal.Quantile(alpha), distuv.UnitNormal.Quantile(power)
	low, high := 0.0, float64(2*foundForever)
	for range 100 {
		time := (low + high) / 2
		needed := err * math.Sqrt(c.allowed*time*c.traffic.estimated(time, c.failures))
		if c.gap*time < 0.5+needed+miss*math.Sqrt(c.happens*c.traffic.inflation()*time) {
			low = time
		} else {
			high = time
		}
	}
	seconds = math.Ceil(looksInflation*high/Episode) * Episode
	return seconds, seconds <= foundForever
}
