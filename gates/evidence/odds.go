package evidence

import "math"

// Of all failures of a block, how many are the candidate's? Given the number of
// attempts of either arm and the sum of failures, that number follows Fisher's
// noncentral hypergeometric distribution: it depends on the odds ratio alone
// (candidate's odds of failing over the baseline's), not on the share of
// failures, which is the same nuisance to both (Fisher 1935; McCullagh and
// Nelder, Generalized Linear Models, 2nd ed. 1989, section 7.3.2).

// exactSupport is the greatest number of possible outcomes that are summed up
// one by one.
const exactSupport = 4096

// support gives the least and the greatest number of the candidate's failures
// that is possible when there are m failures in all.
func (b Block) support() (least, greatest uint64) {
	m := b.failed()
	if m > b.Baseline.N {
		least = m - b.Baseline.N
	}
	return least, min(m, b.Candidate.N)
}

// ratios gives the logarithm of how much likelier the block is when the odds
// ratio is a multiple of allowed than when it is allowed, for each alternative.
//
// Where there are too many possible outcomes to sum up, the binomial
// distribution stands in. It is on the safe side: the hypergeometric is one of
// a sum of independent, unequal yes-or-noes (Vatutin and Mikhailov, Theory of
// Probability and its Applications 27, 1982), tilting it keeps it one, and of
// these the binomial spreads most (Hoeffding, Annals of Mathematical
// Statistics 27, 1956; see also Hoeffding, JASA 58, 1963, section 6).
func (b Block) ratios(allowed float64) (out ratios) {
	least, greatest := b.support()
	if least == greatest { // nothing was left to chance
		return out
	}
	k := float64(b.Candidate.Failed)
	if greatest-least > exactSupport {
		nc, nb := float64(b.Candidate.N), float64(b.Baseline.N)
		m := float64(b.failed())
		for i, r := range alternatives {
			out[i] = k*math.Log(r) - m*math.Log((r*allowed*nc+nb)/(allowed*nc+nb))
		}
		return out
	}
	null, sums := b.logSums(allowed)
	for i, r := range alternatives {
		out[i] = (k-float64(least))*math.Log(r) - sums[i] + null
	}
	return out
}

// logSums gives the logarithm of the sum of all outcomes' weights, where the
// least outcome has the weight 1, under an odds ratio and under its multiples.
func (b Block) logSums(ratio float64) (one float64, multiples ratios) {
	var terms, sums, scales, multiple [len(alternatives) + 1]float64
	for i := range multiple {
		terms[i], sums[i], multiple[i] = 1, 1, ratio
		if i > 0 {
			multiple[i] *= alternatives[i-1]
		}
	}
	b.weights(func(step float64) {
		for i := range terms {
			terms[i] *= step * multiple[i]
			sums[i] += terms[i]
			if sums[i] > 1e200 {
				scales[i] += math.Log(sums[i])
				terms[i] /= sums[i]
				sums[i] = 1
			}
		}
	})
	for i := range multiples {
		multiples[i] = math.Log(sums[i+1]) + scales[i+1]
	}
	return math.Log(sums[0]) + scales[0], multiples
}

// weights calls f with the weight of each outcome but the least, as a multiple
// of that of the outcome before.
func (b Block) weights(f func(step float64)) {
	least, greatest := b.support()
	nc, nb := float64(b.Candidate.N), float64(b.Baseline.N)
	m := float64(b.failed())
	for j := least; j < greatest; j++ {
		x := float64(j)
		f((nc - x) * (m - x) / ((x + 1) * (nb - m + x + 1)))
	}
}

// score gives by how much the candidate's failures are more than expected under
// an odds ratio, and the variance of that.
func (b Block) score(ratio float64) scored {
	mean, variance := b.moments(ratio)
	return scored{float64(b.Candidate.Failed) - mean, variance}
}

// moments gives the mean and the variance of the candidate's failures under an
// odds ratio; exactly, or, for many outcomes, by Cornfield's approximation
// (Cornfield, Proceedings of the Third Berkeley Symposium 4, 1956).
func (b Block) moments(ratio float64) (mean, variance float64) {
	least, greatest := b.support()
	if least == greatest {
		return float64(least), 0
	}
	if greatest-least > exactSupport {
		return b.cornfield(ratio)
	}
	term, x := 1.0, 0.0
	sum, first, second := 1.0, 0.0, 0.0
	b.weights(func(step float64) {
		x++
		term *= step * ratio
		sum, first, second = sum+term, first+term*x, second+term*x*x
		if sum > 1e200 {
			term, first, second, sum = term/sum, first/sum, second/sum, 1
		}
	})
	mean = first / sum
	return float64(least) + mean, max(0, second/sum-mean*mean)
}

func (b Block) cornfield(ratio float64) (mean, variance float64) {
	least, greatest := b.support()
	nc, nb := float64(b.Candidate.N), float64(b.Baseline.N)
	m := float64(b.failed())
	low, high := float64(least), float64(greatest)
	for range 100 {
		x := (low + high) / 2
		if x*(nb-m+x) < ratio*(nc-x)*(m-x) {
			low = x
		} else {
			high = x
		}
	}
	mean = (low + high) / 2
	variance = 1 / (1/mean + 1/(nc-mean) + 1/(m-mean) + 1/(nb-m+mean))
	return mean, variance
}
