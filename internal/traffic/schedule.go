package traffic

import (
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"resilience/internal/plan"
)

// slack is how much of an arrival rounding may cost: a rate of 50/s for 2 s is
// 100 arrivals, also when their integral says 100.00000001.
const slack = 1e-6

// curve is a rate, in arrivals per second, over the seconds since a test
// began: a chain of straight lines.
type curve []line

// line goes from one rate to another.
type line struct {
	seconds  float64
	from, to float64
}

// curveOf reads the line of a profile; see [plan.Profile.Line].
func curveOf(p plan.Profile) (curve, error) {
	var c curve
	points := p.Line()
	for i, to := range points[1:] {
		from := points[i]
		c = append(c, line{(to.At - from.At).Seconds(), float64(from.Rate), float64(to.Rate)})
	}
	switch {
	case c.length() <= 0:
		return nil, errors.New("a test without a script needs a duration or stages")
	case c.upTo(c.length()) <= 0:
		return nil, errors.New("a test without a script needs a rate above zero")
	}
	return c, nil
}

// length is how long the curve is, in seconds.
func (c curve) length() float64 {
	var sum float64
	for _, l := range c {
		sum += l.seconds
	}
	return sum
}

// at is the rate after t seconds, zero before and behind the curve.
func (c curve) at(t float64) float64 {
	if t < 0 {
		return 0
	}
	for _, l := range c {
		if t < l.seconds {
			return l.from + (l.to-l.from)*t/l.seconds
		}
		t -= l.seconds
	}
	return 0
}

// area is the integral of a line over its first t seconds.
func (l line) area(t float64) float64 {
	if l.seconds <= 0 {
		return 0
	}
	return l.from*t + (l.to-l.from)*t*t/(2*l.seconds)
}

// upTo is the integral over the first t seconds: how many arrivals there are.
func (c curve) upTo(t float64) float64 {
	var sum float64
	for _, l := range c {
		if t <= l.seconds {
			return sum + l.area(max(t, 0))
		}
		sum += l.area(l.seconds)
		t -= l.seconds
	}
	return sum
}

// when is the inverse of upTo: the moment behind which there are more than n
// arrivals. It is not ok when there never are.
func (c curve) when(n float64) (t float64, ok bool) {
	if n < 0 || n >= c.upTo(c.length())-slack {
		return 0, false
	}
	for _, l := range c {
		area := l.area(l.seconds)
		if n < area {
			return t + l.when(n), true
		}
		n -= area
		t += l.seconds
	}
	return c.length(), true // only by rounding
}

// when solves area(t) = n for a line, by the form of the quadratic formula
// that does not divide by the slope.
func (l line) when(n float64) float64 {
	if n <= 0 {
		return 0
	}
	slope := (l.to - l.from) / l.seconds
	return 2 * n / (l.from + math.Sqrt(max(l.from*l.from+2*slope*n, 0)))
}

// schedule gives the moments of arrivals, one after the other.
type schedule struct {
	curve  curve
	random *rand.Rand // nil: evenly
	next   float64    // the integral at the next arrival
}

// newSchedule spreads the arrivals of a curve evenly (constant) or at random
// (poisson): then the integral between two arrivals is exponentially
// distributed with mean 1, which is a Poisson process with the curve as its
// rate (time rescaling; Lewis and Shedler 1979 compare the ways to it).
func newSchedule(c curve, arrival string, seed int64) (*schedule, error) {
	switch arrival {
	case "", "constant":
		return &schedule{curve: c}, nil
	case "poisson":
		random := rand.New(rand.NewPCG(uint64(seed), 0x9e3779b97f4a7c15))
		return &schedule{curve: c, random: random, next: random.ExpFloat64()}, nil
	}
	return nil, errors.New("arrival is constant or poisson")
}

// take gives the moment of the next arrival after the test began; it is not ok
// when there is none left.
func (s *schedule) take() (at time.Duration, ok bool) {
	t, ok := s.curve.when(s.next)
	if !ok {
		return 0, false
	}
	if s.random == nil {
		s.next++
	} else {
		s.next += s.random.ExpFloat64()
	}
	return time.Duration(t * float64(time.Second)), true
}
