package gates

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"resilience/gates/evidence"
	"resilience/internal/measure"
)

// Gates on budget and burn are judged by counts of events over the windows of an
// objective, which come as events of the record, from wherever its events are
// counted. Without them the burn rate is that of this run's own attempts in the
// gate's period. What is left of a budget over 28 days no run knows by itself.

// staleCounts is how much older than the end of the phase counts may be: the
// shortest window that they are over, so that something of it is still now.
const staleCounts = 5 * time.Minute

// maxEvents is more than any system counts in a month, and still exact.
const maxEvents = 1 << 48

// counted is what an event says of an objective.
type counted struct {
	at      int64
	windows map[time.Duration]Tally
	problem string // why it says nothing
}

// Counted gives the attributes of an event that tells the events of an objective
// over each window; see [BurnWindows].
func (o Objective) Counted(windows map[time.Duration]Tally) map[string]string {
	attrs := map[string]string{"share": strconv.FormatFloat(o.Share, 'f', -1, 64), "over": o.Over.String()}
	for window, t := range windows {
		attrs[window.String()] = fmt.Sprintf("%d/%d", t.Good, t.Total)
	}
	return attrs
}

// counted notes the counts of an objective; what comes later counts.
func (t *timeline) counted(e measure.Event) {
	c := counted{at: e.At, windows: map[time.Duration]Tally{}, problem: e.Attrs["error"]}
	for key, value := range e.Attrs {
		window, err := time.ParseDuration(key)
		if err != nil {
			continue // share, over and the like
		}
		good, total, _ := strings.Cut(value, "/")
		g, badGood := strconv.ParseUint(good, 10, 64)
		n, badTotal := strconv.ParseUint(total, 10, 64)
		if badGood != nil || badTotal != nil || g > n || n > maxEvents {
			c.problem = fmt.Sprintf("its counts over %s can not be: %q", spanText(window), value)
			continue
		}
		c.windows[window] = Tally{Good: g, Total: n}
	}
	t.objectives[e.Name] = c
}

// end is when the phase, or the last of its tests, was over.
func (t *timeline) end() int64 {
	end := t.heard.ended
	for _, run := range t.tests {
		end = max(end, run.end)
	}
	return end
}

// promise is an objective with what the record says of it.
type promise struct {
	Objective
	windows map[time.Duration]Tally // nil where this run's own attempts count
	missing string                  // why nothing does
}

// promise finds the objective that a gate means.
func (j *judge) promise(name string) promise {
	all := j.record.Objectives
	i := slices.IndexFunc(all, func(o Objective) bool { return o.Name == name })
	var names []string
	for _, o := range all {
		names = append(names, o.Name)
	}
	switch {
	case len(all) == 0:
		return promise{missing: "the plan has no objectives: to say what a budget is, it wants objectives:"}
	case name == "" && len(all) > 1:
		return promise{missing: fmt.Sprintf("there are several objectives (%s): say of which", strings.Join(names, ", "))}
	case name == "":
		i = 0
	case i < 0:
		return promise{missing: fmt.Sprintf("there is no objective %s%s", name, didYouMean(name, names))}
	}
	return j.promised(all[i])
}

// promised looks up what the record counted for an objective.
func (j *judge) promised(o Objective) promise {
	p, t := promise{Objective: o}, j.now.timeline
	c, found := t.objectives[o.Name]
	switch {
	case !o.valid():
		p.missing = fmt.Sprintf("the objective %s promises nothing that can be judged", o.Name)
	case !found && o.Queried:
		p.missing = fmt.Sprintf("the events of %s were not counted: nothing in the record tells of them", o.Name)
	case !found: // this run's own
	case c.problem != "":
		p.missing = fmt.Sprintf("the events of %s were not counted: %s", o.Name, c.problem)
	case t.end()-c.at > int64(staleCounts):
		p.missing = fmt.Sprintf("the events of %s were last counted %s before the end: that is too old", o.Name, spanText(time.Duration(t.end()-c.at)))
	default:
		p.windows = c.windows
	}
	return p
}

// askObjective asks for what a gate on a budget or a burn rate will need.
func (j *judge) askObjective(c *job) {
	c.promise = j.promise(c.gate.Of)
	g, p := c.gate, c.promise
	steady := g.Period.Kind == Steady || g.Period.Kind == Overall || g.Period.Kind == ""
	switch {
	case p.missing != "":
		c.missing = p.missing
	case p.windows == nil && c.row.Name == "budget":
		c.missing = fmt.Sprintf("what is left of the budget over %s is not known from one run: count the events of %s with good: and total:", spanText(p.Over), p.Name)
	case p.windows == nil:
		c.acc = j.askAttempts(p.Of, g, c.inst)
	case !steady, g.From != "", len(g.Where) > 0, g.Each != "":
		c.missing = fmt.Sprintf("the events of %s are counted over windows of its own: leave out the period, from and for", p.Name)
	}
}

