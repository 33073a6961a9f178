package canary

import (
	"slices"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// rule gathers evidence for one rule of the plan and keeps its incident.
type rule struct {
	name  string
	plan  plan.CanaryRule
	size  int // of rings: the most attempts that a trigger looks at
	units map[Unit]*evidence
	burns []burn
	open  *Incident
	ended []int64 // when its last incidents closed, for flapping
	floor int64   // what began before is of an incident that is over
}

// burn is a trigger that looks at how fast an error budget is spent.
type burn interface {
	// Add takes in an attempt of the objective.
	Add(a measure.Attempt)
	// Fires reports whether the budget is spent too fast now, since when, and in
	// words.
	Fires(now int64) (since int64, words string, fires bool)
}

func newRule(name string, p plan.CanaryRule, burns []burn) *rule {
	r := &rule{name: name, plan: p, units: map[Unit]*evidence{}, burns: burns}
	for _, t := range p.Open {
		r.size = max(r.size, t.Of)
	}
	return r
}

// covers reports whether a rule is about a transaction or heartbeat.
func (r *rule) covers(transaction string) bool {
	return transaction != healthName && (len(r.plan.Of) == 0 || slices.Contains(r.plan.Of, transaction))
}

// unit is what an attempt is evidence for.
func (r *rule) unit(s measure.Series) Unit {
	value := map[string]string{"tenant": s.Tenant, "class": s.Class, "cell": s.Cell, "region": s.Region}[r.plan.By]
	if value == "" {
		return Unit{Transaction: s.Transaction}
	}
	return Unit{Transaction: s.Transaction, Key: r.plan.By, Value: value}
}

// add takes in an attempt and gives the evidence that it belongs to.
func (r *rule) add(a measure.Attempt) *evidence {
	unit := r.unit(a.Series)
	e := r.units[unit]
	if e == nil {
		e = &evidence{unit: unit, ring: newRing(r.size)}
		r.units[unit] = e
	}
	for _, b := range r.burns {
		b.Add(a)
	}
	if a.At >= r.floor || a.Good() {
		e.add(a.At, a.Good(), a.Message)
	}
	return e
}

// look opens an incident when the evidence of a unit is enough, or adds the unit
// to the one that is open; it reports whether either happened.
func (r *rule) look(e *evidence, now int64) bool {
	if r.open != nil && slices.Contains(r.open.Units, e.unit) {
		return false
	}
	for _, t := range r.plan.Open {
		since, words, met := e.meets(t)
		if !met {
			continue
		}
		if r.open == nil {
			r.begin(since, now, words)
		}
		r.join(e)
		return true
	}
	return false
}

// burning opens an incident when a budget is spent too fast; it is about every
// unit that took part in that. It reports whether it did.
func (r *rule) burning(now int64) bool {
	for _, b := range r.burns {
		since, words, fires := b.Fires(now)
		if !fires || r.open != nil {
			continue
		}
		r.begin(since, now, words)
		for _, e := range r.units {
			if e.lastBad >= since {
				r.join(e)
			}
		}
		return true
	}
	return false
}

// begin opens an incident.
func (r *rule) begin(since, now int64, words string) {
	r.open = &Incident{
		ID:   time.Unix(0, since).UTC().Format("20060102T150405Z") + "-" + r.name,
		Rule: r.name, Severity: r.plan.Severity, Owner: r.plan.Owner, Runbook: r.plan.Runbook,
		Start: since, Detected: now, Evidence: words,
	}
}

// resume goes on with an incident that was open when the daemon ended. Units that
// are asked for no more, because the plan has changed, can not become good.
func (r *rule) resume(i Incident, known func(Unit) bool) {
	i.Units = slices.DeleteFunc(i.Units, func(u Unit) bool { return !known(u) })
	for _, unit := range i.Units {
		r.units[unit] = &evidence{unit: unit, ring: newRing(r.size), lastBad: i.Detected}
	}
	r.open = &i
}

// join makes a unit one of those that the incident is about: it closes when all
// of them are good again.
func (r *rule) join(e *evidence) {
	r.open.Units = append(r.open.Units, e.unit)
	slices.SortFunc(r.open.Units, compareUnits)
	r.open.Start = min(r.open.Start, e.firstBad(r.open.Start))
	r.count(e.messages...)
	r.open.Bad += uint64(e.bad.length)   //nolint:gosec // never negative
	r.open.Total += uint64(e.bad.length) //nolint:gosec // never negative
}

// firstBad is when the row of bad attempts began; otherwise when there is none.
func (e *evidence) firstBad(otherwise int64) int64 {
	if e.bad.length == 0 {
		return otherwise
	}
	return e.bad.first
}

// count keeps what went wrong, each message once.
func (r *rule) count(messages ...string) {
	for _, m := range messages {
		if m != "" && len(r.open.Messages) < measure.MaxExamples && !slices.Contains(r.open.Messages, m) {
			r.open.Messages = append(r.open.Messages, m)
		}
	}
}

// blame counts a bad attempt for whom it was made as.
func (r *rule) blame(s measure.Series) {
	if r.open.BadBy == nil {
		r.open.BadBy = map[string]map[string]uint64{}
	}
	for key, value := range map[string]string{"tenant": s.Tenant, "class": s.Class, "cell": s.Cell, "region": s.Region} {
		counts := r.open.BadBy[key]
		if counts == nil {
			counts = map[string]uint64{}
			r.open.BadBy[key] = counts
		}
		if _, known := counts[value]; !known && len(counts) >= maxBadBy {
			value = measure.Overflow
		}
		counts[value]++
	}
}

// over reports whether the incident that is open is over, and since when: all of
// its units have had so many good attempts in a row, and none a bad one for long
// enough.
func (r *rule) over(now int64) (end int64, is bool) {
	if end = now; len(r.open.Units) > 0 {
		end = 0
	}
	for _, unit := range r.open.Units {
		e := r.units[unit]
		if e.good.length < r.plan.Close.Row || now-e.lastBad < int64(r.quiet(now)) {
			return 0, false
		}
		end = max(end, e.good.first)
	}
	for _, b := range r.burns {
		if _, _, fires := b.Fires(now); fires {
			return 0, false
		}
	}
	return end, true
}

// Holding back of rules that flap: those that closed in the last so many quiet
// times count, and each doubles the time, so many times at most.
const (
	flapSpan     = 10
	flapDoubling = 4
)

// quiet is how long nothing may have failed before an incident closes. It is
// longer for a rule that flaps, so that people are told once.
func (r *rule) quiet(now int64) time.Duration {
	quiet := time.Duration(r.plan.Quiet)
	recent := 0
	for _, closed := range r.ended {
		if now-closed < flapSpan*int64(quiet) {
			recent++
		}
	}
	return quiet << min(recent, flapDoubling)
}

// end closes the incident that is open and gives it.
func (r *rule) end(at, now int64) Incident {
	done := *r.open
	done.End, done.Closed = at, now
	for _, unit := range done.Units {
		r.units[unit].settle()
	}
	r.floor, r.open = at, nil
	r.ended = append(r.ended[max(0, len(r.ended)-flapSpan):], now)
	return done
}
