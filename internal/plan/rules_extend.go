package plan

import "time"

// leastExtend is how long an extension has to be allowed to last: less of it
// would not tell anything.
const leastExtend = 10 * time.Second

// validExtend wants tests that can go on as they were: whose traffic is the same
// all the time, and known to the plan.
func validExtend(c *checker, p *Phase) {
	if !c.given("extend") || !c.clean("tests") || len(p.Tests) == 0 {
		return
	}
	if time.Duration(p.Extend) < leastExtend {
		c.wrong("extend", "leave it out for none", "extend must be at least %s", leastExtend)
		return
	}
	for _, t := range p.Tests {
		switch _, profile := t.Kind(); {
		case t.Shadow != nil:
			c.wrong("extend", "leave extend out", "the test %s can not go on: its recording ends", t.Name)
		case !profile.Shaped():
			c.wrong("extend", "give it a rate and a duration in the plan", "the test %s can not go on: only its script knows how much it sends", t.Name)
		case len(profile.Stages) > 0:
			c.wrong("extend", "give it a rate and a duration", "the test %s can not go on: it has stages", t.Name)
		case len(profile.Injects) > 0:
			c.wrong("extend", "leave extend out", "the test %s can not go on without disruptions: its script injects them", t.Name)
		default:
			continue
		}
		return
	}
	if length := p.Length(); time.Duration(p.Extend) > length {
		c.wrong("extend", "let the tests last longer instead", "extend is longer than the phase itself, which is %s", length)
	}
}

// Extended gives the streams of a phase once more, for so long and from their
// start on: with iterations that are numbered on from those before, so that
// neither choices nor rows of data repeat.
func Extended(streams []Stream, length time.Duration) []Stream {
	again := make([]Stream, len(streams))
	for i, s := range streams {
		_, profile := s.Test.Kind()
		s.First += iterations(profile)
		profile.Duration = Duration(length)
		s.Test = s.Test.with(profile)
		s.Test.Start = 0
		again[i] = s
	}
	return again
}

// iterations is how many a profile makes at most; of a closed one nobody knows.
func iterations(p Profile) uint64 {
	const many = 1 << 32
	if n, known := p.Total(); known && n < many {
		return uint64(n) + 1
	}
	return many
}

// with gives the test with another profile in place of its own.
func (t Test) with(p Profile) Test {
	for _, own := range []**Profile{&t.Load, &t.Stress, &t.Spike, &t.Soak} {
		if *own != nil {
			*own = &p
		}
	}
	if t.Canary != nil {
		again := *t.Canary
		again.Duration, again.Warmup = p.Duration, p.Warmup
		t.Canary = &again
	}
	return t
}
