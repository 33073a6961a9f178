package plan

import (
	"slices"
	"strings"
	"time"
)

// Limits of tests, far above what a machine can do.
const (
	maxVUs    = 1_000_000
	maxWeight = 1_000_000
)

func validTestName(c *checker, _ *Phase, t *Test) {
	if c.given("name") {
		if problem := wrongName(t.Name); problem != "" {
			c.wrong("name", "", "%s", problem)
		}
	}
}

func oneKind(c *checker, _ *Phase, t *Test) {
	kinds := append(named(t.kinds()), KindCanary, KindShadow)
	slices.Sort(kinds)
	c.oneOf("a test", kinds...)
}

func scriptOrRequests(c *checker, p *Profile) {
	c.oneOf(label(c.path), "script", "requests")
	if c.given("requests") && len(p.Requests) == 0 {
		c.wrong("requests", "", "requests is empty")
	}
	if c.given("exec") && c.given("requests") {
		c.wrongKey("exec", "", "exec names a function of a script; there is none")
	}
}

// byScript reports whether a profile leaves it to its script how much traffic
// there is.
func byScript(c *checker) bool {
	return c.given("script") && !c.given("rate") && !c.given("vus") && !c.given("stages")
}

// shapedByScript wants a profile that says nothing of an amount to say nothing
// of its times either.
func shapedByScript(c *checker, _ *Profile) {
	if !byScript(c) {
		return
	}
	for _, key := range []string{"duration", "ramp", "max_vus", "arrival", "exec"} {
		if c.given(key) {
			c.wrongKey(key, "give a rate: or vus: as well, or leave both to the options of the script", "%s: goes with rate: or vus:", key)
		}
	}
}

func rateOrVUs(c *checker, p *Profile) {
	if byScript(c) || !c.oneOf(label(c.path), "rate", "vus", "stages") {
		return
	}
	if c.given("rate") && p.Rate <= 0 {
		c.wrong("rate", "", "rate must be more than 0")
	}
	if c.given("vus") && (p.VUs < 1 || p.VUs > maxVUs) {
		c.wrong("vus", "", "vus is 1 to %d; got %d", maxVUs, p.VUs)
	}
	if c.given("requests") && p.Closed() {
		c.wrongKey("vus", "write rate: or use a script", "requests are sent at a rate, not by virtual users")
	}
	if p.Closed() && c.given("max_vus") {
		c.wrongKey("max_vus", "", "max_vus goes with a rate")
	}
}

func lengthGiven(c *checker, p *Profile) {
	switch {
	case byScript(c):
	case c.given("stages"):
		for _, key := range []string{"duration", "ramp"} {
			if c.given(key) {
				c.wrongKey(key, "keep one of the two", "stages have their own durations; %s: is for tests without stages", key)
			}
		}
	case !c.given("duration"):
		c.wrong("duration", "write for example: duration: 60s", "%s wants duration:", label(c.path))
	case p.Duration == 0:
		c.wrong("duration", "", "duration must be more than 0s")
	}
	if c.clean("") && p.Length() > time.Duration(maxDuration) {
		c.wrong("", "", "%s would last %s, longer than 30 days", label(c.path), Duration(p.Length()))
	}
}

func validStages(c *checker, p *Profile) {
	if c.given("stages") && len(p.Stages) == 0 {
		c.wrong("stages", "", "stages is empty")
	}
	for i, s := range p.Stages {
		at := c.under(".stages[%d]", i)
		if !at.oneOf("a stage", "rate", "vus") {
			continue
		}
		first := p.Stages[0].VUs != nil
		if (s.VUs != nil) != first {
			at.wrong("", "", "a stage changes the rate or the VUs, as the first one does, not the other")
		}
		if s.VUs != nil && (*s.VUs < 0 || *s.VUs > maxVUs) {
			at.wrong("vus", "", "vus is 0 to %d; got %d", maxVUs, *s.VUs)
		}
	}
	if len(p.Stages) > 0 && c.clean("stages") {
		if p.Peak() == 0 && p.PeakVUs() == 0 {
			c.wrong("stages", "", "the stages never send anything")
		} else if p.Length() == 0 {
			c.wrong("stages", "", "the stages last no time")
		}
		if p.Stages[0].VUs != nil && c.given("requests") {
			c.wrong("stages", "write rate: or use a script", "requests are sent at a rate, not by virtual users")
		}
	}
}

