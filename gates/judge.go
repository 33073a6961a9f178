package gates

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"resilience/gates/evidence"
	"resilience/internal/measure"
)

// Judge answers for one phase of a record. It reads the windows once (and
// those of the baseline once, when a gate compares with another record), in
// memory bounded by gates, series and seconds, and gives the same verdict for
// the same record every time.
func Judge(gates []Gate, record Record) Verdict {
	j := newJudge(gates, record)
	return j.verdict(j.checks())
}

// newJudge reads all that a verdict rests on.
func newJudge(gates []Gate, record Record) *judge {
	now := newObserver(readEvents(record.Phase, record.Events))
	j := &judge{now: now, record: record}
	gates = parsed(gates)
	for _, g := range gates {
		j.prepare(g, gates)
	}
	j.askRecoveries(gates)
	j.askSummaries()
	j.watchRecovery(gates)
	now.read(record)
	now.endless()
	j.relapse()
	j.compareWith(record.Baselines)
	return j
}

// judge is one call of Judge.
type judge struct {
	record Record
	now    *observer
	before []*observer // over the baselines of other runs
	jobs   []*job
	bitten []Disrupted
	scores []Score

	recoveries []*job // of each disruption, for the summary
	last       *job   // the recovery after what was lifted last; nil when a gate asks for it

	promises []ownSpending   // of each objective, for the summary
	steady   []*measuredPart // of the model in the steady period, for the summary
	attempts *accumulator    // of the steady period, to compare the model with
}

// job is a gate in one period, before the record was read.
type job struct {
	gate       Gate
	inst       instance
	row        SLI
	acc        *accumulator
	companions []companion // of recovery
	unpooled   []string    // gates that recovery can not ask
	waived     []string    // and those that it need not
	missing    string      // why it can not be judged
	arms       bool        // it is compared with the baseline arm, ten seconds by ten seconds

	promise promise         // of budget and burn
	parts   []*measuredPart // of composed, on either side
}

// parsed reads the gates that only have a text, such as those written by hand;
// what can not be read stays as it is.
func parsed(gates []Gate) []Gate {
	all := slices.Clone(gates)
	for i, g := range all {
		if g.SLI != "" {
			continue
		}
		if p, err := ParseWith(g.Text, g.Options); err == nil {
			p.Advisory, p.Waiver = g.Advisory, g.Waiver
			all[i] = p
		}
	}
	return all
}

// prepare turns a gate into jobs and asks for what they will need.
func (j *judge) prepare(g Gate, all []Gate) {
	if g.SLI == "" {
		_, err := ParseWith(g.Text, g.Options)
		inst := j.now.timeline.instance(g.Period)
		j.jobs = append(j.jobs, &job{gate: g, inst: inst, missing: fmt.Sprintf("the gate is not understood: %v", err)})
		return
	}
	for _, inst := range j.now.timeline.expand(g.Period) {
		c := &job{gate: g, inst: inst}
		row, missing := rowOf(g.SLI, g, j.now.timeline)
		c.row, c.missing = row, cmp.Or(inst.missing, missing)
		j.jobs = append(j.jobs, c)
		switch {
		case c.missing != "":
		case row.kind == noticeKind, row.kind == scoreKind: // by events alone, by the other checks
		case row.kind == objectiveKind:
			j.askObjective(c)
		case row.kind == modelKind:
			c.parts = j.askModel(g, inst)
		case row.kind == recoveryKind:
			j.findCompanions(c, all)
		default:
			c.arms = j.comparesArms(c)
			c.acc = j.now.ask(g.SLI, g, inst, measure.Candidate, c.wants())
			j.askFor(g.Value, c)
		}
	}
}

// askFor asks for what the right side of a gate reads.
func (j *judge) askFor(v Value, c *job) {
	switch v.Kind {
	case "sli":
		if v.SLI == "composed" {
			c.parts = j.askModel(Gate{}, c.inst)
			return
		}
		g := c.gate
		g.Stat = v.Stat
		if row, missing := rowOf(v.SLI, g, j.now.timeline); missing == "" {
			j.now.ask(v.SLI, g, c.inst, measure.Candidate, wantsOf(row, v.Stat))
		}
	case "baseline":
		j.now.ask(c.gate.SLI, c.gate, c.inst, measure.Baseline, c.wants())
	}
	for _, arg := range v.Args {
		j.askFor(arg, c)
	}
}

