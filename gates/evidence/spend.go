package evidence

import "math"

// RolloutError is the share of healthy rollouts that may be stopped by a false
// alarm, unless a plan says otherwise.
const RolloutError = 0.01

// Spend gives the error rate of the next wave, and what is left after it. rate
// is that of the whole rollout, spent what each wave that was watched up to now
// has been given, and ahead how many waves are still to come, the next one with
// them.
//
// The rest is split evenly over the waves ahead and one more, which is kept
// back. So five waves of a rollout at 1 % have 0.17 % each. A wave that is
// skipped was not watched and spent nothing: with fewer waves ahead, the others
// get more. A wave that is repeated is watched once more and counts as ahead
// again: it gets its part of what is left. Repeat as often as you like: all of
// it together is never more than rate, because each wave errs with at most what
// it was given (Bonferroni's inequality).
func Spend(rate float64, spent []float64, ahead int) (wave, left float64) {
	left = share(rate)
	for _, s := range spent {
		if math.IsNaN(s) {
			return 0, 0 // nobody knows what is left
		}
		left = max(0, left-share(s))
	}
	if ahead < 1 {
		return 0, left
	}
	wave = left / float64(ahead+1)
	return wave, left - wave
}

// share makes a share of what may not be one.
func share(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return min(max(x, 0), 1)
}
