package gates

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Objective is a promise to users about the share of good events over a window
// that moves with time: a service level objective. What it allows to go wrong is
// its error budget (Google, Site Reliability Engineering, chapter 3, and The
// Site Reliability Workbook, chapters 2 and 5).
type Objective struct {
	Name    string        `json:"name"`
	Share   float64       `json:"share"`             // of events that are good; over 0 and under 1
	Over    time.Duration `json:"over"`              // the window, such as 28 days; in JSON in nanoseconds
	Of      string        `json:"of,omitempty"`      // a transaction, step or route of the run; "" for all
	Queried bool          `json:"queried,omitempty"` // its events are counted elsewhere: those of a run say nothing of it
	Revenue *Revenue      `json:"revenue,omitempty"` // nil when it is not known
}

// Revenue is what a service earns while it works.
type Revenue struct {
	PerMinute float64 `json:"per_minute"`         // 0 or more
	Currency  string  `json:"currency,omitempty"` // such as EUR; "" for no special one
}

// Tally counts events: all, and the good ones of them.
type Tally struct {
	Good  uint64 `json:"good"`
	Total uint64 `json:"total"`
}

// Bad counts the events that were not good.
func (t Tally) Bad() uint64 { return t.Total - min(t.Good, t.Total) }

// Failed is the share of events that were not good, 0 to 1; NaN without events.
func (t Tally) Failed() float64 {
	if t.Total == 0 {
		return math.NaN()
	}
	return float64(t.Bad()) / float64(t.Total)
}

// Allowed is the share of events that may be bad: the error budget. It is
// rounded to 12 decimals, so that that of 99.95 % is the nearest number to
// 0.0005.
func (o Objective) Allowed() float64 { return math.Round((1-o.Share)*1e12) / 1e12 }

// valid reports whether something may fail, and something must not.
func (o Objective) valid() bool { return o.Allowed() > 0 && o.Allowed() < 1 && o.Over > 0 }

// Nines is how many nines the promise has: 3 for 99.9 %, 3.3 for 99.95 %.
func (o Objective) Nines() float64 { return math.Round(-math.Log10(o.Allowed())*1e9) / 1e9 }

// Downtime is how long everything may fail in one window: 43 min 12 s for
// 99.9 % over 30 days. Half of the events may fail for twice as long.
func (o Objective) Downtime() time.Duration {
	return time.Duration(math.Round(o.Allowed() * float64(o.Over)))
}

// Burn is how many times faster than allowed the budget is spent: at 1 it is
// gone just when the window is over. It is the share of bad events, divided by
// the one that is allowed; NaN without events.
func (o Objective) Burn(t Tally) float64 { return t.Failed() / o.Allowed() }

// Left is the share of the budget that is left, if these are the events of one
// whole window: 1 when none was bad, 0 when it is used up, less than 0 when the
// promise is broken; NaN without events.
func (o Objective) Left(t Tally) float64 { return 1 - o.Burn(t) }

// Spent is the share of the budget that a stretch of time uses up if these are
// its events, and the rest of the window has as many in a second: the burn rate
// by the part of the window that the stretch is. NaN without events.
func (o Objective) Spent(t Tally, stretch time.Duration) float64 {
	return o.Burn(t) * float64(stretch) / float64(o.Over)
}

// Lost is what it costs when a share of all that users try fails for a time:
// share x minutes x revenue per minute. So it takes revenue to come evenly over
// time and over attempts, and each failed attempt to be a lost one: nobody
// comes back later.
func (r Revenue) Lost(share float64, stretch time.Duration) float64 {
	return share * stretch.Minutes() * r.PerMinute
}

// amountText writes an amount of money: 1,200 EUR, 0.42.
func (r Revenue) amountText(amount float64) string {
	whole, cents := math.Modf(math.Round(amount*100) / 100)
	text := countText(uint64(min(whole, 1e18)))
	if whole < 100 && cents > 0 {
		text += strings.TrimPrefix(fmt.Sprintf("%.2f", cents), "0")
	}
	return strings.TrimSpace(text + " " + r.Currency)
}

// spanText writes a length of time in its two greatest units: 28d, 40m19s, 6h.
func spanText(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	d = d.Round(time.Second)
	var parts []string
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := d / u.unit; n > 0 {
			parts, d = append(parts, fmt.Sprintf("%d%s", n, u.name)), d%u.unit
		} else if len(parts) > 0 {
			break
		}
		if len(parts) == 2 {
			break
		}
	}
	return strings.Join(parts, "")
}