// askAttempts asks for the attempts of a gate's scope, of some name.
func (j *judge) askAttempts(of string, g Gate, inst instance) *accumulator {
	g.Of = of
	return j.now.ask("availability", g, inst, measure.Candidate, wants{limit: math.NaN()})
}

// spending is the events of an objective over one window.
type spending struct {
	Tally
	window   string // such as 1h; of this run the period
	run      bool   // these are attempts of this run
	unplaced uint64 // arrivals that could not start and may belong here
}

// where says over what the events are.
func (s spending) where() string {
	if s.run {
		return "in this run (" + s.window + ")"
	}
	return "over " + s.window
}

// worst is the spending with all that may belong to it against it.
func (s spending) worst() Tally { return Tally{Good: s.Good, Total: s.Total + s.unplaced} }

// spendings gives the windows that a gate looks at, in groups: it holds when it
// does over any window of each group, and fails when it does over none of some
// group. A burn rate is looked at as alerts do: over pairs of a long and a short
// window, so that neither a peak nor what is over fails it.
func (j *judge) spendings(c *job, each string) (groups [][]spending, missing string) {
	p := c.promise
	if p.windows == nil {
		r := j.now.reading(c.acc, each)
		return [][]spending{{{
			Tally: Tally{r.count - r.failed, r.count}, unplaced: r.unplaced, window: c.inst.period.String(), run: true,
		}}}, ""
	}
	wanted := [][]time.Duration{{p.Over}}
	if c.row.Name == "burn" {
		wanted = nil
		for _, r := range BurnAlerts(p.Over) {
			wanted = append(wanted, []time.Duration{r.Long, r.Short})
		}
	}
	for _, windows := range wanted {
		var group []spending
		for _, w := range windows {
			t, known := p.windows[w]
			if !known {
				return nil, fmt.Sprintf("the events of %s over %s were not counted", p.Name, spanText(w))
			}
			group = append(group, spending{Tally: t, window: spanText(w)})
		}
		groups = append(groups, group)
	}
	if len(groups) == 0 {
		return nil, fmt.Sprintf("no window is right for the burn rate of an objective over %s", spanText(p.Over))
	}
	return groups, ""
}

// objective judges a gate on a budget or a burn rate.
func (j *judge) objective(c *job, each string, split float64, check *Check) {
	groups, missing := j.spendings(c, each)
	limit, _ := constant(c.gate.Value)
	check.Limit = finite(limit)
	check.Objective = string(c.gate.Op) + " " + unitText(limit, c.row.Unit)
	if missing != "" {
		check.doubt(Evidence, "%s", missing)
		return
	}
	s := spent{gate: c.gate, promise: c.promise, budget: c.row.Name == "budget", split: evidence.Split(split, len(groups))}
	s.allowed = c.promise.Allowed() * limit
	if s.budget {
		s.allowed = c.promise.Allowed() * (1 - limit)
	}
	decides := s.decisive(groups)
	if c.promise.windows != nil {
		check.Period = "last " + decides.window
	}
	check.Samples, check.Failed = decides.Total, decides.Bad()
	if decides.Total == 0 {
		check.doubt(Evidence, "%s", s.none(decides))
		return
	}
	value := s.value(decides.Tally)
	check.Value, check.Observed = finite(value), unitText(value, c.row.Unit)
	check.Evidence = s.evidence(groups, decides)
	if began, young := c.promise.young(); s.budget && young {
		check.warn("all that is known of %s over %s happened in the last %s: the budget is that of as few events", c.promise.Name, spanText(c.promise.Over), spanText(began))
	}
	s.judge(groups, decides, check)
}

// young reports whether events are known of a small part of the window only, and
// of how long at most: the system, or what counts its events, is that new.
func (p promise) young() (began time.Duration, young bool) {
	all := p.windows[p.Over].Total
	for _, w := range slices.Sorted(maps.Keys(p.windows)) {
		if t := p.windows[w].Total; w < p.Over && t > 0 && float64(t)*(1+extrapolated) >= float64(all) {
			return w, true
		}
	}
	return 0, false
}

// extrapolated is by how much counts of the same events may differ: increase() of
// Prometheus extrapolates.
const extrapolated = 0.02

// spent is a gate on a budget or a burn rate, as one on a share of bad events.
type spent struct {
	gate    Gate
	promise promise
	budget  bool
	allowed float64 // the share of events that may be bad for the gate to hold
	split   float64 // the confidence of each comparison
}

