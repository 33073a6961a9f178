package canary

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Watcher turns attempts into incidents, and incidents into notices. What it
// decides depends on what it is given alone: it has no clock and does no I/O. It
// is not safe for concurrent use.
type Watcher struct {
	options WatchOptions
	rules   []*rule // sorted by name
	units   map[Unit]*UnitStatus
	changed map[string]*Incident // since the last Take
	notices []Notice
	urgent  bool // an incident began, ended or was told of since the last Take
}

// WatchOptions are what a Watcher has to know.
type WatchOptions struct {
	Plan   string // its name
	Canary plan.Canary
	Burn   func(rule plan.CanaryRule, objective string) burn // makes the trigger of an objective
	Agree  func(rule string, now int64) Agreement            // what other locations say; nil when there are none
	Known  func(Unit) bool                                   // whether anything is asked that is evidence for a unit
}

// Agreement is what the locations that can be heard say of a rule.
type Agreement struct {
	Names []string // those where an incident of it is open, sorted; without this one
	Need  int      // how many have to agree, this one included
	Told  bool     // one of them has told its receivers
}

// NewWatcher makes a Watcher for the rules of a canary.
func NewWatcher(o WatchOptions) *Watcher {
	w := &Watcher{options: o, units: map[Unit]*UnitStatus{}, changed: map[string]*Incident{}}
	for _, name := range slices.Sorted(maps.Keys(o.Canary.Alerts)) {
		p := o.Canary.Alerts[name]
		var burns []burn
		for _, t := range p.Open {
			if t.Burn != "" {
				burns = append(burns, o.Burn(p, t.Burn))
			}
		}
		w.rules = append(w.rules, newRule(name, p, burns))
	}
	return w
}

// Restore brings back what was known when the daemon ended: the incidents, of
// which some may be open, and the attempts after which evidence is rebuilt, the
// oldest first.
func (w *Watcher) Restore(incidents []Incident, attempts []measure.Attempt) {
	for _, i := range incidents {
		at := slices.IndexFunc(w.rules, func(r *rule) bool { return r.name == i.Rule })
		switch {
		case at < 0:
		case i.Open():
			w.rules[at].resume(i, w.options.Known)
		default:
			r := w.rules[at]
			r.floor = max(r.floor, i.End)
			r.ended = append(r.ended, i.Closed)
		}
	}
	for _, r := range w.rules {
		slices.Sort(r.ended)
		r.ended = r.ended[max(0, len(r.ended)-flapSpan):]
	}
	for _, a := range attempts {
		w.note(a)
		for _, r := range w.rules {
			if !a.Planned && r.covers(a.Series.Transaction) {
				r.add(a)
			}
		}
	}
}

// Observe takes in an attempt that ended. What fell into planned maintenance is
// evidence of nothing.
func (w *Watcher) Observe(a measure.Attempt, now int64) {
	w.note(a).count(a)
	if a.Planned {
		return
	}
	for _, r := range w.rules {
		if !r.covers(a.Series.Transaction) {
			continue
		}
		e := r.add(a)
		w.count(r, e, a)
		if was := r.open != nil; !a.Good() && r.look(e, now) {
			r.blame(a.Series)
			w.change(r)
			w.urgent = true
			if !was {
				w.tell(r, now)
			}
		}
	}
}

// count adds an attempt to those of the incident that its unit is a part of.
func (w *Watcher) count(r *rule, e *evidence, a measure.Attempt) {
	if r.open == nil || !slices.Contains(r.open.Units, e.unit) || a.At < r.open.Start {
		return
	}
	r.open.Total++
	if !a.Good() {
		r.open.Bad++
		r.count(a.Message)
		r.blame(a.Series)
	}
	w.change(r)
}

// Tick does what only time brings about: it closes what is over, hears other
// locations and reminds people.
func (w *Watcher) Tick(now int64) {
	for _, r := range w.rules {
		if r.open == nil && r.burning(now) {
			w.change(r)
			w.urgent = true
		}
		if r.open == nil {
			continue
		}
		if end, over := r.over(now); over {
			w.close(r, end, now)
			continue
		}
		w.tell(r, now)
		w.remind(r, now)
	}
}

// close ends the incident of a rule. Who was told that it began is told.
func (w *Watcher) close(r *rule, end, now int64) {
	done := r.end(end, now)
	w.changed[done.ID], w.urgent = &done, true
	if done.Told > 0 {
		w.notify(r, done, Closed, now, 0)
	}
}

// handover is how long the location that comes first has to tell people, before
// the next one does.
const handover = 30 * time.Second

// tell tells people of an incident, once, when enough locations agree.
func (w *Watcher) tell(r *rule, now int64) {
	i := r.open
	if i.Told > 0 {
		return
	}
	if w.options.Agree != nil {
		a := w.options.Agree(r.name, now)
		here := w.options.Canary.Location.Name
		agreed := append([]string{here}, a.Names...)
		if !slices.Equal(i.Agreed, agreed) {
			i.Agreed = agreed
			w.change(r)
		}
		if len(agreed) < a.Need {
			return
		}
		before := 0 // locations that come first
		for _, name := range a.Names {
			if name < here {
				before++
			}
		}
		if i.Quorum == 0 {
			i.Quorum = now
			w.change(r)
		}
		if before > 0 && (a.Told || now-i.Quorum < int64(before)*int64(handover)) {
			return
		}
	}
	i.Told = now
	w.change(r)
	w.notify(r, *i, Opened, now, 0)
}

