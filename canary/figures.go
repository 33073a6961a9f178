package canary

import (
	"encoding/json"
	"fmt"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Figures are what can be computed of a stretch of a canary's history; how, is
// said in docs/reliability.md.
type Figures struct {
	From      int64                  `json:"from"`
	To        int64                  `json:"to"`
	Overall   Reliability            `json:"overall"` // incidents of all rules
	Rules     map[string]Reliability `json:"rules"`   // of each
	Served    map[string][]Served    `json:"served"`  // by transaction, cell, region and tenant; tenants by whole days
	Objective []gates.Budget         `json:"objectives"`
	Health    *HealthAgreement       `json:"health,omitempty"` // nil without a health endpoint
}

// beganDocument says when the canary that a state belongs to began.
const beganDocument = "began"

// began is when a state saw its canary first: before, nobody looked. It is 0
// when it never did.
func began(s State) (at int64, err error) {
	documents, err := s.Documents(beganDocument)
	if text, is := documents[beganDocument]; err == nil && is {
		err = json.Unmarshal(text, &at)
	}
	if err != nil {
		return 0, fmt.Errorf("since when the canary runs: %w", err)
	}
	return at, nil
}

// ComputeFigures computes those of [from, to), in Unix nanoseconds; what lies
// before the canary began is left out. Objectives are always those of now.
func ComputeFigures(s State, c plan.Canary, objectives []gates.Objective, from, to int64) (Figures, error) {
	since, err := began(s)
	if err != nil {
		return Figures{}, err
	}
	incidents, err := Incidents(s)
	if err != nil {
		return Figures{}, err
	}
	o := Observation{From: min(max(from, since), to), To: to}
	f := Figures{From: o.From, To: to, Rules: map[string]Reliability{}}
	if err := f.serve(s, c, &o); err != nil {
		return Figures{}, err
	}
	o.Planned = PlannedSpans(c.Maintenance, nil)
	f.Overall = o.Reliability(incidents)
	if c.Health != nil {
		agreement, err := o.AskHealth(s, incidents, int64(longest(c)))
		if err != nil {
			return Figures{}, err
		}
		f.Health = &agreement
	}
	for rule, p := range c.Alerts {
		o.Planned = PlannedSpans(c.Maintenance, p.Of)
		f.Rules[rule] = o.Reliability(OfRule(incidents, rule))
	}
	f.Objective, err = budgets(s, objectives, to)
	return f, err
}

// serve tells how users were served, and finds out when nobody looked.
func (f *Figures) serve(s State, c plan.Canary, o *Observation) error {
	by := map[string]serving{}
	for _, key := range []string{"transaction", "cell", "region", "tenant"} {
		by[key] = newServing(key)
	}
	width := widthFor(o.To - o.From)
	var tried []measure.Window
	err := eachPage(s, o.From-o.From%int64(width), o.To, width, func(windows []measure.Window) {
		tried = appendTried(tried, windows)
		for key, serving := range by {
			if key != "tenant" {
				serving.add(windows)
			}
		}
	})
	if err != nil {
		return err
	}
	if err := eachPage(s, o.From-o.From%day, o.To, time.Duration(day), by["tenant"].add); err != nil {
		return err
	}
	f.Served = map[string][]Served{}
	for key, serving := range by {
		f.Served[key] = serving.sorted()
	}
	o.Unseen = Unseen(tried, o.From, o.To, 2*max(width, shortest(c)))
	return nil
}

// widthFor is the width of windows that tell of so long a time well enough.
func widthFor(length int64) time.Duration {
	switch {
	case length <= int64(6*time.Hour):
		return time.Minute
	case length <= 60*day:
		return time.Hour
	}
	return time.Duration(day)
}

// shortest is the shortest interval of all transactions; 0 without any.
func shortest(c plan.Canary) (every time.Duration) {
	for _, t := range c.Transactions {
		if every == 0 || time.Duration(t.Every) < every {
			every = time.Duration(t.Every)
		}
	}
	return every
}

// longest is the longest interval of all transactions.
func longest(c plan.Canary) (every time.Duration) {
	for _, t := range c.Transactions {
		every = max(every, time.Duration(t.Every))
	}
	return every
}

// budgets sums up objectives at a moment.
func budgets(s State, objectives []gates.Objective, at int64) ([]gates.Budget, error) {
	known, err := NewBurnHistory(objectives, s, at)
	if err != nil {
		return nil, err
	}
	all := []gates.Budget{}
	for _, o := range objectives {
		m := NewBurnMeter(o, gates.Page, func(name string) bool { return name != healthName && name != measure.Overflow })
		m.Restore(known)
		all = append(all, m.Budget(at))
	}
	return all, nil
}