// value is the budget left, or the burn rate.
func (s spent) value(t Tally) float64 {
	if s.budget {
		return s.promise.Left(t)
	}
	return s.promise.Burn(t)
}

// decisive is the window that speaks most for the gate in the group that speaks
// most against it; one without events where there is one.
func (s spent) decisive(groups [][]spending) spending {
	var worst spending
	for i, group := range groups {
		best := group[0]
		for _, one := range group[1:] {
			if one.Total > 0 && (best.Total == 0 || one.Failed() < best.Failed()) {
				best = one
			}
		}
		if best.Total == 0 {
			return best
		}
		if i == 0 || best.Failed() > worst.Failed() {
			worst = best
		}
	}
	return worst
}

func (s spent) none(where spending) string {
	if s.promise.windows == nil && s.promise.Of != "" {
		return fmt.Sprintf("nothing named %s was seen %s", s.promise.Of, where.where())
	}
	if s.promise.windows == nil {
		return "there is no data in this period"
	}
	return fmt.Sprintf("there were no events of %s %s", s.promise.Name, where.where())
}

// meets reports whether a share of bad events is what the gate asks for.
func (s spent) meets(share float64) bool {
	strictly := s.gate.Op == "<" || s.gate.Op == ">"
	return share < s.allowed || !strictly && share <= s.allowed
}

// judge applies rule 3 to each group.
func (s spent) judge(groups [][]spending, decides spending, check *Check) {
	if s.allowed >= 1 {
		check.doubt(Evidence, "if all failed the budget of %s would burn at %s: this can not fail", s.promise.Name, plainText(1/s.promise.Allowed()))
		return
	}
	all := func(holds func(spending) bool) bool {
		return !slices.ContainsFunc(groups, func(group []spending) bool { return !slices.ContainsFunc(group, holds) })
	}
	need := s.gate.MinSamples
	if need == 0 {
		need = neededFor(SLI{kind: shareKind}, Stat{}, "<=", s.allowed, s.gate.confidence())
	}
	switch {
	case !all(func(o spending) bool { return !evidence.Excludes(o.Bad(), o.Total, s.allowed, s.split) }):
		check.broke("%s was %s %s, which is not %s", s.gate.Subject(), check.Observed, decides.where(), check.Objective)
	case !all(func(o spending) bool { return s.meets(o.Failed()) }):
		check.doubt(Evidence, "%s was %s %s, not %s, but so few events (%s) do not exclude it", s.gate.Subject(), check.Observed, decides.where(), check.Objective, countText(decides.Total))
	case !all(func(o spending) bool { return s.meets(o.worst().Failed()) }):
		check.doubt(Evidence, "with the %s arrivals that could not start, and may belong here, %s may not be %s", countText(decides.unplaced), s.gate.Subject(), check.Objective)
	case !all(func(o spending) bool { return s.meets(o.Failed()) && o.Total >= need }):
		check.doubt(Evidence, "%s events %s can not confirm it; %s can", countText(decides.Total), decides.where(), countText(need))
	case s.gate.Strict && !all(func(o spending) bool { return s.meets(evidence.ShareHigh(o.Bad(), o.Total, s.gate.confidence())) }):
		check.doubt(Evidence, "%s meets the objective, but its interval does not", s.gate.Subject())
	default:
		check.Outcome = Pass
	}
}

// evidence writes the counts that decide with their interval, what would have
// failed them, and the rates over the other windows.
func (s spent) evidence(groups [][]spending, o spending) string {
	confidence := s.gate.confidence()
	i := evidence.Share(o.Bad(), o.Total, confidence)
	low, high, unit := i.Low/s.promise.Allowed(), i.High/s.promise.Allowed(), UnitRatio
	if s.budget {
		low, high, unit = 1-high, 1-low, UnitShare
	}
	text := fmt.Sprintf("%s of %s failed %s, where %s may; %s interval %s", countText(o.Bad()), countText(o.Total), o.where(),
		percentText(s.promise.Allowed()), confidenceText(confidence), rangeText(low, high, unit))
	if at, ok := evidence.FailsAt(o.Total, s.allowed, s.split); ok {
		text += "; fails at " + countText(at)
	}
	if s.promise.windows == nil {
		return text + fmt.Sprintf("; this run alone, not the %s of the objective", spanText(s.promise.Over))
	}
	if s.budget {
		return text
	}
	var rates []string
	for _, group := range groups {
		var pair []string
		for _, one := range group {
			rate := "no events"
			if one.Total > 0 {
				rate = plainText(s.promise.Burn(one.Tally))
			}
			pair = append(pair, rate+" "+one.where())
		}
		rates = append(rates, strings.Join(pair, " and "))
	}
	return text + "; burn " + strings.Join(rates, ", ")
}
