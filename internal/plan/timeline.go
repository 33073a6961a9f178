package plan

import (
	"slices"
	"time"
)

// Point is a corner of the line that a profile follows: a rate or a number of
// VUs at a time after the test's start. Between two points the line is
// straight; where two have the same time, it jumps.
type Point struct {
	At   time.Duration
	Rate Rate // of an open profile
	VUs  int  // of a closed profile
}

// Open reports whether a profile asks for a rate, whatever the answers.
func (p Profile) Open() bool {
	return p.Rate > 0 || len(p.Stages) > 0 && p.Stages[0].VUs == nil
}

// Closed reports whether a profile asks for a number of virtual users, each
// waiting for its answers.
func (p Profile) Closed() bool {
	return p.VUs > 0 || len(p.Stages) > 0 && p.Stages[0].VUs != nil
}

// Shaped reports whether the plan says how much traffic there is; if not, a
// script's own options do, and nothing is known in advance.
func (p Profile) Shaped() bool { return p.Open() || p.Closed() }

// Line gives the corners of a profile, from its start to [Profile.Length].
//
// Without stages it climbs from zero over Ramp and stays: the warm-up and the
// ramp begin together, so that it lasts max(Warmup, Ramp) + Duration. With
// stages it lasts Warmup + the sum of the stages. The warm-up then runs at the
// value of the first stage; without a warm-up the first stage climbs from
// zero.
func (p Profile) Line() []Point {
	if len(p.Stages) == 0 {
		line := []Point{{0, p.Rate, p.VUs}}
		if p.Ramp > 0 {
			line = []Point{{}, {time.Duration(p.Ramp), p.Rate, p.VUs}}
		}
		lead := time.Duration(max(p.Warmup, p.Ramp))
		return append(line, Point{lead + time.Duration(p.Duration), p.Rate, p.VUs})
	}
	var line []Point
	at := time.Duration(p.Warmup)
	if at > 0 {
		first := p.Stages[0].point(0)
		line = append(line, first, Point{at, first.Rate, first.VUs})
	} else {
		line = append(line, Point{})
	}
	for _, s := range p.Stages {
		at += time.Duration(s.Duration)
		line = append(line, s.point(at))
	}
	return line
}

func (s Stage) point(at time.Duration) Point {
	if s.VUs != nil {
		return Point{At: at, VUs: *s.VUs}
	}
	return Point{At: at, Rate: s.Rate}
}

// Length is how long the profile sends, warm-up included and grace not.
func (p Profile) Length() time.Duration {
	line := p.Line()
	return line[len(line)-1].At
}

// StartRate is the rate at the very start: that of the first point.
func (p Profile) StartRate() Rate { return p.Line()[0].Rate }

// StartVUs is the number of VUs at the very start.
func (p Profile) StartVUs() int { return p.Line()[0].VUs }

// Peak is the highest rate of an open profile.
func (p Profile) Peak() Rate {
	return slices.MaxFunc(p.Line(), func(a, b Point) int { return compare(a.Rate, b.Rate) }).Rate
}

// PeakVUs is the highest number of VUs of a closed profile.
func (p Profile) PeakVUs() int {
	return slices.MaxFunc(p.Line(), func(a, b Point) int { return a.VUs - b.VUs }).VUs
}

func compare(a, b Rate) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Arrivals gives the expected number of arrivals of an open profile between
// two times after its start: the area under its line.
func (p Profile) Arrivals(from, to time.Duration) float64 {
	sum := 0.0
	line := p.Line()
	for i := 1; i < len(line); i++ {
		a, b := line[i-1], line[i]
		begin, end := max(from, a.At), min(to, b.At)
		if begin >= end {
			continue
		}
		slope := float64(b.Rate-a.Rate) / (b.At - a.At).Seconds()
		middle := float64(a.Rate) + slope*((begin+end)/2-a.At).Seconds()
		sum += middle * (end - begin).Seconds()
	}
	return sum
}

// Total gives the expected number of iterations or requests, warm-up included.
// It is known for an open profile only: a closed one depends on the answers.
func (p Profile) Total() (arrivals float64, known bool) {
	return p.Arrivals(0, p.Length()), p.Open()
}

// End is when the test stops sending, after the phase's start.
func (t Test) End() time.Duration {
	_, p := t.Kind()
	return time.Duration(t.Start) + p.Length()
}

// WarmupEnd is when the test's warm-up is over, after the phase's start. A ramp
// longer than the warm-up is judged from there on.
func (t Test) WarmupEnd() time.Duration {
	_, p := t.Kind()
	return time.Duration(t.Start + p.Warmup)
}

// Length is when the last test of the phase stops sending, after its start;
// zero when only a script knows.
func (p Phase) Length() time.Duration {
	var end time.Duration
	for _, t := range p.Tests {
		if _, profile := t.Kind(); !profile.Shaped() {
			return 0
		}
		end = max(end, t.End())
	}
	return end
}

// WarmupEnd is from when the times of disruptions count, after the phase's
// start: the latest end of warm-up among the tests that start first.
func (p Phase) WarmupEnd() time.Duration {
	var end time.Duration
	for _, t := range p.Tests {
		first := slices.MinFunc(p.Tests, func(a, b Test) int { return int(a.Start - b.Start) }).Start
		if t.Start == first {
			end = max(end, t.WarmupEnd())
		}
	}
	return end
}
