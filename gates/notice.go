package gates

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"resilience/internal/measure"
)

// Whether a disruption was noticed is told by events alone: alerts of the
// monitoring under test and acknowledgements of people. An alert counts for an
// injection when it begins to fire from the moment of the injection to the
// next one of any disruption, or to the end of the phase. One that fired
// before already does not.

// clockSkew is how much earlier than the injection an alert may say that it
// began, because the clock of the monitoring is another.
const clockSkew = 5 * second

// notice is an alert that changed, or an acknowledgement.
type notice struct {
	at, since int64 // when it came; when it began by its own account, 0 when it does not say
	name, id  string
	firing    bool
	by        string
}

// notices is what was heard from outside in one phase.
type notices struct {
	alerts, acks       []notice // by time
	hearAlerts, hearBy bool     // somebody listened for alerts, for acknowledgements
	ended              int64    // of the phase; 0 while it is not
	lost               int64    // from when on alerts were not asked for any more; 0 when they come by themselves
	why                string   // with lost: why not to the end
}

func (n *notices) listening(e measure.Event) {
	if e.Name == measure.ListensAlerts && e.Attrs["state"] == measure.ListeningLost {
		n.lost, n.why = e.At, e.Attrs["detail"]
		return
	}
	n.hearAlerts = n.hearAlerts || e.Name == measure.ListensAlerts
	n.hearBy = n.hearBy || e.Name == measure.ListensAcks
}

func (n *notices) alert(e measure.Event) {
	since, err := time.Parse(time.RFC3339Nano, e.Attrs["since"])
	one := notice{at: e.At, name: e.Name, id: e.Attrs["id"], firing: e.Attrs["state"] != "resolved", by: e.Attrs["by"]}
	if err == nil && since.Unix() > 0 {
		one.since = since.UnixNano()
	}
	n.alerts, n.hearAlerts = append(n.alerts, one), true
}

func (n *notices) ack(e measure.Event) {
	n.acks, n.hearBy = append(n.acks, notice{at: e.At, name: e.Name, by: e.Attrs["by"]}), true
}

// noticed is how long it took until one injection was noticed.
type noticed struct {
	found   bool
	after   float64 // the injection, in milliseconds
	seen    float64 // how long was watched, in milliseconds
	what    string  // which alert, or who
	already string  // an alert that could have told, but fired before
	doubt   string  // another disruption that it may have been about
}

// attention is the stretch in which a notice counts for the i-th injection.
func (t *timeline) attention(i int) span {
	in := t.injections[i]
	s := span{in.from, t.heard.ended}
	if s.to == 0 {
		for _, run := range t.tests {
			s.to = max(s.to, run.end)
		}
	}
	if in.lifted {
		s.to = min(s.to, t.after(i).to)
	}
	s.to = max(s.to, s.from)
	return s
}

// detected looks for the alert that told of the i-th injection first; of any
// name when it is "".
func (t *timeline) detected(i int, name string) noticed {
	s := t.attention(i)
	watched := s.to
	if t.heard.lost != 0 {
		watched = max(s.from, min(s.to, t.heard.lost))
	}
	n := noticed{seen: float64(watched-s.from) / 1e6}
	firing := map[[2]string]bool{}
	for _, a := range t.heard.alerts {
		key := [2]string{a.name, a.id}
		was := firing[key]
		firing[key] = a.firing
		if name != "" && a.name != name || !a.firing || a.at >= s.to {
			continue
		}
		old := a.since != 0 && a.since < s.from-clockSkew
		switch {
		case a.at < s.from, was, old:
			n.already = a.name
		default:
			n.found, n.after, n.what, n.already = true, float64(a.at-s.from)/1e6, a.name, ""
			n.doubt = t.together(i, a.at)
			return n
		}
	}
	if n.already != "" && !slices.Contains(active(firing), n.already) {
		n.already = "" // it ended before
	}
	return n
}

func active(firing map[[2]string]bool) (names []string) {
	for key, on := range firing {
		if on {
			names = append(names, key[0])
		}
	}
	return names
}

// acknowledged looks for the first acknowledgement of the i-th injection: one
// of the disruption, of anything, or of an alert.
func (t *timeline) acknowledged(i int, name string) noticed {
	s, in := t.attention(i), t.injections[i]
	n := noticed{seen: float64(s.to-s.from) / 1e6}
	for _, a := range t.heard.acks {
		if a.at < s.from || a.at >= s.to {
			continue
		}
		alert := slices.ContainsFunc(t.heard.alerts, func(x notice) bool { return x.name == a.name && x.at <= a.at })
		if name != "" && a.name != name || a.name != "" && !in.of(a.name) && !alert {
			continue
		}
		n.found, n.after, n.what = true, float64(a.at-s.from)/1e6, a.by
		if !in.of(a.name) {
			n.doubt = t.together(i, a.at)
		}
		return n
	}
	return n
}

// together names a disruption other than the i-th that was in effect at a
// moment, "" when there was none.
func (t *timeline) together(i int, at int64) string {
	for _, other := range t.injections {
		if other.name != t.injections[i].name && other.from <= at && at < other.to {
			return other.name
		}
	}
	return ""
}