func validLimits(c *checker, p *Profile) {
	if c.given("max_vus") && (p.MaxVUs < 1 || p.MaxVUs > maxVUs) {
		c.wrong("max_vus", "", "max_vus is 1 to %d; got %d", maxVUs, p.MaxVUs)
	}
	if c.given("timeout") && p.Timeout == 0 {
		c.wrong("timeout", "", "timeout must be more than 0s")
	}
}

// maxParallel is how many processes may share the traffic of a test.
const maxParallel = 1000

// validParallel wants what can be shared: each process has at least one of the
// VUs, and a fault is not injected by each of them.
func validParallel(c *checker, p *Profile) {
	switch {
	case !c.given("parallel"):
	case c.given("requests"):
		c.wrongKey("parallel", "leave it out: one process sends them", "parallel: is for scripts")
	case p.Parallel < 1 || p.Parallel > maxParallel:
		c.wrong("parallel", "", "parallel is 1 to %d; got %d", maxParallel, p.Parallel)
	case p.Parallel > 1 && c.given("injects"):
		c.wrongKey("parallel", "inject it with disruptions: of the phase", "each of %d processes would inject what injects: names", p.Parallel)
	case p.Closed() && p.PeakVUs() < p.Parallel:
		c.wrong("parallel", "", "%d VUs are too few for %d processes", p.PeakVUs(), p.Parallel)
	case p.Open() && p.MaxVUs < p.Parallel:
		c.wrong("parallel", "raise max_vus:", "%d VUs (max_vus) are too few for %d processes", p.MaxVUs, p.Parallel)
	}
}

// arrivals are how the arrivals of a rate are spread over time.
var arrivals = map[string]bool{"constant": true, "poisson": true}

func validArrival(c *checker, p *Profile) {
	if c.given("arrival") && !arrivals[p.Arrival] {
		c.wrong("arrival", didYouMean(p.Arrival, named(arrivals)), "there is no arrival %q", shorten(p.Arrival))
	} else if c.given("arrival") && p.Closed() {
		c.wrongKey("arrival", "", "arrival goes with a rate")
	} else if c.given("script") && p.Arrival == "poisson" {
		c.wrong("arrival", "leave it out, or write requests: instead of the script", "k6 starts iterations at even distances; it has no poisson arrivals")
	}
}

func validProfileEnv(c *checker, p *Profile) { c.variables("env", p.Env) }

func filesExist(c *checker, p *Profile) {
	if c.opts.Scenarios == nil || !c.opts.Scenarios(p.Script) {
		c.file("script", p.Script)
	}
	c.file("data", p.Data)
}

// columnsExist wants ${data.COLUMN} to name a column of the test's data file.
func columnsExist(c *checker, p *Profile) {
	var columns []string
	if c.given("data") && !c.opts.Recorded {
		if !c.clean("data") {
			return
		}
		rows, err := OpenFeeder(Locate(c.plan.Dir, p.Data))
		if err != nil {
			c.wrong("data", "it is CSV with a header line, or JSON lines in a .jsonl file", "the file %s can not be read: %s", shorten(p.Data), reason(err))
			return
		}
		columns = rows.Columns()
	}
	for _, use := range c.columns {
		if !strings.HasPrefix(use.path, c.path+".") {
			continue
		}
		switch {
		case !c.given("data"):
			c.fail(use.path, use.at, "write data: FILE beside requests:", "${data.%s} wants a data file", shorten(use.column))
		case !c.opts.Recorded && !slices.Contains(columns, use.column):
			c.fail(use.path, use.at, didYouMean(use.column, columns), "the data has no column %q", shorten(use.column))
		}
	}
}