// remind tells people again of what nobody has acknowledged.
func (w *Watcher) remind(r *rule, now int64) {
	i, every := r.open, int64(r.plan.Remind)
	if every == 0 || i.Told == 0 || i.Acked > 0 || w.planned(i.Units) {
		return
	}
	if due := i.Told + int64(i.Reminders+1)*every; now >= due {
		i.Reminders = int((now - i.Told) / every)
		w.change(r)
		w.notify(r, *i, Reminder, now, i.Reminders)
	}
}

// planned reports whether maintenance goes on wherever an incident is.
func (w *Watcher) planned(units []Unit) bool {
	for _, u := range units {
		if s := w.units[u]; s == nil || s.Planned == "" {
			return false
		}
	}
	return len(units) > 0
}

// Ack notes who has acknowledged an incident. One that is not open, or that
// somebody has acknowledged, is an error that says so.
func (w *Watcher) Ack(id, by string, now int64) (Incident, error) {
	for _, r := range w.rules {
		switch {
		case r.open == nil || r.open.ID != id:
			continue
		case r.open.Acked > 0:
			return *r.open, fmt.Errorf("%s has acknowledged incident %s already", r.open.AckedBy, id)
		}
		r.open.Acked, r.open.AckedBy, w.urgent = now, by, true
		w.change(r)
		if r.open.Told > 0 {
			w.notify(r, *r.open, Acknowledged, now, 0)
		}
		return *r.open, nil
	}
	return Incident{}, fmt.Errorf("no incident %s is open", id)
}

// change notes that the incident of a rule has changed.
func (w *Watcher) change(r *rule) { w.changed[r.open.ID] = r.open }

// notify makes a notice for each receiver of a rule.
func (w *Watcher) notify(r *rule, i Incident, kind string, now int64, number int) {
	i, w.urgent = i.clone(), true
	for _, receiver := range r.plan.To {
		id := i.ID + "/" + kind
		if number > 0 {
			id = fmt.Sprintf("%s-%d", id, number)
		}
		n := Notice{ID: id + "/" + receiver, Key: w.key(i), Kind: kind, At: now, Receiver: receiver, Plan: w.options.Plan, Incident: i}
		if l := w.options.Canary.Location; l != nil {
			n.Location = l.Name
		}
		w.notices = append(w.notices, n)
	}
}

// key is by what receivers know that notices belong together. Where several
// locations see an incident each has an id of its own; what they have in common
// is the rule and about when it began, which is not exact enough for a key: then
// it is the rule alone, of which one incident is open at a time.
func (w *Watcher) key(i Incident) string {
	if w.options.Agree != nil {
		return w.options.Plan + "/" + i.Rule
	}
	return w.options.Plan + "/" + i.ID
}

// Take gives what has changed since the last call: incidents by their ids, and
// new notices.
func (w *Watcher) Take() (incidents map[string]Incident, notices []Notice) {
	incidents = map[string]Incident{}
	for id, i := range w.changed {
		incidents[id] = i.clone()
	}
	notices = w.notices
	w.changed, w.notices, w.urgent = map[string]*Incident{}, nil, false
	return incidents, notices
}

func (i Incident) clone() Incident {
	i.Units, i.Messages, i.Agreed = slices.Clone(i.Units), slices.Clone(i.Messages), slices.Clone(i.Agreed)
	i.BadBy = maps.Clone(i.BadBy)
	for key, counts := range i.BadBy {
		i.BadBy[key] = maps.Clone(counts)
	}
	return i
}

// Open gives the incidents that are open, the oldest first.
func (w *Watcher) Open() []Incident {
	open := []Incident{}
	for _, r := range w.rules {
		if r.open != nil {
			open = append(open, r.open.clone())
		}
	}
	slices.SortStableFunc(open, func(a, b Incident) int { return int(a.Start - b.Start) })
	return open
}

// Units gives the state of every unit, sorted.
func (w *Watcher) Units() []UnitStatus {
	all := make([]UnitStatus, 0, len(w.units))
	for _, u := range w.units {
		all = append(all, *u)
	}
	slices.SortFunc(all, func(a, b UnitStatus) int { return compareUnits(a.Unit, b.Unit) })
	return all
}

// note keeps the state of the unit that an attempt is of, whatever the rules.
func (w *Watcher) note(a measure.Attempt) *UnitStatus {
	unit := Unit{Transaction: a.Series.Transaction}
	if a.Series.Cell != "" {
		unit.Key, unit.Value = "cell", a.Series.Cell
	}
	u := w.units[unit]
	if u == nil {
		u = &UnitStatus{Unit: unit, Good: true}
		w.units[unit] = u
	}
	if good := a.Good(); good != u.Good {
		u.Good, u.Row = good, 0
	}
	u.Row++
	u.Last = max(u.Last, a.At)
	if !a.Good() {
		u.Message = a.Message
	}
	return u
}

// Plan says which unit is in maintenance, and why; "" where it is in none.
func (w *Watcher) Plan(reason func(Unit) string) {
	for _, u := range w.units {
		u.Planned = reason(u.Unit)
	}
}
