package evidence

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Traffic is what a phase sends, and what is known of it: requests per second
// to either arm, and how many times as much their counts vary as independent
// ones do (see [Finding]; 0 stands for 1). With it comes what can be found in
// how much time, before a phase begins or when it could not decide.
type Traffic struct{ Candidate, Baseline, Inflation float64 }

// foundForever is the time, in seconds, at which planning gives up: a year.
const foundForever = 365 * 86400

// ShareFoundIn gives the seconds after which a [ShareWatch] at the level alpha
// has found, with the probability power, that the candidate fails ratio times
// as often as the baseline, of which the share base fails. ok is false when it
// takes over a year or the question makes no sense. It is an approximation: the
// evidence is taken for a Brownian motion with drift (its first passage:
// Chhikara and Folks, The Inverse Gaussian Distribution, 1989), and a bet of the
// mixture to be helped by its two neighbours.
func (t Traffic) ShareFoundIn(base, ratio, alpha, power float64) (seconds float64, ok bool) {
	return t.found(base, base*ratio, -math.Log(alpha), power)
}

// LatencyFoundIn gives the seconds after which a [LatencyWatch] at the level
// alpha has found, with the probability power, that all latencies of the
// candidate are factor times those that were seen.
func LatencyFoundIn[S Values[S]](t Traffic, seen S, factor, alpha, power float64) (seconds float64, ok bool) {
	seconds = math.Inf(1)
	level := math.Log(float64(len(watched))) - math.Log(alpha)
	for _, q := range watched {
		baseline, candidate, known := shifted(seen, q, factor)
		if !known {
			continue
		}
		if in, found := t.found(baseline, candidate, level, power); found {
			seconds, ok = min(seconds, in+Episode), true // the first one has no limits yet
		}
	}
	return seconds, ok
}

// shifted gives the share of latencies over the quantile q, and what it would
// be if all took factor times as long.
func shifted[S Values[S]](seen S, q, factor float64) (baseline, candidate float64, ok bool) {
	limit, ok := seen.Quantile(q)
	if n := float64(seen.Count()); ok && n > 0 && factor > 0 {
		return float64(seen.CountAbove(limit)) / n, float64(seen.CountAbove(limit/factor)) / n, true
	}
	return 0, 0, false
}

// found gives the time until the evidence reaches the level.
func (t Traffic) found(baseline, candidate, level, power float64) (seconds float64, ok bool) {
	if !t.sane() || !(candidate > baseline && baseline >= 0 && candidate <= 1) || !(level > 0) || !(power > 0 && power < 1) {
		return math.Inf(1), false
	}
	c, b := t.Candidate*candidate, t.Baseline*baseline // failures per second
	seconds = math.Inf(1)
	for i, r := range alternatives {
		event := t.normalizer(r, (c+b)/(t.Candidate+t.Baseline))
		up := math.Log(r) - event
		drift := c*up - b*event
		variance := (c*up*up*(1-candidate) + b*event*event*(1-baseline)) * t.inflation()
		seconds = min(seconds, t.won(i, drift, variance, level, power, func(time float64) float64 { return t.feared(time, c+b) }))
	}
	seconds = math.Ceil(seconds/Episode) * Episode
	return seconds, seconds <= foundForever
}

// won gives the time until the bet on one alternative, helped by its neighbours,
// has brought the evidence to the level.
func (t Traffic) won(i int, drift, variance, level, power float64, feared func(time float64) float64) float64 {
	drift, variance = limited(drift, variance, t.inflation())
	if !(drift > 0) {
		return math.Inf(1)
	}
	stake := stakes[i] + stakes[max(i-1, 0)] + stakes[min(i+1, len(stakes)-1)]
	return passage(func(time float64) float64 { return (level - math.Log(stake)) * feared(time) }, drift, variance, power)
}

// ObjectiveFoundIn gives the seconds after which an [ObjectiveWatch] at the level
// alpha has found, with the probability power, that the candidate fails ratio
// times as often as the objective allows. The baseline has no part in it.
func (t Traffic) ObjectiveFoundIn(objective, ratio, alpha, power float64) (seconds float64, ok bool) {
	share, level := objective*ratio, -math.Log(alpha)
	if !(t.Candidate > 0 && t.Candidate < 1e9) || !(objective > 0 && share > objective && share < 1) || !(level > 0) || !(power > 0 && power < 1) {
		return math.Inf(1), false
	}
	failures := t.Candidate * share // per second
	seconds = math.Inf(1)
	for i, r := range alternatives {
		up := math.Log(r)
		drift := failures*up - t.Candidate*math.Log1p((r-1)*objective)
		variance := failures * (1 - share) * up * up * t.inflation()
		seconds = min(seconds, t.won(i, drift, variance, level, power, func(time float64) float64 {
			return t.feared(time, 4*failures) // whose variance is not a quarter of their number, but all of it
		}))
	}
	seconds = math.Ceil(seconds/Episode) * Episode
	return seconds, seconds <= foundForever
}

