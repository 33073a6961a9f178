package gates

import (
	"math"
	"slices"
	"time"

	"resilience/gates/evidence"
)

// BurnAlert is a rule for the speed at which a budget is spent: it fires while
// the burn rate over both of its windows is higher than it allows. The long
// window makes sure that enough of the budget is gone to matter, the short one
// that it goes on (The Site Reliability Workbook, chapter 5, "multiwindow,
// multi-burn-rate alerts").
type BurnAlert struct {
	Severity string        // page, for somebody to come now, or ticket
	Consumed float64       // share of the budget that is gone when Long burned at Burn
	Burn     float64       // the rate over which it fires
	Long     time.Duration // the first window
	Short    time.Duration // a twelfth of it
}

// Severities of burn alerts.
const (
	Page   = "page"
	Ticket = "ticket"
)

// slowest is the least burn rate that is worth an alert: at 1 a budget lasts
// just as long as it should. It is a little less, so that the rules for 30
// days, where the slowest has 1, serve for 28, too, where it has 0.93.
const slowest = 0.9

// BurnAlerts gives the rules for an objective over a window of such a length:
// those that the workbook recommends. It has 30 days, where they fire at a
// burn rate of 14.4, 6 and 1. Over another window the same share of the budget
// is gone (2 %, 5 % and 10 %) at another rate; a rule that would fire at one at
// which the budget lasts is left out, and so is one longer than the window.
func BurnAlerts(over time.Duration) []BurnAlert {
	var rules []BurnAlert
	for _, r := range []BurnAlert{
		{Severity: Page, Consumed: 0.02, Long: time.Hour},
		{Severity: Page, Consumed: 0.05, Long: 6 * time.Hour},
		{Severity: Ticket, Consumed: 0.10, Long: 72 * time.Hour},
	} {
		r.Short = r.Long / 12
		r.Burn = math.Round(r.Consumed*float64(over)/float64(r.Long)*1e9) / 1e9
		if r.Burn >= slowest && r.Long < over {
			rules = append(rules, r)
		}
	}
	return rules
}

// BurnRules gives the rules of an objective that can tell of such a severity: for
// [Page] those that page, for any other all of them, since what can not wait has to
// be told there, too. A rule whose rate not even a total outage reaches is left out.
func (o Objective) BurnRules(severity string) []BurnAlert {
	var rules []BurnAlert
	for _, r := range BurnAlerts(o.Over) {
		if (r.Severity == Page || severity != Page) && r.Burn*o.Allowed() < 1 {
			rules = append(rules, r)
		}
	}
	return rules
}

// BurnWindows gives every window whose counts it takes to judge an objective:
// those of its rules and its own, the shortest first.
func BurnWindows(over time.Duration) []time.Duration {
	windows := []time.Duration{over}
	for _, r := range BurnAlerts(over) {
		windows = append(windows, r.Short, r.Long)
	}
	slices.Sort(windows)
	return slices.Compact(windows)
}

// Firing gives the rules of an objective that fire. Counts gives the events in
// the window of such a length that ends now, false when they are not known: a
// rule with such a window does not fire. A few events say little about a rate:
// a rule fires when the burn rate over both windows is over its own at the
// confidence (0.5 to 0.9999), by the exact binomial test; with many events that
// is the estimate.
func (o Objective) Firing(counts func(time.Duration) (Tally, bool), confidence float64) []BurnAlert {
	var firing []BurnAlert
	for _, r := range BurnAlerts(o.Over) {
		over := func(window time.Duration) bool {
			t, known := counts(window)
			return known && evidence.Excludes(t.Bad(), t.Total, r.Burn*o.Allowed(), confidence)
		}
		if over(r.Long) && over(r.Short) {
			firing = append(firing, r)
		}
	}
	return firing
}

// Bucket counts the events from one moment up to another, in Unix nanoseconds.
type Bucket struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
	Tally
}

// History is counts by time, in any order.
type History []Bucket

// Counts adds up the buckets that began and ended in the window of such a length
// before a moment, in Unix nanoseconds; false when there is none. Where the
// history is shorter than the window it gives what there is.
func (h History) Counts(at int64, window time.Duration) (t Tally, known bool) {
	for _, b := range h {
		if b.From >= at-int64(window) && b.To <= at {
			t.Good, t.Total, known = t.Good+min(b.Good, b.Total), t.Total+b.Total, true
		}
	}
	return t, known
}