// notice judges how long it took until a disruption was noticed: the longest
// of all its injections counts, and one that was never noticed is longer.
func (j *judge) notice(c *job, check *Check) {
	limit, _ := constant(c.gate.Value)
	check.Limit, check.Objective = finite(limit), string(c.gate.Op)+" "+unitText(limit, UnitTime)
	n, count := j.slowest(c.row.Name, c.gate.Of, c.inst.period.Name)
	check.Samples = count
	if n.doubt != "" {
		check.warn("%s was in effect at that moment, too: which of the two was meant is not known", n.doubt)
	}
	if !n.found {
		j.unnoticed(c, n, limit, check)
		return
	}
	check.Value, check.Observed, check.Evidence = finite(n.after), unitText(n.after, UnitTime), n.text(c.row.Name)
	if meets(n.after, c.gate.Op, limit) {
		check.Outcome = Pass
		return
	}
	check.broke("%s took %s, which is not %s", c.gate.Subject(), unitText(n.after, UnitTime), check.Objective)
}

func (n noticed) text(sli string) string {
	if sli == "acknowledgement" {
		return fmt.Sprintf("acknowledged by %s %s after injection", cmp.Or(n.what, "somebody"), unitText(n.after, UnitTime))
	}
	return fmt.Sprintf("%s fired %s after injection", n.what, unitText(n.after, UnitTime))
}

// slowest gives the injection of a disruption that took longest to be noticed,
// and how many there were.
func (j *judge) slowest(sli, name, of string) (worst noticed, count uint64) {
	t := j.now.timeline
	for i, in := range t.injections {
		if !in.of(of) {
			continue
		}
		n := t.detected(i, name)
		if sli == "acknowledgement" {
			n = t.acknowledged(i, name)
		}
		count++
		if count == 1 || worst.found && !n.found || worst.found == n.found && n.length() > worst.length() {
			worst = n
		}
	}
	return worst, count
}

func (n noticed) length() float64 {
	if n.found {
		return n.after
	}
	return n.seen
}

// unnoticed judges a disruption that was not noticed: a failure when somebody
// listened for longer than the objective allows.
func (j *judge) unnoticed(c *job, n noticed, limit float64, check *Check) {
	listened, how := j.now.timeline.heard.hearAlerts, "set alerts: in the plan, with from: for a Prometheus to ask, or send Alertmanager's webhook there, or POST {\"name\": ..., \"state\": \"firing\"} to $RESILIENCE_ALERTS_URL"
	what := "no alert began to fire"
	if c.gate.Of != "" {
		what = "no alert " + c.gate.Of + " began to fire"
	}
	if c.row.Name == "acknowledgement" {
		listened, how, what = j.now.timeline.heard.hearBy, "run resilience ack while the disruption is in effect", "nobody acknowledged it"
	}
	if !listened {
		check.doubt(Evidence, "nobody listened: %s", how)
		return
	}
	check.Observed = "not within " + unitText(n.seen, UnitTime)
	if n.already != "" {
		check.warn("%s was firing before the disruption already, so that it could not tell of it", n.already)
	}
	if c.gate.Op[0] == '<' && !meets(n.seen, c.gate.Op, limit) {
		check.broke("%s in the %s after %s was injected", what, unitText(n.seen, UnitTime), c.inst.period.Name)
		return
	}
	longer := "let the test run longer"
	if c.row.Name != "acknowledgement" {
		longer = cmp.Or(j.now.timeline.heard.why, longer)
	}
	check.doubt(Evidence, "%s in the %s that were watched after %s was injected; %s", what, unitText(n.seen, UnitTime), c.inst.period.Name, longer)
}

// OfTimes reports whether a gate is judged by the times of events alone, so
// that it needs no attempts in its period: detection, acknowledgement, alert.
func OfTimes(g Gate) bool { return slis[g.SLI].kind == noticeKind && g.SLI != "" }

// remember adds to the summary of each disruption when it was noticed and
// how long recovery took, where anything in the record tells.
func (j *judge) remember() {
	heard := j.now.timeline.heard
	for i := range j.bitten {
		d := &j.bitten[i]
		if d.Injected.IsZero() {
			continue
		}
		if n, _ := j.slowest("detection", "", d.Name); n.found {
			d.Detected, d.Alert = finite(n.after), n.what
		} else {
			d.Undetected = heard.hearAlerts
		}
		if n, _ := j.slowest("acknowledgement", "", d.Name); n.found {
			d.Acknowledged, d.By = finite(n.after), n.what
		}
	}
	for _, c := range j.recoveries {
		check := Check{}
		if c.missing == "" {
			j.recovery(c, "", &check)
		}
		for i := range j.bitten {
			if d := &j.bitten[i]; d.Name == c.inst.period.Name {
				d.Recovered = check.Value
			}
		}
	}
}

// askRecoveries asks for what it takes to tell how long each disruption took
// to recover from, whether or not a gate wants to know.
func (j *judge) askRecoveries(all []Gate) {
	if heard := j.now.timeline.heard; !heard.hearAlerts && len(heard.acks) == 0 {
		return
	}
	for _, name := range j.now.timeline.disruptionNames() {
		g := Gate{SLI: "recovery", Op: "<=", Value: Value{Kind: "number", Number: math.MaxInt32, Unit: "ms"}, Period: Period{Kind: After, Name: name}}
		c := &job{gate: g, inst: j.now.timeline.instance(g.Period)}
		c.row, _ = lookUp("recovery")
		if c.missing = c.inst.missing; c.missing == "" {
			j.findCompanions(c, all)
		}
		j.recoveries = append(j.recoveries, c)
	}
}