// normalizer gives the logarithm by which an alternative divides for each
// failure, where the share of all that fail is given: see [Block.ratios].
func (t Traffic) normalizer(r, share float64) float64 {
	all := t.Candidate + t.Baseline
	scale := 2000 / (min(share, 1-share) * all) // enough failures for a smooth answer
	if !(scale*all < 1<<50) {                   // of so many, what are failures can not be told exactly
		return math.Log((r*t.Candidate + t.Baseline) / all)
	}
	b := Block{
		Candidate: Counts{N: uint64(scale * t.Candidate)},
		Baseline:  Counts{N: uint64(scale * t.Baseline)},
	}
	m := uint64(share * scale * all)
	if m == 0 || b.Candidate.N == 0 || b.Baseline.N == 0 {
		return math.Log((r*t.Candidate + t.Baseline) / all)
	}
	b.Candidate.Failed = min(m, b.Candidate.N)
	b.Baseline.Failed = m - b.Candidate.Failed
	least, _ := b.support()
	one, sums := b.logSums(1)
	for i, alternative := range alternatives {
		if alternative == r {
			return (sums[i] - one + float64(least)*math.Log(r)) / float64(m)
		}
	}
	return math.Log((r*t.Candidate + t.Baseline) / all)
}

func (t Traffic) sane() bool {
	return t.Candidate > 0 && t.Baseline > 0 && t.Candidate < 1e9 && t.Baseline < 1e9
}

func (t Traffic) inflation() float64 {
	if !(t.Inflation > 1) {
		return 1
	}
	return t.Inflation
}

// limited gives the drift and the variance that are left when the evidence of an
// episode, taken as normal, is limited as in [mixture.add].
func limited(drift, variance, inflation float64) (float64, float64) {
	limit := math.Log(episodeLimit) * min(patience, inflation)
	mean, deviation := drift*Episode, math.Sqrt(variance*Episode)
	if !(deviation > 0) {
		return min(mean, limit) / Episode, variance
	}
	a := (limit - mean) / deviation
	below, density := distuv.UnitNormal.CDF(a), distuv.UnitNormal.Prob(a)
	first := mean*below - deviation*density + limit*(1-below)
	second := (mean*mean+variance*Episode)*below - deviation*(limit+mean)*density + limit*limit*(1-below)
	return first / Episode, max(0, second-first*first) / Episode
}

// freedom gives how many batches, less one, there will be after a time to
// estimate dependence from, where there are so many failures per second.
func freedom(time, failures float64) float64 {
	if f := min(maxBatches*3/4, time/Episode, time*failures) - 1; f >= 1 {
		return f
	}
	return 0
}

// estimated gives the inflation that will be estimated after a time: by chance
// it is as often too great as too small, where it is not used when under 1.
func (t Traffic) estimated(time, failures float64) float64 {
	f := freedom(time, failures)
	if f == 0 {
		return t.inflation()
	}
	return t.inflation() * (1 + 2/f) * (1 + 0.4*math.Sqrt(3/f))
}

// feared gives the deflation of a watch after a time.
func (t Traffic) feared(time, failures float64) float64 {
	f := freedom(time, failures)
	s := spread{ratio: t.inflation(), freedom: f, size: failures * Episode / 4}
	if f > 0 {
		s.ratio *= 1 + 0.4*math.Sqrt(3/f)
	}
	return s.feared()
}

// passage gives the time by which a Brownian motion with the drift and variance
// has reached the goal, which falls with time, with the probability p.
func passage(goal func(time float64) float64, drift, variance, p float64) float64 {
	reached := func(time float64) float64 {
		goal, deviation := goal(time), math.Sqrt(variance*time)
		again := distuv.UnitNormal.CDF(-(drift*time + goal) / deviation)
		if again > 0 {
			again *= math.Exp(2 * drift * goal / variance)
		}
		return distuv.UnitNormal.CDF((drift*time-goal)/deviation) + again
	}
	low, high := 0.0, float64(2*foundForever)
	for range 100 {
		if mid := (low + high) / 2; reached(mid) < p {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}
