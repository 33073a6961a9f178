package evidence

import (
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a range that holds the true value with some confidence.
type Interval struct{ Low, High float64 }

// Split gives the confidence that each of k judgements needs so that all of
// them together err with at most 1-confidence: 1-(1-confidence)/k.
func Split(confidence float64, k int) float64 {
	if k < 1 {
		k = 1
	}
	return 1 - (1-confidence)/float64(k)
}

// Share gives the two-sided interval of a share of which k in n were seen.
// Without samples it is 0 to 1. More hits than samples count as all.
func Share(k, n uint64, confidence float64) Interval {
	half := (1 + confidence) / 2
	return Interval{Low: shareLow(k, n, half), High: ShareHigh(k, n, half)}
}

// shareLow gives the one-sided lower bound of a share.
func shareLow(k, n uint64, confidence float64) float64 {
	if k == 0 || n == 0 {
		return 0
	}
	return 1 - ShareHigh(n-min(k, n), n, confidence)
}

// ShareHigh gives the one-sided upper bound of a share: the greatest one under
// which k or fewer hits in n still have the probability 1-confidence.
func ShareHigh(k, n uint64, confidence float64) float64 {
	if n == 0 || k >= n {
		return 1
	}
	if k == 0 {
		return -math.Expm1(math.Log1p(-confidence) / float64(n))
	}
	low, high := 0.0, 1.0
	for range 200 {
		mid := (low + high) / 2
		if mid == low || mid == high {
			break
		}
		if atMost(k, n, mid) > 1-confidence {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// atMost gives the probability of k or fewer hits in n when each has the
// probability p.
func atMost(k, n uint64, p float64) float64 {
	switch {
	case k >= n || p <= 0:
		return 1
	case p >= 1:
		return 0
	}
	return mathext.RegIncBeta(float64(n-k), float64(k)+1, 1-p)
}

// atLeast gives the probability of k or more hits in n when each has the
// probability p.
func atLeast(k, n uint64, p float64) float64 {
	switch {
	case k == 0:
		return 1
	case k > n || p <= 0:
		return 0
	case p >= 1:
		return 1
	}
	return mathext.RegIncBeta(float64(k), float64(n-k)+1, p)
}

// Excludes reports whether k hits in n are too many for a probability of at
// most p: whether the one-sided lower bound of the share is over p.
func Excludes(k, n uint64, p, confidence float64) bool {
	// A probability that is the allowed error but for rounding excludes nothing.
	return n > 0 && atLeast(k, n, p) < (1-confidence)*(1-1e-9)
}

// FailsAt gives the least number of hits in n that [Excludes] a probability of
// at most p; ok is false when even n are not enough.
func FailsAt(n uint64, p, confidence float64) (k uint64, ok bool) {
	if !Excludes(n, n, p, confidence) {
		return 0, false
	}
	low, high := uint64(0), n // low does not exclude, high does
	for high-low > 1 {
		mid := low + (high-low)/2
		if Excludes(mid, n, p, confidence) {
			high = mid
		} else {
			low = mid
		}
	}
	return high, true
}

// SamplesFor gives the samples that, with no failure among them, show a share
// of at least p: ceil(ln(1-confidence)/ln(p)), so 299 for 99 %, 598 for 99.5 %
// and 2,995 for 99.9 % at 95 %. The same number makes the greatest sample an
// upper bound of the quantile p: 59 for p95 and 299 for p99. No number shows
// 100 %: ok is false then.
func SamplesFor(p, confidence float64) (n uint64, ok bool) {
	if !(p < 1) || !(confidence < 1) {
		return 0, false
	}
	if p <= 0 || confidence <= 0 {
		return 1, true
	}
	exact := math.Log1p(-confidence) / math.Log(p)
	if exact > 1e15 {
		return 0, false
	}
	return max(1, uint64(math.Ceil(exact-1e-9))), true
}

// QuantileRanks gives the ranks, from 1 to n, of the order statistics that
// enclose the quantile q with the confidence. A rank of 0 or n+1 means that
// this side is open: there are too few samples to bound it.
func QuantileRanks(n uint64, q, confidence float64) (low, high uint64) {
	tail := (1 - confidence) / 2
	// low: the greatest l with P(fewer than l samples are below) <= tail.
	low = search(n, func(l uint64) bool { return l > 0 && atMost(l-1, n, q) > tail })
	if low > 0 {
		low--
	}
	// high: the least h with P(h or more samples are below) <= tail.
	high = search(n, func(h uint64) bool { return atLeast(h, n, q) <= tail })
	return low, high
}

// search gives the least i from 0 to n for which the monotone f is true, n+1
// when there is none.
func search(n uint64, f func(uint64) bool) uint64 {
	low, high := uint64(0), n+1
	for low < high {
		mid := low + (high-low)/2
		if f(mid) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// Batches sums up batch means, which are added in order of time, without keeping
// them.
type Batches struct {
	n          float64
	mean, sumS float64
	first      float64 // what follows is over it: the sums stay small
	last       float64
	pairs      float64 // of neighbours
	product    float64 // sum over pairs
	ends       float64 // sum of both of all pairs
}

// Add adds the mean of one batch. NaN and infinities are ignored.
func (b *Batches) Add(mean float64) {
	if math.IsNaN(mean) || math.IsInf(mean, 0) {
		return
	}
	b.neighbour(mean)
	b.n++
	delta := mean - b.mean
	b.mean += delta / b.n
	b.sumS += delta * (mean - b.mean)
}

// neighbour takes note of a batch mean beside the one before.
func (b *Batches) neighbour(mean float64) {
	if b.n == 0 {
		b.first = mean
	} else {
		x, y := b.last-b.first, mean-b.first
		b.pairs, b.product, b.ends = b.pairs+1, b.product+x*y, b.ends+x+y
	}
	b.last = mean
}

// inflation is how many times as great the variance of the mean is as that of
// independent batches, as far as neighbours show it: they share what lies across
// their border (Newey and West, Econometrica 55, 1987). It is at least 1.
func (b *Batches) inflation() float64 {
	over := b.mean - b.first
	covariance := b.product - over*b.ends + b.pairs*over*over
	if !(b.sumS > 0 && covariance > 0) {
		return 1
	}
	return 1 + 2*min(1, covariance/b.sumS)
}

// Count tells how many batches there are.
func (b *Batches) Count() uint64 { return uint64(b.n) }

// AddZeros adds k batches of mean zero, one after the other, however large k is.
func (b *Batches) AddZeros(k uint64) {
	if k == 0 {
		return
	}
	b.neighbour(0)
	more, zero := float64(k-1), -b.first
	b.pairs, b.product, b.ends = b.pairs+more, b.product+more*zero*zero, b.ends+2*more*zero
	n := b.n + float64(k)
	b.sumS += b.mean * b.mean * b.n * float64(k) / n
	b.mean *= b.n / n
	b.n = n
}

// Interval gives the one-sided bounds of the mean around the given estimate,
// each with the confidence: together they are a two-sided interval of
// 2*confidence-1. With fewer than two batches nothing is bounded.
func (b *Batches) Interval(estimate, confidence float64) Interval {
	if b.n < 2 {
		return Interval{Low: math.Inf(-1), High: math.Inf(1)}
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: b.n - 1}.Quantile(confidence)
	half := t * math.Sqrt(b.inflation()*b.sumS/(b.n-1)/b.n)
	return Interval{Low: estimate - half, High: estimate + half}
}

// Ratio gives the two-sided interval of a/b for two counts: given their sum,
// the first is binomial (Przyborowski and Wilenski, Biometrika 31, 1940). It
// is too long, never too short, for counts that vary less than Poisson's.
func Ratio(a, b uint64, confidence float64) Interval {
	share := Share(a, a+b, confidence)
	return Interval{Low: odds(share.Low), High: odds(share.High)}
}

func odds(p float64) float64 {
	if p >= 1 {
		return math.Inf(1)
	}
	return p / (1 - p)
}
