package evidence

import "math"

// dependence estimates how much more the sums of scores vary than they would
// if all requests were independent: once as much if they are, 19 times for an
// AR(1) of correlation 0.9. The number of requests divided by it is their
// effective number. Scores are collected in batches that grow with the run, so
// that what is correlated ends up within a batch or in the next one (batch
// means: Law and Kelton, Simulation Modeling and Analysis, section 9.5.3; with
// the covariance of neighbours: Newey and West, Econometrica 55, 1987).
type dependence struct {
	batches []scored // the last one may still grow
	length  int      // episodes in a batch
	filled  int      // episodes in the last batch
}

// scored is a sum of scores, and the variance that it has where all requests
// are independent.
type scored struct{ score, variance float64 }

// maxBatches bounds the memory: when there are as many, they merge in pairs.
const maxBatches = 64

// What is assumed before the data can tell: that any two failures of an
// episode have the correlation priorCorrelation, which makes 1 + (m-1) times it
// of m failures (Kish, Survey Sampling, 1965, section 5.4), but at most
// priorMost; with the weight of priorFreedom batches.
const (
	priorCorrelation = 0.2
	priorMost        = 4
	priorFreedom     = 4
)

// add adds the score of an episode.
func (d *dependence) add(s scored) {
	d.length = max(1, d.length)
	if len(d.batches) == 0 || d.filled == d.length {
		if len(d.batches) == maxBatches {
			d.merge()
		}
		d.batches, d.filled = append(d.batches, scored{}), 0
	}
	last := &d.batches[len(d.batches)-1]
	last.score, last.variance = last.score+s.score, last.variance+s.variance
	d.filled++
}

func (d *dependence) merge() {
	for i := range maxBatches / 2 {
		a, b := d.batches[2*i], d.batches[2*i+1]
		d.batches[i] = scored{a.score + b.score, a.variance + b.variance}
	}
	d.batches = d.batches[:maxBatches/2]
	d.length *= 2
}

// spread is how the batches lie around their trend.
type spread struct {
	ratio   float64 // of their variance to the one if all requests are independent
	freedom float64 // its degrees of freedom: batches that hold something, less one
	size    float64 // the variance in a typical episode, if all are independent
}

// spread compares with the variances as they were added, times unit.
func (d *dependence) spread(unit float64) spread {
	var score, variance, squares float64
	for _, b := range d.batches {
		score += b.score
		variance += b.variance
		squares += b.variance * b.variance
	}
	if !(variance > 0) {
		return spread{ratio: 1}
	}
	s := spread{ratio: 1, freedom: variance*variance/squares - 1, size: unit * squares / variance / float64(d.length)}
	if s.freedom < 1 {
		s.freedom = 0
		return s
	}
	trend, around, beside, before := score/variance, 0.0, 0.0, 0.0
	for _, b := range d.batches {
		rest := b.score - trend*b.variance
		around += rest * rest
		beside += rest * before
		before = rest
	}
	if s.ratio = (around + 2*max(0, beside)) / (variance * unit) * (s.freedom + 1) / s.freedom; math.IsNaN(s.ratio) {
		s.ratio = 1
	}
	return s
}

// unitOf gives how much more k of m failures vary than the expected number does,
// if k is what is to be expected. It matters where few of the requests are the
// candidate's: one in four failures varies twice as much as one in ten, and that
// is no sign of dependence. Less variance is not made use of.
func unitOf(k, m uint64, expected float64) float64 {
	if m == 0 || !(expected > 0) || !(expected < float64(m)) {
		return 1
	}
	p := expected / float64(m)
	q := (float64(k) + priorFreedom*p) / (float64(m) + priorFreedom)
	return max(1, q*(1-q)/(p*(1-p)))
}

// seen gives the factor by which variances are inflated as far as the data
// show it, at least 1; for little data it is near 1.
func (s spread) seen() float64 {
	return max(1, (priorFreedom+s.ratio*s.freedom)/(priorFreedom+s.freedom))
}

// feared gives the factor by which evidence must be deflated, at least 1: for
// little data it is the one that was assumed beforehand. An estimate of few
// degrees of freedom is more often too small than it is too great, which
// Student's t mends by the factor 1 + 2/freedom or so.
func (s spread) feared() float64 {
	events := 4 * s.size // a failure that is as likely either arm's has the variance 1/4
	prior := min(priorMost, 1+priorCorrelation*max(0, events-1))
	if s.freedom == 0 {
		return prior
	}
	return max(1, (priorFreedom*prior+s.ratio*(s.freedom+2))/(priorFreedom+s.freedom))
}
