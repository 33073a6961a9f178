package evidence

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Spent gives the part of alpha that may be spent when the fraction of the
// planned information is in, by the spending function of Lan and DeMets
// (Biometrika 70, 1983) that is like O'Brien and Fleming's boundary (Biometrics
// 35, 1979): next to nothing early, nearly all at the end.
func Spent(alpha, fraction float64) float64 {
	switch {
	case !(alpha > 0 && fraction > 0):
		return 0
	case fraction >= 1:
		return alpha
	}
	z := distuv.UnitNormal.Quantile(alpha / 2)
	return 2 * distuv.UnitNormal.CDF(z/math.Sqrt(fraction))
}

// Boundary gives, for each look at a growing amount of data, the value that a
// standard normal statistic must reach to be significant, so that the chance to
// reach any of them by chance is the part of alpha that is spent by then, see
// [Spent]. The test is one-sided. fractions are those of the planned
// information at each look; they must grow, and be over 0 and at most 1.
func Boundary(alpha float64, fractions []float64) ([]float64, error) {
	if !(alpha > 0 && alpha < 1) {
		return nil, fmt.Errorf("boundary of looks: alpha %v is not between 0 and 1", alpha)
	}
	for i, f := range fractions {
		if !(f > 0 && f <= 1) || i > 0 && !(f > fractions[i-1]) {
			return nil, fmt.Errorf("boundary of looks: the fractions %v do not grow from over 0 to at most 1", fractions)
		}
	}
	w := walk{}
	bounds, spent := make([]float64, len(fractions)), 0.0
	for i, f := range fractions {
		now := Spent(alpha, f)
		bounds[i] = w.boundFor(f, now-spent)
		w.step(f, bounds[i])
		spent = now
	}
	return bounds, nil
}

// walk is the distribution of a standard normal statistic at the last look,
// where it was significant at none: weights at points, by the recursive
// integration of Armitage, McPherson and Rowe (JRSS A 132, 1969) on the grid
// of Jennison and Turnbull, Group Sequential Methods, 2000, section 19.2.
type walk struct {
	fraction        float64
	points, weights []float64
}

// exceeds gives the chance that the statistic is first over the bound at the
// given fraction.
func (w *walk) exceeds(fraction, bound float64) float64 {
	if w.points == nil {
		return distuv.UnitNormal.Survival(bound)
	}
	step := math.Sqrt(fraction - w.fraction)
	sum := 0.0
	for i, z := range w.points {
		sum += w.weights[i] * distuv.UnitNormal.Survival((bound*math.Sqrt(fraction)-z*math.Sqrt(w.fraction))/step)
	}
	return sum
}

// lowest and highest enclose the statistic but for a chance of 1e-23 or so.
const lowest, highest = -10, 10

// boundFor finds the bound that is exceeded first at the fraction with the
// chance p.
func (w *walk) boundFor(fraction, p float64) float64 {
	low, high := float64(lowest), float64(highest)
	for range 60 {
		mid := (low + high) / 2
		if w.exceeds(fraction, mid) > p {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// step goes on to the next look.
func (w *walk) step(fraction, bound float64) {
	points := grid(bound)
	weights := simpson(points)
	for i, z := range points {
		weights[i] *= w.density(fraction, z)
	}
	*w = walk{fraction: fraction, points: points, weights: weights}
}

func (w *walk) density(fraction, z float64) float64 {
	if w.points == nil {
		return distuv.UnitNormal.Prob(z)
	}
	step := math.Sqrt(fraction - w.fraction)
	sum := 0.0
	for i, before := range w.points {
		sum += w.weights[i] * distuv.UnitNormal.Prob((z*math.Sqrt(fraction)-before*math.Sqrt(w.fraction))/step)
	}
	return sum * math.Sqrt(fraction) / step
}

// grid gives the points below the bound: dense in the middle, sparse far out,
// and one halfway between any two of those.
func grid(bound float64) []float64 {
	const r = 16
	var ends []float64
	for i := 1; i < 6*r; i++ {
		x := -3 + 3*float64(i-r)/(2*r)
		if i < r {
			x = -3 - 4*math.Log(r/float64(i))
		} else if i > 5*r {
			x = 3 + 4*math.Log(r/float64(6*r-i))
		}
		if x >= bound {
			break
		}
		ends = append(ends, x)
	}
	ends = append(ends, bound)
	points := ends[:1:1]
	for i := 1; i < len(ends); i++ {
		points = append(points, (ends[i-1]+ends[i])/2, ends[i])
	}
	return points
}

// simpson gives the weights of Simpson's rule over pairs of intervals.
func simpson(points []float64) []float64 {
	weights := make([]float64, len(points))
	for i := 2; i < len(points); i += 2 {
		width := points[i] - points[i-2]
		weights[i-2] += width / 6
		weights[i-1] += width * 4 / 6
		weights[i] += width / 6
	}
	return weights
}
