package evidence

import (
	"math"
	"math/rand/v2"

	"resilience/internal/measure"
)

// second is what a simulated second of both arms holds, the candidate first.
type second struct {
	counts [2]Counts
	values [2][]float64 // logarithms of latencies; nil where shares are simulated
}

func (s *second) block() Block { return Block{Candidate: s.counts[0], Baseline: s.counts[1]} }

func newSketch() *measure.Sketch { return &measure.Sketch{} }

// sketches sums the second up as a traffic engine does.
func (s *second) sketches() [2]*measure.Sketch {
	sums := [2]*measure.Sketch{newSketch(), newSketch()}
	s.addTo(sums)
	return sums
}

func (s *second) addTo(sums [2]*measure.Sketch) {
	for arm, values := range s.values {
		for _, v := range values {
			sums[arm].Add(math.Exp(v))
		}
	}
}

// traffic is a simulated system in two versions: next gives another second.
type traffic interface{ next(*second) }

// failing fails a share of requests, which come at a constant rate.
type failing struct {
	rng  *rand.Rand
	rate [2]int
	p    [2]float64
	// burst is the share of requests that fail in a burst of a few seconds,
	// which each arm has on its own every two minutes or so.
	burst   float64
	left    [2]int // seconds of the burst
	through [2]int // requests until the next failure
}

func newFailing(rng *rand.Rand, rate [2]int, p [2]float64) *failing {
	f := &failing{rng: rng, rate: rate, p: p}
	for arm := range 2 {
		f.through[arm] = gap(rng, p[arm])
	}
	return f
}

// gap draws how many requests there are before the next one that fails.
func gap(rng *rand.Rand, p float64) int {
	if p <= 0 {
		return math.MaxInt32
	}
	if p >= 1 {
		return 0
	}
	return int(min(math.MaxInt32, math.Log(1-rng.Float64())/math.Log1p(-p)))
}

func (f *failing) next(s *second) {
	for arm := range 2 {
		n, k := f.rate[arm], 0
		for f.through[arm] < n {
			k++
			f.through[arm] += 1 + gap(f.rng, f.p[arm])
		}
		f.through[arm] -= n
		if f.burst > 0 {
			k = max(k, f.bursting(arm, n))
		}
		s.counts[arm] = Counts{N: uint64(n), Failed: uint64(k)}
	}
}

func (f *failing) bursting(arm, n int) (k int) {
	if f.left[arm] == 0 {
		if f.rng.Float64() < 1.0/120 {
			f.left[arm] = 2 + f.rng.IntN(7)
		}
		return 0
	}
	f.left[arm]--
	for range n {
		if f.rng.Float64() < f.burst {
			k++
		}
	}
	return k
}

// slowing answers with log-normal latencies, sigma 0.5, or what shape makes of
// a standard normal.
type slowing struct {
	rng    *rand.Rand
	rate   [2]int
	factor float64 // of the candidate
	tail   float64 // share of the candidate's requests that take five times as long
	rho    float64 // correlation of an arm's neighbouring requests
	wave   bool    // both arms are slow together, for half a minute or so
	burst  float64 // an arm on its own is so many times slower for a few seconds
	shape  func(rng *rand.Rand, z float64) float64
	before [2]float64
	left   [2]int
	time   float64
}

func (l *slowing) next(s *second) {
	l.time++
	shared := 0.0
	if l.wave {
		shared = 0.4*math.Sin(l.time/17) + 0.3*math.Sin(l.time/71)
	}
	for arm := range 2 {
		own := shared + l.bursting(arm)
		if arm == 0 {
			own += math.Log(l.factor)
		}
		s.values[arm] = s.values[arm][:0]
		for range l.rate[arm] {
			v := own + l.latency(arm)
			if arm == 0 && l.tail > 0 && l.rng.Float64() < l.tail {
				v += math.Log(5)
			}
			s.values[arm] = append(s.values[arm], v)
		}
		s.counts[arm] = Counts{N: uint64(l.rate[arm])}
	}
}

func (l *slowing) latency(arm int) float64 {
	z := l.rng.NormFloat64()
	if l.rho > 0 {
		if l.time > 1 || l.before[arm] != 0 {
			z = l.rho*l.before[arm] + math.Sqrt(1-l.rho*l.rho)*z
		}
		l.before[arm] = z
	}
	if l.shape != nil {
		return l.shape(l.rng, z)
	}
	return math.Log(100) + 0.5*z
}

func (l *slowing) bursting(arm int) float64 {
	if l.burst == 0 {
		return 0
	}
	if l.left[arm] > 0 {
		l.left[arm]--
		return math.Log(l.burst)
	}
	if l.rng.Float64() < 1.0/120 {
		l.left[arm] = 2 + l.rng.IntN(7)
	}
	return 0
}

// bimodal is a cache: one in five requests misses it.
func bimodal(rng *rand.Rand, z float64) float64 {
	if rng.Float64() < 0.2 {
		return math.Log(400) + 0.2*z
	}
	return math.Log(20) + 0.2*z
}

// heavy is Pareto's tail with the index 1.1: it hardly has a mean.
func heavy(_ *rand.Rand, z float64) float64 {
	return math.Log(50) - math.Log(math.Erfc(z/math.Sqrt2)/2)/1.1
}
