package gates

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"resilience/internal/measure"
)

// A pool is what recovery looks at: three seconds or thirty attempts,
// whichever is longer. Pools slide by whole seconds, the width of a window, so
// that the second in which a fault was lifted belongs to none of them. A pool starts
// at a second with an attempt: where nothing is tried nothing has recovered.
const (
	poolTime     = 3 * second
	poolAttempts = 30
)

// companion is a steady gate that tells whether the system has recovered, with
// an accumulator for each time that the disruption was in effect.
type companion struct {
	gate          Gate
	row           SLI
	limit         float64
	injections    []injection
	during, after []*accumulator
}

// findCompanions finds the absolute steady gates that a recovery gate asks about
// and asks for their seconds.
func (j *judge) findCompanions(c *job, gates []Gate) {
	for _, g := range gates {
		limit, absolute := constant(g.Value)
		row, known := lookUp(g.SLI)
		steady := g.Period.Kind == Steady || g.Period.Kind == ""
		if !absolute || !steady || g.SLI == "" || !g.decides() {
			continue
		}
		if c.gate.Of != "" && c.gate.Of != g.SLI || c.gate.From != "" && g.From != "" && g.From != c.gate.From {
			continue
		}
		if g.Waiver.Active(j.record.Run.Started) { // it would never recover to what need not hold
			c.waived = append(c.waived, g.String())
			continue
		}
		if !known || g.Each != "" || !poolable(g, row) {
			c.unpooled = append(c.unpooled, g.String())
			continue
		}
		if g.From == "" {
			g.From = c.gate.From
		}
		g.Where = slices.Concat(g.Where, c.gate.Where)
		g.Each = c.gate.Each
		c.companions = append(c.companions, j.companion(c, g, row, limit))
	}
	if len(c.companions) == 0 {
		what := "no absolute steady gate"
		if c.gate.Of != "" {
			what += " over " + c.gate.Of
		}
		c.missing = what + " in this phase says what recovered means"
		if len(c.waived) > 0 {
			c.missing += ": waived are " + strings.Join(c.waived, ", ")
		}
	}
}

// poolable reports whether a gate can be asked of a few seconds: a share or a
// quantile, with an objective on the good side.
func poolable(g Gate, row SLI) bool {
	count, _ := countsAndShares(g.Value)
	good := g.Op[0] == row.Better[0]
	return good && (row.kind == shareKind && !count || g.SLI == "latency" && g.Stat.Kind == "quantile")
}

// constant gives a value that depends on nothing measured.
func constant(v Value) (float64, bool) {
	switch v.Kind {
	case "number":
		return v.Number, true
	case "max", "min":
		a, okA := constant(v.Args[0])
		b, okB := constant(v.Args[1])
		if v.Kind == "max" {
			return max(a, b), okA && okB
		}
		return min(a, b), okA && okB
	}
	return 0, false
}

func (j *judge) companion(c *job, g Gate, row SLI, limit float64) companion {
	co := companion{gate: g, row: row, limit: limit}
	want := wants{seconds: true, limit: math.NaN()}
	if row.kind == quantileKind {
		want.limit = limit
	}
	for i, in := range j.now.timeline.injections {
		if !in.of(c.inst.period.Name) || !in.lifted {
			continue
		}
		part := func(kind string, s span) *accumulator {
			inst := instance{period: Period{Kind: PeriodKind(fmt.Sprintf("%s %d", kind, i))}, spans: union(s)}
			return j.now.ask(g.SLI, g, inst, measure.Candidate, want)
		}
		co.injections = append(co.injections, in)
		co.during = append(co.during, part("while", span{in.from, in.to}))
		co.after = append(co.after, part("since", j.now.timeline.after(i)))
	}
	return co
}

// state of a pool.
type state int

const (
	unknown state = iota // too short
	holds
	fails
)

