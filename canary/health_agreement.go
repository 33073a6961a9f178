package canary

import (
	"slices"
	"time"

	"resilience/internal/measure"
)

// HealthSaid is what a health endpoint answered at a moment, or in a time.
type HealthSaid struct {
	From, To  int64 // Unix nanoseconds; a moment is one where both are the same
	Healthy   uint64
	Unhealthy uint64
}

// HealthAgreement says how far a health endpoint told what users saw. Of several
// times they can be added up.
type HealthAgreement struct {
	Share *float64 `json:"share,omitempty"` // of answers that said what users saw, 0 to 1; nil without any that can be compared

	Healthy   uint64 `json:"healthy_served"`     // right: users were served
	Unhealthy uint64 `json:"unhealthy_unserved"` // right: an incident was going on
	Lies      uint64 `json:"healthy_unserved"`   // said healthy while users were not served
	Alarms    uint64 `json:"unhealthy_served"`   // said unhealthy while they were
	Unclear   uint64 `json:"unclear"`            // of a time in which that changed, or planned maintenance
}

// HealthWindows are the answers that windows of a canary's history tell of, such
// as those of a minute.
func HealthWindows(windows []measure.Window) []HealthSaid {
	var all []HealthSaid
	for _, w := range windows {
		if w.Series.Transaction == healthName && w.Series.Metric == measure.MetricTransaction {
			unhealthy := min(w.Failed, w.Count)
			all = append(all, HealthSaid{From: w.Start, To: w.Start + w.Width, Healthy: w.Count - unhealthy, Unhealthy: unhealthy})
		}
	}
	return all
}

// CompareHealth compares what a health endpoint said in an observation with
// incidents, which are what users saw: they were not served from an incident's
// start to its end. What an incident covers in part, and what was said so many
// nanoseconds (slack) before one began or ended, is unclear: users were served
// for the last time, or not, somewhere between two attempts, so that the slack
// is best the longest interval of a transaction.
func (o Observation) CompareHealth(said []HealthSaid, incidents []Incident, slack int64) HealthAgreement {
	times := o.unserved(incidents, max(slack, 0))
	without := o.clock().without
	var a HealthAgreement
	for _, s := range said {
		if s.From < o.From || max(s.To, s.From+1) > o.To {
			continue
		}
		switch covered, touched := times.of(s); {
		case touched && !covered, slices.ContainsFunc(without, func(p Span) bool { return overlap(p, s) }):
			a.Unclear += s.Healthy + s.Unhealthy
		case covered:
			a.Lies, a.Unhealthy = a.Lies+s.Healthy, a.Unhealthy+s.Unhealthy
		default:
			a.Healthy, a.Alarms = a.Healthy+s.Healthy, a.Alarms+s.Unhealthy
		}
	}
	a.share()
	return a
}

// AskHealth is CompareHealth for what a state knows. Hours in which nothing
// changed are told by their windows, the others by their minutes, as long as
// these are kept.
func (o Observation) AskHealth(s State, incidents []Incident, slack int64) (HealthAgreement, error) {
	times := o.unserved(incidents, max(slack, 0))
	var a HealthAgreement
	var mixed []HealthSaid
	from := o.From - ((o.From%int64(time.Hour))+int64(time.Hour))%int64(time.Hour) // a whole hour
	err := eachPage(s, from, o.To, time.Hour, func(windows []measure.Window) {
		hours := HealthWindows(windows)
		for _, h := range hours {
			if covered, touched := times.of(h); touched && !covered || h.From < o.From || h.To > o.To {
				mixed = append(mixed, h)
			}
		}
		a.Add(o.CompareHealth(slices.DeleteFunc(hours, func(h HealthSaid) bool { return slices.Contains(mixed, h) }), incidents, slack))
	})
	for _, h := range mixed {
		if err != nil {
			break
		}
		var windows []measure.Window
		if windows, err = s.History(max(h.From, o.From), min(h.To, o.To), time.Minute); err == nil {
			a.Add(o.CompareHealth(HealthWindows(windows), incidents, slack))
		}
	}
	return a, err
}

// Add adds what was compared in another time.
func (a *HealthAgreement) Add(o HealthAgreement) {
	a.Healthy, a.Unhealthy = a.Healthy+o.Healthy, a.Unhealthy+o.Unhealthy
	a.Lies, a.Alarms, a.Unclear = a.Lies+o.Lies, a.Alarms+o.Alarms, a.Unclear+o.Unclear
	a.share()
}

func (a *HealthAgreement) share() {
	a.Share = nil
	right := a.Healthy + a.Unhealthy
	if all := right + a.Lies + a.Alarms; all > 0 {
		share := float64(right) / float64(all)
		a.Share = &share
	}
}

// unserved are the times in which users were not served, and those in which
// that is not known.
type unserved struct{ surely, perhaps []Span }

// unserved gives those of incidents, apart and sorted.
func (o Observation) unserved(incidents []Incident, slack int64) (u unserved) {
	for _, i := range incidents {
		end, open := i.until(o.To)
		sure := end
		if !open {
			sure = max(end-slack, i.Start)
		}
		u.surely = append(u.surely, Span{i.Start, sure})
		u.perhaps = append(u.perhaps, Span{i.Start - slack, end})
	}
	u.surely, u.perhaps = union(u.surely), union(u.perhaps)
	return u
}

// of reports whether users were not served in all of a time, and whether they
// may not have been in some of it.
func (u unserved) of(s HealthSaid) (covered, touched bool) {
	covered = slices.ContainsFunc(u.surely, func(p Span) bool { return p.From <= s.From && max(s.To, s.From+1) <= p.To })
	return covered, slices.ContainsFunc(u.perhaps, func(p Span) bool { return overlap(p, s) })
}

func overlap(p Span, s HealthSaid) bool { return p.From < max(s.To, s.From+1) && s.From < p.To }

// union puts spans together that overlap or touch.
func union(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int {
		switch {
		case a.From < b.From:
			return -1
		case a.From > b.From:
			return 1
		}
		return 0
	})
	var all []Span
	for _, s := range spans {
		if n := len(all); n > 0 && s.From <= all[n-1].To {
			all[n-1].To = max(all[n-1].To, s.To)
		} else if s.From < s.To {
			all = append(all, s)
		}
	}
	return all
}
