package plan

// mostRuns is how many runs a baseline may be the median of: each is copied
// into the record.
const mostRuns = 50

// validBaseline wants one thing to compare with.
func validBaseline(c *checker, p *Phase) {
	if !c.given("baseline") || !c.clean("baseline") {
		return
	}
	b := p.Baseline
	at := c
	key := "baseline"
	if c.has(c.at("baseline.target")) || c.values[c.at("baseline")].kind == mapping {
		at, key = c.under(".baseline"), "target"
	}
	ways := 0
	for _, there := range []bool{b.Target != "", b.Record != "", at != c && at.given("runs")} {
		if there {
			ways++
		}
	}
	switch {
	case ways == 0:
		c.wrong("baseline", "write target:, record: or runs:", "a baseline wants one thing to compare with")
		return
	case ways > 1:
		c.wrong("baseline", "keep one", "a baseline wants one of target:, record: and runs:")
		return
	}
	if b.Target != "" {
		at.reference(key, b.Target, "target", "targets", named(c.plan.Targets))
		if b.Target == p.Candidate {
			at.wrong(key, "compare with another target, or with a record: run --baseline RUN", "the baseline is the candidate itself")
		}
	}
	if at != c {
		at.runs(b)
	}
}

// runs checks what belongs to the median of runs.
func (c *checker) runs(b Baseline) {
	if c.given("runs") && (b.Runs < 1 || b.Runs > mostRuns) {
		c.wrong("runs", "5 is a good number", "runs is 1 to %d; got %d", mostRuns, b.Runs)
	}
	for key, value := range map[string]string{"in": b.In, "first": b.First} {
		if value != "" && !c.given("runs") {
			c.wrong(key, "write runs: 5 beside it", "%s: belongs to runs:", key)
		}
	}
	if b.First != "" && b.First != "record" {
		c.wrong("first", "", "first wants record, or nothing; got %q", shorten(b.First))
	}
}
