package canary

import (
	"cmp"
	"maps"
	"slices"

	"resilience/internal/measure"
)

// Group is what attempts have in common; empty fields are not looked at.
type Group struct {
	Transaction string `json:"transaction,omitempty"`
	Tenant      string `json:"tenant,omitempty"`
	Class       string `json:"class,omitempty"`
	Cell        string `json:"cell,omitempty"`
	Region      string `json:"region,omitempty"`
}

// groupBy tells what a series has of each key.
var groupBy = map[string]func(*Group, measure.Series){
	"transaction": func(g *Group, s measure.Series) { g.Transaction = s.Transaction },
	"tenant":      func(g *Group, s measure.Series) { g.Tenant = s.Tenant },
	"class":       func(g *Group, s measure.Series) { g.Class = s.Class },
	"cell":        func(g *Group, s measure.Series) { g.Cell = s.Cell },
	"region":      func(g *Group, s measure.Series) { g.Region = s.Region },
}

// Served is how one group was served. There are no intervals: attempts that fail
// in one outage fail together, so that one which takes each by itself would be
// far too narrow.
type Served struct {
	Group
	Availability Share  `json:"availability"` // accepted by the front door
	Reliability  Share  `json:"reliability"`  // right, of those whose outcome was looked at
	Good         Share  `json:"good"`         // what a user would call served: accepted, not wrong, and in time
	Degraded     Share  `json:"degraded"`     // that needed a retry, of those that came to good: here Part counts what is not well
	Unfinished   uint64 `json:"unfinished"`   // that had no end when their time was over
}

// Share is a part of a number of attempts.
type Share struct {
	Part  uint64   `json:"part"`
	Of    uint64   `json:"of"`
	Share *float64 `json:"share,omitempty"` // 0 to 1; nil of none, because then it is not known
}

func (s *Share) add(part, of uint64) {
	s.Part, s.Of = s.Part+min(part, of), s.Of+of
	if s.Of > 0 {
		share := float64(s.Part) / float64(s.Of)
		s.Share = &share
	}
}

// Serve tells how users were served by windows of a canary's history, for each
// group of them by the keys: transaction, tenant, class, cell and region; all in
// one without any. Tenants are told apart by days alone. Answers of the health
// endpoint are left out. The groups come sorted. A key that is none is ignored.
func Serve(windows []measure.Window, keys ...string) []Served {
	all := newServing(keys...)
	all.add(windows)
	return all.sorted()
}

// serving tells how users were served by windows that come bit by bit.
type serving struct {
	keys   []string
	groups map[Group]*Served
}

func newServing(keys ...string) serving { return serving{keys, map[Group]*Served{}} }

func (s serving) add(windows []measure.Window) {
	for _, w := range windows {
		if w.Series.Transaction == healthName {
			continue
		}
		var g Group
		for _, key := range s.keys {
			if set := groupBy[key]; set != nil {
				set(&g, w.Series)
			}
		}
		one := s.groups[g]
		if one == nil {
			one = &Served{Group: g}
			s.groups[g] = one
		}
		one.add(w)
	}
}

func (s serving) sorted() []Served {
	served := make([]Served, 0, len(s.groups))
	for _, g := range slices.SortedFunc(maps.Keys(s.groups), Group.compare) {
		served = append(served, *s.groups[g])
	}
	return served
}

func (s *Served) add(w measure.Window) {
	well := w.Count - min(w.Failed, w.Count)
	switch w.Series.Metric {
	case measure.MetricTransaction:
		s.Availability.add(well, w.Count)
		s.Unfinished += w.Unfinished
	case measure.MetricOutcome:
		s.Reliability.add(well, w.Count)
	case measure.MetricGood:
		s.Good.add(well, w.Count)
	case measure.MetricRetried:
		s.Degraded.add(w.Failed, w.Count)
	}
}

func (g Group) compare(o Group) int {
	return cmp.Or(
		cmp.Compare(g.Transaction, o.Transaction), cmp.Compare(g.Region, o.Region), cmp.Compare(g.Cell, o.Cell),
		cmp.Compare(g.Class, o.Class), cmp.Compare(g.Tenant, o.Tenant),
	)
}
