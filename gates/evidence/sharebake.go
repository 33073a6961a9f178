package evidence

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Margin is by how much the candidate may be worse than the baseline.
type Margin struct {
	// Ratio is how many times the baseline's odds of failing, or latency, the
	// candidate's may be; over 1, or nothing can be shown to be within it.
	Ratio float64
	// Difference, if it is not 0, counts in place of Ratio: by how much the
	// candidate's share of failures may be greater, 0.001 for 0.1 points. Not
	// for latencies. It can be met where nothing failed at all.
	Difference float64
}

// ShareBake collects a bake, for the decision whether the candidate's share of
// failures is worse than the baseline's, or not worse than allowed.
type ShareBake struct {
	margin             Margin
	current            episode
	total              Block
	expect             expectation
	difference, beside dependence // of the scores at no difference, and at the margin
	even, allowed      float64    // the candidate's failures to be expected at either
}

// NewShareBake begins a bake. A margin that is no number allows nothing.
func NewShareBake(margin Margin) *ShareBake {
	margin.Ratio = atLeastOne(margin.Ratio)
	if !(margin.Difference > 0 && margin.Difference < 1) {
		margin.Difference = 0
	}
	return &ShareBake{margin: margin}
}

// Add adds what was counted in the next second.
func (b *ShareBake) Add(block Block) {
	if sum, done := b.current.add(block); done {
		b.AddEpisode(sum)
	}
}

// AddEpisode adds what was counted in the next ten seconds, or in as much of
// them as counts. It is for those who have the seconds added up already.
func (b *ShareBake) AddEpisode(block Block) {
	sum := block.sane()
	b.total = b.total.plus(sum)
	b.expect.add(sum)
	even, allowed := sum.score(1), sum.score(b.margin.Ratio)
	b.even += float64(sum.Candidate.Failed) - even.score
	b.allowed += float64(sum.Candidate.Failed) - allowed.score
	b.difference.add(even)
	b.beside.add(allowed)
}

// Decide decides at a look, whose bound is the one that [Boundary] gives it.
// Each error, to call worse what is not, to call beyond the margin what is within
// it, and to call non-inferior what is beyond it, then has at most the chance
// alpha of that boundary in all looks together.
func (b *ShareBake) Decide(bound float64) Decision {
	k, m := b.total.Candidate.Failed, b.total.failed()
	difference := b.difference.statistic(unitOf(k, m, b.even))
	margin, beyond := b.beside.statistic(unitOf(k, m, b.allowed)), b.beside.cautious(unitOf(k, m, b.allowed))
	if b.rare() {
		difference.z = b.tail(b.even) / math.Sqrt(difference.inflation)
		margin.z = b.tail(b.allowed) / math.Sqrt(margin.inflation)
		beyond.z = b.tail(b.allowed) / math.Sqrt(beyond.inflation)
	}
	if b.margin.Difference > 0 {
		margin = b.apart()
		beyond = b.difference.cautious(1)
		beyond.z = margin.z * math.Sqrt(margin.inflation/beyond.inflation)
	}
	return decide(difference, margin, beyond, b.expect.ratio(), bound)
}

// rare tells whether failures are so few, or so few of all, that the sum of
// scores is not normal; the binomial distribution is the better one then.
func (b *ShareBake) rare() bool {
	m := b.total.failed()
	return m < 30 || m < (b.total.Candidate.N+b.total.Baseline.N)/10
}

// tail gives, as a value of the standard normal, how unlikely so many of the
// failures are the candidate's where so many were to be expected: positive for
// too many, negative for too few.
func (b *ShareBake) tail(expected float64) float64 {
	k := b.total.Candidate.Failed
	m := b.total.failed()
	if m == 0 {
		return 0
	}
	p := min(1, expected/float64(m))
	if float64(k) > expected {
		return max(0, -quantile(atLeast(k, m, p)))
	}
	return min(0, quantile(atMost(k, m, p)))
}

// quantile gives a value of the standard normal that is finite.
func quantile(p float64) float64 {
	return distuv.UnitNormal.Quantile(min(max(p, 1e-300), 1-1e-16))
}

// apart gives the statistic of the shares' difference at the allowed one: the
// variance is that of the likeliest shares that are as far apart (Farrington and
// Manning, Statistics in Medicine 9, 1990).
func (b *ShareBake) apart() statistic {
	c, o := b.total.Candidate, b.total.Baseline
	if c.N == 0 || o.N == 0 {
		return statistic{inflation: 1}
	}
	pc, pb := b.likeliest()
	variance := pc*(1-pc)/float64(c.N) + pb*(1-pb)/float64(o.N)
	if !(variance > 0) {
		return statistic{inflation: 1}
	}
	spread := b.difference.spread(1) // there may be no failure to learn it from
	s := statistic{inflation: spread.feared(), freedom: spread.freedom + priorFreedom}
	s.z = (c.Share() - o.Share() - b.margin.Difference) / math.Sqrt(variance*s.inflation)
	return s
}

// likeliest gives the shares, apart by the margin, that make the counts as
// likely as can be: their likelihood is concave.
func (b *ShareBake) likeliest() (candidate, baseline float64) {
	c, o := b.total.Candidate, b.total.Baseline
	low, high := 0.0, 1-b.margin.Difference
	slope := func(c Counts, p float64) float64 {
		return float64(c.Failed)/p - float64(c.N-c.Failed)/(1-p)
	}
	for range 100 {
		p := (low + high) / 2
		if slope(c, p+b.margin.Difference)+slope(o, p) > 0 {
			low = p
		} else {
			high = p
		}
	}
	return (low+high)/2 + b.margin.Difference, (low + high) / 2
}
