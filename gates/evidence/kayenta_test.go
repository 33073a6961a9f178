package evidence

import (
	"math"
	"slices"
	"sort"

	"resilience/internal/measure"
)

// kayenta judges one metric as Kayenta's NetflixACAJudge is published to
// (spinnaker/kayenta: MannWhitneyClassifier, MannWhitney, EffectSizes): points
// of one minute; high when the lower end of Mann and Whitney's 98 % interval of
// the shift is over a quarter of the estimated shift and the ratio of the means
// reaches the allowed increase. The ratio is taken to be 1 when the mean of the
// baseline is 0, so that any allowed increase over 1 passes all errors there.
type kayenta struct{ allowedIncrease float64 }

// Classifications.
const (
	kayentaPass   = "Pass"
	kayentaHigh   = "High"
	kayentaNodata = "Nodata"
)

func (k kayenta) classify(experiment, control []float64) string {
	if len(experiment) == 0 || len(control) == 0 {
		return kayentaNodata
	}
	x, y := slices.Sorted(slices.Values(experiment)), slices.Sorted(slices.Values(control))
	if slices.Equal(x, y) || x[0] == x[len(x)-1] && y[0] == y[len(y)-1] && x[0] == y[0] {
		return kayentaPass
	}
	lower, estimate := shift(x, y, 0.98)
	ratio := 1.0
	if mean(y) != 0 {
		ratio = mean(x) / mean(y)
	}
	if lower > 0.25*math.Abs(estimate) && ratio >= k.allowedIncrease {
		return kayentaHigh
	}
	return kayentaPass
}

// score is the judge's: the share of metrics that pass, from 0 to 100, where
// those without data are left out, and nothing left is 100.
func (k kayenta) score(classified []string) float64 {
	pass, all := 0.0, 0.0
	for _, c := range classified {
		if c != kayentaNodata {
			all++
		}
		if c == kayentaPass {
			pass++
		}
	}
	if all == 0 {
		return 100
	}
	return 100 * pass / all
}

func mean(values []float64) (sum float64) {
	for _, v := range values {
		sum += v / float64(len(values))
	}
	return sum
}

// shift gives the lower end of the interval of the shift from y to x, and its
// estimate, by the asymptotic rule of R's wilcox.test, which Kayenta follows: a
// root in the shift of the standardized statistic with its correction for
// continuity. It changes only at differences of two points. Both are sorted.
func shift(x, y []float64, confidence float64) (lower, estimate float64) {
	differences := make([]float64, 0, len(x)*len(y))
	for _, a := range x {
		for _, b := range y {
			differences = append(differences, a-b)
		}
	}
	sort.Float64s(differences)
	m, n := float64(len(x)), float64(len(y))
	sigma := math.Sqrt(m * n / 12 * (m + n + 1 - (tied(x)+tied(y))/((m+n)*(m+n-1))))
	root := func(z float64) float64 {
		i := sort.Search(len(differences), func(i int) bool { // more than i are not below the shift
			d := float64(len(differences)-i-1) - m*n/2
			return (d-math.Copysign(0.5, d))/sigma <= z
		})
		return differences[min(i, len(differences)-1)]
	}
	return root(-quantile((1 - confidence) / 2)), root(0)
}

// tied gives the sum of t^3 - t over the groups of t equal values.
func tied(sorted []float64) (sum float64) {
	for from := 0; from < len(sorted); {
		to := from
		for to < len(sorted) && sorted[to] == sorted[from] {
			to++
		}
		t := float64(to - from)
		sum += t*t*t - t
		from = to
	}
	return sum
}

// kayentaJudge judges every ten minutes what was seen since the beginning, by
// the share of failures of each minute, or by the median and the p99 of each;
// all are critical.
type kayentaJudge struct {
	minutely
	points [2][2][]float64 // by metric and arm
}

func (j *kayentaJudge) see(t int, s *second, sums [2]*measure.Sketch) (a alarms) {
	if !j.minutely.see(t, s, sums) {
		return a
	}
	for arm, c := range []Counts{j.minute.Candidate, j.minute.Baseline} {
		if s.values[0] == nil {
			j.points[0][arm] = append(j.points[0][arm], c.Share())
			continue
		}
		for metric, q := range []float64{0.5, 0.99} {
			v, _ := j.recent[arm].Quantile(q)
			j.points[metric][arm] = append(j.points[metric][arm], v)
		}
	}
	if t%600 != 0 {
		return a
	}
	for _, p := range j.points {
		if (kayenta{allowedIncrease: 1.1}).classify(p[0], p[1]) == kayentaHigh {
			for i := range a {
				a[i] = true
			}
		}
	}
	return a
}
