package evidence

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Outcome is what a bake ends with.
type Outcome int

// Outcomes. Not to have found a difference is none of them.
const (
	// Undecided: the data allow both, or there are too few.
	Undecided Outcome = iota
	// NonInferior: the candidate is not worse than allowed; that is shown.
	NonInferior
	// Inferior: the candidate is worse than the baseline, and it is not shown
	// that it is by no more than allowed.
	Inferior
)

// String gives the outcome in a word.
func (o Outcome) String() string {
	switch o {
	case NonInferior:
		return "non-inferior"
	case Inferior:
		return "inferior"
	}
	return "undecided"
}

// Decision is the decision at one look at a bake, and what it rests on.
type Decision struct {
	Outcome Outcome
	// Worse tells that the candidate is worse than the baseline at all, which
	// may be allowed.
	Worse bool
	// Beyond tells that the candidate is worse than allowed, certainly enough to
	// fail it: what happened within one ten seconds only never is.
	Beyond bool
	// Ratio estimates how many times as much the candidate has as the baseline:
	// of failures, or of the latency. NaN while nothing is known.
	Ratio float64
	// Difference and Margin are standard normal if the candidate is just as
	// good as the baseline, and if it is just as bad as allowed.
	Difference, Margin float64
	// Needed is what Difference must reach to be worse, and -Margin to be
	// non-inferior; infinite when there is too little to tell.
	Needed float64
	// Inflation is by how much the variance is over that of independent requests.
	Inflation float64
}

// String tells the decision in numbers.
func (d Decision) String() string {
	return fmt.Sprintf("%v: %.3g times the baseline; %.2f standard errors from it and %.2f from what is allowed, %.2f needed",
		d.Outcome, d.Ratio, d.Difference, d.Margin, d.Needed)
}

// statistic is a sum of scores, in standard errors.
type statistic struct{ z, inflation, freedom float64 }

func (d *dependence) statistic(unit float64) statistic {
	var sum scored
	for _, b := range d.batches {
		sum.score, sum.variance = sum.score+b.score, sum.variance+b.variance
	}
	s := d.spread(unit)
	if !(sum.variance > 0) || s.freedom == 0 {
		return statistic{inflation: 1}
	}
	inflation := max(1, s.ratio*(1+2/s.freedom)) // see [spread.feared]
	return statistic{z: sum.score / math.Sqrt(sum.variance*inflation), inflation: inflation, freedom: s.freedom}
}

// cautious is the statistic with what is feared beforehand, too, where that is
// more than what is seen: to fail somebody takes more than to let him wait.
func (d *dependence) cautious(unit float64) statistic {
	s := d.statistic(unit)
	if s.freedom > 0 {
		feared := max(s.inflation, d.spread(unit).feared())
		s.z, s.inflation = s.z*math.Sqrt(s.inflation/feared), feared
	}
	return s
}

// decide compares the statistics with the bound of a look.
func decide(difference, margin, beyond statistic, ratio, bound float64) Decision {
	d := Decision{
		Ratio: ratio, Difference: difference.z, Margin: margin.z,
		Needed: student(bound, difference.freedom), Inflation: difference.inflation,
	}
	d.Worse = difference.z >= d.Needed
	d.Beyond = beyond.z >= student(bound, beyond.freedom)
	switch {
	case margin.z <= -student(bound, margin.freedom):
		d.Outcome = NonInferior
	case d.Worse:
		d.Outcome = Inferior
	}
	return d
}

// student gives the value that Student's t exceeds as rarely as a standard
// normal exceeds the bound: the variance is estimated too.
func student(bound, freedom float64) float64 {
	if !(freedom >= 1) || math.IsNaN(bound) {
		return math.Inf(1)
	}
	tail := distuv.UnitNormal.Survival(bound)
	return -distuv.StudentsT{Mu: 0, Sigma: 1, Nu: freedom}.Quantile(tail)
}