// usesBaseline reports whether a value asks for the baseline.
func usesBaseline(v Value) bool {
	return v.Kind == "baseline" || slices.ContainsFunc(v.Args, usesBaseline)
}

// compareWith reads the other records if a gate needs them and this record has
// no baseline of its own.
func (j *judge) compareWith(records []Record) {
	needed := slices.ContainsFunc(j.jobs, func(c *job) bool { return c.acc != nil && usesBaseline(c.gate.Value) })
	if !needed || j.now.hasArm(measure.Baseline) {
		return
	}
	for _, r := range records {
		j.before = append(j.before, j.readBaseline(r))
	}
}

func (j *judge) readBaseline(r Record) *observer {
	o := newObserver(readEvents(cmp.Or(r.Phase, j.record.Phase), r.Events))
	for _, c := range j.jobs {
		if c.acc == nil || !usesBaseline(c.gate.Value) {
			continue
		}
		inst := o.timeline.instance(c.inst.period)
		if row, missing := rowOf(c.gate.SLI, c.gate, o.timeline); missing == "" {
			o.ask(c.gate.SLI, c.gate, inst, measure.Candidate, wantsOf(row, c.gate.Stat))
		}
	}
	o.read(r)
	o.endless()
	return o
}

func (o *observer) hasArm(arm string) bool {
	for key := range o.traffic {
		if key.arm == arm {
			return true
		}
	}
	return false
}

// wants says what has to be kept for a job.
func (c *job) wants() wants {
	w := wantsOf(c.row, c.gate.Stat)
	if c.arms {
		w.seconds, w.episodes = true, c.row.kind == quantileKind
	}
	return w
}

// wantsOf says what has to be kept for an SLI.
func wantsOf(row SLI, stat Stat) wants {
	distribution := row.kind == quantileKind || row.kind == gaugeKind
	return wants{
		sketch:  distribution && stat.Kind == "quantile",
		seconds: row.kind == rateKind || row.kind == shareKind || distribution && (stat.Kind == "mean" || stat.Kind == ""),
		looks:   row.stale > 0,
		limit:   math.NaN(),
	}
}

// checks judges every job. The allowed error is split over all critical
// checks, so that it is known only when the values of `for each` are.
func (j *judge) checks() []Check {
	j.bitten = j.now.timeline.bites()
	critical := 0
	values := make([][]string, len(j.jobs))
	for i, c := range j.jobs {
		values[i] = j.valuesOf(c)
		if c.gate.decides() {
			critical += max(1, len(values[i]))
		}
	}
	checks := []Check{}
	var scored []int
	for i, c := range j.jobs {
		if len(values[i]) == 0 {
			c.missing = fmt.Sprintf("no %s was seen in this period", c.gate.Each)
			values[i] = []string{""}
		}
		if c.row.kind == scoreKind {
			scored = append(scored, len(checks))
		}
		for _, each := range values[i] {
			checks = append(checks, j.check(c, each, critical))
		}
	}
	for _, i := range scored {
		scoreOf(checks, checks[i].Gate.Of).judge(&checks[i])
		checks[i].waive(j.record.Run)
	}
	j.scores = scores(checks)
	j.remember()
	return append(checks, j.now.timeline.abortChecks()...)
}

func (j *judge) valuesOf(c *job) []string {
	switch {
	case c.missing != "":
		return []string{""}
	case len(c.companions) > 0:
		return c.companions[0].after[0].eachValues()
	case c.acc == nil:
		return []string{""}
	}
	return c.acc.eachValues()
}

// check judges one gate in one period for one value of its key.
func (j *judge) check(c *job, each string, critical int) Check {
	text := c.gate.Text
	if text == "" {
		text = c.gate.String()
	}
	if each != "" {
		text += " (" + c.gate.Each + " " + each + ")"
	}
	check := Check{
		Gate: c.gate, Severity: c.gate.Severity, Advisory: c.gate.Advisory, Group: c.gate.Group, Weight: c.gate.Weight, Note: c.gate.Note, Text: text, Period: c.inst.period.String(), SLI: c.gate.Subject(), Unit: c.row.Unit,
		Observed: "no data", Objective: string(c.gate.Op) + " " + c.gate.Value.String(), Stretches: j.now.timeline.stretches(c.inst),
	}
	if c.gate.Advisory != "" {
		check.warn("it decides nothing yet: %s", c.gate.Advisory)
	}
	split := evidence.Split(c.gate.confidence(), critical*j.now.timeline.looks)
	switch {
	case j.now.err != nil:
		check.doubt(Evidence, "the record could not be read: %v", j.now.err)
	case c.missing != "":
		cause := c.inst.cause
		if c.inst.missing == "" {
			cause = Evidence
		}
		check.doubt(cause, "%s", c.missing)
	case c.row.kind == recoveryKind:
		j.recovery(c, each, &check)
	case c.row.kind == noticeKind:
		j.notice(c, &check)
	case c.row.kind == scoreKind: // when all the others are judged
		check.Period = string(Overall)
		return check
	case c.row.kind == objectiveKind:
		j.objective(c, each, split, &check)
	case c.row.kind == modelKind:
		j.composed(c, split, &check)
	default:
		j.decide(c, each, split, &check)
	}
	if !steadyKind(c.gate) && c.inst.period.Kind != Overall {
		check.lacks = 0 // there are no disruptions in more traffic
	}
	j.trust(c, &check)
	check.waive(j.record.Run)
	return check
}