// pools answers for pools over the seconds of one companion.
type pools struct {
	ticks []int64
	at    map[int64]*tick
	co    companion
	end   int64 // of what was observed
}

func (j *judge) pools(co companion, acc *accumulator, each string) pools {
	r := j.now.reading(acc, each)
	p := pools{ticks: sortedTicks(r.seconds), at: r.seconds, co: co}
	if n := len(r.running); n > 0 {
		p.end = r.running[n-1].to
	}
	return p
}

// from judges the pool that starts at the first attempt in or after a second,
// and gives the second that it starts at.
func (p pools) from(start int64) (state, int64) {
	i, _ := slices.BinarySearch(p.ticks, start)
	for i < len(p.ticks) && p.at[p.ticks[i]].count == 0 {
		i++
	}
	if i == len(p.ticks) || p.ticks[i] > p.end-poolTime {
		return unknown, start
	}
	start = p.ticks[i]
	var n, bad, unplaced uint64
	for ; i < len(p.ticks) && (p.ticks[i] < start+poolTime || n < poolAttempts); i++ {
		t := p.at[p.ticks[i]]
		n += t.count
		bad += p.bad(*t)
		unplaced += t.unplaced
	}
	switch {
	case n < poolAttempts:
		return unknown, start
	case p.breaks(bad, n):
		return fails, start
	case p.breaks(bad+unplaced, n+unplaced):
		return unknown, start
	}
	return holds, start
}

func (p pools) breaks(bad, n uint64) bool { return float64(bad) > p.allowed()*float64(n)+1e-9 }

func (p pools) bad(t tick) uint64 {
	if p.co.row.kind == quantileKind {
		return t.over
	}
	return p.co.row.bad(t.counts)
}

func (p pools) allowed() float64 {
	switch {
	case p.co.row.kind == quantileKind:
		return 1 - p.co.gate.Stat.Quantile
	case p.co.row.Better == "<=":
		return p.co.limit
	}
	return 1 - p.co.limit
}

// recovered is how one injection ended, in milliseconds after lifting.
type recovered struct {
	found     bool
	value     float64 // start of the first pool that holds
	low       float64 // start of the last one before it that does not
	degraded  bool
	seen      float64 // not recovered until here, when it was not found
	attempts  uint64
	shortfall string
}

// recovery judges how long after lifting the steady gates hold again. When a
// disruption came several times a failure counts before what is not known, and
// the longest recovery before the others.
func (j *judge) recovery(c *job, each string, check *Check) {
	limit, _ := constant(c.gate.Value)
	check.Limit, check.Objective = finite(limit), string(c.gate.Op)+" "+unitText(limit, UnitTime)
	for _, text := range c.unpooled {
		check.warn("recovery does not look at %q: a few seconds can not answer it", text)
	}
	for _, text := range c.waived {
		check.warn("recovery does not look at %q: it is waived", text)
	}
	var worst Check
	var longest recovered
	samples := uint64(0)
	for i := range c.companions[0].injections {
		r, one := j.recover(c, i, each), *check
		samples += r.attempts
		j.judgeRecovery(c, r, limit, &one)
		if i == 0 || severity[one.Outcome] > severity[worst.Outcome] || one.Outcome == worst.Outcome && longer(r, longest) {
			worst, longest = one, r
		}
	}
	worst.Samples = samples
	*check = worst
}

// severity orders outcomes from good to bad.
var severity = map[Outcome]int{Pass: 0, Inconclusive: 1, Fail: 2}

// longer orders recoveries: one that was not seen to end is the longest.
func longer(a, b recovered) bool {
	if (a.shortfall != "") != (b.shortfall != "") {
		return a.shortfall != ""
	}
	if a.found != b.found {
		return !a.found
	}
	return a.value > b.value || !a.found && a.seen > b.seen
}

