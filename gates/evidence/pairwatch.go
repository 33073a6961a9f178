package evidence

import (
	"math"
	"slices"
)

// Pairs is what was counted of pairs that tell two systems apart: of as many in
// which exactly one of the two differed from a third, in how many it was the
// candidate. More of the candidate's than there are count as all.
type Pairs struct{ Discordant, Candidate uint64 }

// PairWatch tests, as time goes by, whether the candidate differs from a reference
// more often than another system does that is known to be no worse: for instance a
// second instance of the baseline. Both are asked the same, so what makes an answer
// hard to repeat is the same for both, and pairs in which both differ, or none,
// say nothing (McNemar, Psychometrika 12, 1947). Of the others, the candidate's
// are at most one half if it differs no more often, which is a fair coin that is
// bet on: the bet is spread over odds from 1.1 to 100, and what it has become
// never reaches 1/alpha but with the probability alpha, however often one looks
// (Ville 1939).
//
// The coins of one block are taken to have been thrown together, by a cache that
// was cold or a machine that was paused, and so multiply the evidence by two at
// most; and it is deflated by how much more the blocks are seen to vary than fair
// coins do (see [ShareWatch]). What lasts for longer than a block and hits one of
// the two by chance is not covered: if all that ever differs comes in bursts of one
// to five blocks, 5 % of errors become 17 %.
type PairWatch struct {
	mixture mixture
	seen    Pairs
}

// Add adds a block. One without discordant pairs says nothing.
func (w *PairWatch) Add(p Pairs) {
	n := min(p.Discordant, maxCount)
	k := min(p.Candidate, n)
	if n == 0 {
		return
	}
	w.seen.Discordant, w.seen.Candidate = w.seen.Discordant+n, w.seen.Candidate+k
	w.mixture.add(coins(n, k), scored{score: float64(k) - float64(n)/2, variance: float64(n) / 4})
}

// With gives what the watch would be with one more block, which may still grow. The watch
// stays as it was.
func (w *PairWatch) With(p Pairs) *PairWatch {
	if p.Discordant == 0 {
		return w
	}
	with := *w
	with.mixture.dependence.batches = slices.Clone(w.mixture.dependence.batches)
	with.Add(p)
	return &with
}

// Seen is what was counted up to now.
func (w *PairWatch) Seen() Pairs { return w.seen }

// Finding gives what was found up to now. Seen has all discordant pairs as the
// attempts of both arms; Ratio is how many times as often the candidate is the one
// that differs, NaN while nothing is known.
func (w *PairWatch) Finding() Finding {
	log, inflation := w.mixture.log()
	n, k := w.seen.Discordant, w.seen.Candidate
	return Finding{
		Log:       log,
		Seen:      Block{Candidate: Counts{N: n, Failed: k}, Baseline: Counts{N: n, Failed: n - k}},
		Ratio:     float64(k) / float64(n-k),
		Inflation: inflation,
	}
}

// coins gives the likelihood ratios of k of n coins, for each alternative beside
// fair ones.
func coins(n, k uint64) (r ratios) {
	for i, odds := range alternatives {
		r[i] = float64(k)*math.Log(2*odds/(1+odds)) + float64(n-k)*math.Log(2/(1+odds))
	}
	return r
}

// FieldShare is the part of an error rate that the nth of many tests gets, from 1
// on: they add up to less than 1, however many there will be. It is Bonferroni's
// rule with weights that need no count beforehand, and that fall as slowly as such
// weights may: the thousandth gets 1 in 100,000 (a sequence such as the one of
// Rissanen's prior for integers, Annals of Statistics 11, 1983).
func FieldShare(n uint64) float64 {
	k := float64(max(1, n)) + 1
	l := math.Log(k)
	return 1 / (fieldShares * k * l * l)
}

// fieldShares is a little more than the sum of 1/(k ln(k)^2) over all k from 2 on,
// 2.1097.
const fieldShares = 2.11