// doubt makes a check inconclusive.
func (c *Check) doubt(cause Cause, format string, args ...any) {
	c.Outcome, c.Cause, c.Reason = Inconclusive, cause, fmt.Sprintf(format, args...)
}

// broke makes a check fail.
func (c *Check) broke(format string, args ...any) {
	c.Outcome, c.Cause, c.Reason = Fail, System, fmt.Sprintf(format, args...)
}

func (c *Check) warn(format string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(format, args...))
}

// trust turns a pass inconclusive when something says that it can not be
// believed. A failure stands whatever else is wrong, unless the generator
// itself is what failed.
func (j *judge) trust(c *job, check *Check) {
	p := c.inst.period
	if p.Kind == During || p.Kind == After {
		for i, in := range j.now.timeline.injections {
			if !in.of(p.Name) {
				continue
			}
			if other := j.now.timeline.overlapping(i); in.lifted && other != "" {
				check.warn("%s was still in effect when %s was lifted", other, in.name)
			} else if other := j.now.timeline.within(i); p.Kind == During && other != "" {
				check.warn("%s was in effect, too, while %s was", other, in.name)
			}
		}
	}
	if j.now.timeline.overflow && (c.gate.Of != "" || len(c.gate.Where) > 0 || c.gate.Each != "") {
		check.warn("there were too many series: some of this traffic may have lost its name")
	}
	why := j.now.timeline.void(c.gate.From)
	if c.row.Name == "delivered" { // which is what the generator itself did
		why = j.now.timeline.shortfall(c.gate.From, "")
	}
	if why != "" && check.Outcome == Fail {
		check.doubt(Generator, "%s", why)
		return
	}
	if check.Outcome != Pass {
		return
	}
	if why := j.now.timeline.interrupted; why != "" {
		check.doubt(Evidence, "%s", why)
		return
	}
	if why := j.now.timeline.misidentified(); why != "" {
		check.doubt(Evidence, "%s", why)
		return
	}
	if short := j.now.timeline.shortfall(c.gate.From, ""); short != "" {
		check.doubt(Generator, "%s", short)
		return
	}
	for _, d := range j.bitten {
		if (d.Name == p.Name || d.Sweep == p.Name && d.Sweep != "") && !d.Bit && (p.Kind == During || p.Kind == After) {
			check.doubt(Disruption, "the disruption %s did not bite: %s", d.Name, d.Reason)
			return
		}
	}
	if text := j.now.brokenText(); text != "" {
		check.doubt(Evidence, "%s", text)
	}
}

// shortfall gives the first thing that the generator did not deliver to a
// test and an arm, or to any when the name is empty.
func (t *timeline) shortfall(test, arm string) string {
	for _, s := range t.shortfalls {
		if (test == "" || s.test == "" || s.test == test) && (arm == "" || s.arm == arm) {
			return s.reason
		}
	}
	return ""
}

// void says why the failures of a test, or of any when the name is empty, are
// the generator's own; "" when they are not.
func (t *timeline) void(test string) string {
	for _, s := range t.shortfalls {
		if s.void && (test == "" || s.test == "" || s.test == test) {
			return s.reason
		}
	}
	return ""
}

// endless adds the tests that sent something and of which no event tells that
// they ran to their end.
func (o *observer) endless() {
	for _, key := range o.streamKeys() {
		if o.timeline.tests[key] == nil {
			o.timeline.shortfalls = append(o.timeline.shortfalls,
				shortfall{test: key.test, arm: key.arm, reason: fmt.Sprintf("the test %s has no beginning and no end in the record", key.test)})
		}
	}
}