func (j *judge) judgeRecovery(c *job, r recovered, limit float64, check *Check) {
	if r.shortfall != "" {
		check.doubt(Evidence, "%s", r.shortfall)
		return
	}
	if !r.found {
		check.Observed = "not within " + unitText(r.seen, UnitTime)
		if !meets(r.seen, c.gate.Op, limit) && c.gate.Op[0] == '<' {
			check.broke("not recovered %s after %s was lifted", unitText(r.seen, UnitTime), c.inst.period.Name)
			return
		}
		check.doubt(Evidence, "not recovered within the %s that were seen after %s was lifted; let the test run longer", unitText(r.seen, UnitTime), c.inst.period.Name)
		return
	}
	switch {
	case r.low == 0 && r.value >= 1000:
		check.warn("nothing was attempted in the %s after %s was lifted", unitText(r.value, UnitTime), c.inst.period.Name)
	case r.low == 0 && !r.degraded:
		r.value = 0
		check.warn("%s never degraded what the steady gates ask for", c.inst.period.Name)
	}
	check.Value, check.Observed = finite(r.value), unitText(r.value, UnitTime)
	check.Evidence = fmt.Sprintf("between %s and %s after lifting, over pools of 3 s or %d attempts", unitText(r.low, UnitTime), unitText(r.value, UnitTime), poolAttempts)
	switch {
	case meets(r.value, c.gate.Op, limit):
		check.Outcome = Pass
	case meets(r.low, c.gate.Op, limit):
		check.doubt(Evidence, "recovered between %s and %s after lifting: what was seen can not tell which side of the objective that is", unitText(r.low, UnitTime), unitText(r.value, UnitTime))
	default:
		check.broke("recovery took %s, which is not %s", unitText(r.value, UnitTime), check.Objective)
	}
}

// recover finds the first second after the i-th injection from which on all
// companions hold over a pool.
func (j *judge) recover(c *job, i int, each string) recovered {
	r := recovered{}
	var all []pools
	lifted := c.companions[0].injections[i].to
	for _, co := range c.companions {
		after := j.pools(co, co.after[i], each)
		if len(after.ticks) == 0 {
			r.shortfall = fmt.Sprintf("there is no data for %q after %s", co.gate.String(), c.inst.period.Name)
			return r
		}
		all = append(all, after)
		r.degraded = r.degraded || j.pools(co, co.during[i], each).everFails()
	}
	r.attempts = all[0].total()
	r.search(all, lifted)
	return r
}

func (p pools) total() (n uint64) {
	for _, t := range p.at {
		n += t.count
	}
	return n
}

// everFails reports whether any pool, or all of them together, breaks the
// objective.
func (p pools) everFails() bool {
	var n, bad uint64
	for _, at := range p.ticks {
		if s, _ := p.from(at); s == fails {
			return true
		}
		n += p.at[at].count
		bad += p.bad(*p.at[at])
	}
	return p.breaks(bad, n)
}

// search goes through the seconds in which anything was attempted.
func (r *recovered) search(all []pools, lifted int64) {
	var seconds []int64
	for _, p := range all {
		for _, at := range p.ticks {
			if at >= lifted && p.at[at].count > 0 {
				seconds = append(seconds, at)
			}
		}
	}
	slices.Sort(seconds)
	tried := false
	for _, at := range slices.Compact(seconds) {
		together, start := poolOf(all, at)
		switch together {
		case holds:
			r.found, r.value = true, float64(start-lifted)/1e6
			return
		case fails:
			r.low = float64(at-lifted) / 1e6
			tried, r.seen, r.degraded = true, r.low, true
		}
	}
	if !tried {
		r.shortfall = "what was seen after lifting is too short to tell"
	}
}

// poolOf puts the pools of all companions from a second on together: one that
// fails fails them all, and they start when the last of them does.
func poolOf(all []pools, at int64) (together state, start int64) {
	together = holds
	for _, p := range all {
		s, from := p.from(at)
		start = max(start, from)
		if s == fails || together == holds {
			together = s
		}
	}
	return together, start
}
