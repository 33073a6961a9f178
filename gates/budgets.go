package gates

import (
	"maps"
	"math"
	"slices"
	"time"

	"resilience/gates/evidence"
)

// Budget sums up an objective and what is left of its error budget.
type Budget struct {
	Objective string  `json:"objective"`        // its name
	Share     float64 `json:"share"`            // promised, 0 to 1
	Over      float64 `json:"over_seconds"`     // the window
	Nines     float64 `json:"nines"`            // 3 for 99.9 %
	Downtime  float64 `json:"downtime_seconds"` // total outage that the window allows

	Left   *float64 `json:"left,omitempty"`   // share of the budget; less than 0 when the promise is broken; nil when not known
	Burns  []Burn   `json:"burns"`            // over each window that is known, the shortest first; this run's own at last
	Firing []Fired  `json:"firing,omitempty"` // rules of burn alerts
	Cost   *Cost    `json:"cost,omitempty"`   // nil when the plan does not say what is earned
	Reason string   `json:"reason,omitempty"` // why its events were not counted
}

// Burn is how fast a budget was spent over one window.
type Burn struct {
	Window float64 `json:"window_seconds"`     // of this run: how long its traffic was looked at
	Run    bool    `json:"this_run,omitempty"` // these are attempts of this run in its steady period
	Good   uint64  `json:"good"`
	Total  uint64  `json:"total"`
	Rate   float64 `json:"rate"`  // 1 uses the budget up in just its window
	Low    float64 `json:"low"`   // 95 % interval of the rate
	High   float64 `json:"high"`  //
	Spent  float64 `json:"spent"` // share of the budget that this window used up
}

// Fired is a rule of a burn alert that fires.
type Fired struct {
	Severity string  `json:"severity"` // page or ticket
	Rate     float64 `json:"rate"`     // over which it fires
	Long     float64 `json:"long_seconds"`
	Short    float64 `json:"short_seconds"`
}

// Cost is what failures cost, by the revenue that the plan gives.
type Cost struct {
	Currency  string   `json:"currency,omitempty"`
	PerMinute float64  `json:"per_minute"`         // of a total outage
	Budget    float64  `json:"budget"`             // when all of the budget is used up
	Spent     *float64 `json:"spent,omitempty"`    // of what failed over the objective's window; nil when not known
	Run       *float64 `json:"this_run,omitempty"` // if users had met the failures of this run for as long as it took
}

// summaryConfidence is that of the intervals in summaries.
const summaryConfidence = 0.95

// ownSpending is what this run itself shows of an objective.
type ownSpending struct {
	promise promise
	acc     *accumulator // nil where its events are counted elsewhere
}

// askSummaries asks for what it takes to sum up objectives and the model,
// whether or not a gate wants to know.
func (j *judge) askSummaries() {
	steady := j.now.timeline.instance(Period{Kind: Steady})
	for _, o := range j.record.Objectives {
		own := ownSpending{promise: j.promised(o)}
		if own.promise.windows == nil && own.promise.missing == "" {
			own.acc = j.askAttempts(o.Of, Gate{}, steady)
		}
		j.promises = append(j.promises, own)
	}
	if j.record.Model != nil {
		j.steady = j.askModel(Gate{}, steady)
		j.attempts = j.askAttempts("", Gate{}, steady)
	}
}

// budgets sums up every objective of the plan.
func (j *judge) budgets() (all []Budget) {
	for _, own := range j.promises {
		p := own.promise
		b := p.Objective.promised()
		b.Reason = p.missing
		if p.valid() {
			if own.acc != nil {
				r := j.now.reading(own.acc, "")
				b.add(p.Objective, Tally{r.count - r.failed, r.count}, time.Duration(r.running.length()), true)
			}
			b.count(p.Objective, p.windows)
		}
		all = append(all, b)
	}
	return all
}

// Budget sums up the objective by the events in windows that end now, those of
// [BurnWindows] or some of them.
func (o Objective) Budget(windows map[time.Duration]Tally) Budget {
	b := o.promised()
	if !o.valid() {
		b.Reason = "the objective " + o.Name + " promises nothing that can be judged"
		return b
	}
	b.count(o, windows)
	return b
}

// promised is what the objective says by itself.
func (o Objective) promised() Budget {
	b := Budget{Objective: o.Name, Share: o.Share, Over: o.Over.Seconds(), Burns: []Burn{}}
	if !o.valid() {
		return b
	}
	b.Nines, b.Downtime = o.Nines(), o.Downtime().Seconds()
	if r := o.Revenue; r != nil {
		b.Cost = &Cost{Currency: r.Currency, PerMinute: r.PerMinute, Budget: r.Lost(1, o.Downtime())}
	}
	return b
}

// count notes the events of all windows and the rules that fire.
func (b *Budget) count(o Objective, windows map[time.Duration]Tally) {
	for _, window := range slices.Sorted(maps.Keys(windows)) {
		b.add(o, windows[window], window, false)
	}
	for _, r := range o.Firing(func(w time.Duration) (Tally, bool) { t, known := windows[w]; return t, known }, summaryConfidence) {
		b.Firing = append(b.Firing, Fired{r.Severity, r.Burn, r.Long.Seconds(), r.Short.Seconds()})
	}
}

// add notes the events of one window; nothing is known of one without any.
func (b *Budget) add(o Objective, t Tally, window time.Duration, run bool) {
	if t.Total == 0 {
		return
	}
	i := evidence.Share(t.Bad(), t.Total, summaryConfidence)
	b.Burns = append(b.Burns, Burn{
		Window: window.Seconds(), Run: run, Good: t.Good, Total: t.Total, Rate: o.Burn(t),
		Low: i.Low / o.Allowed(), High: i.High / o.Allowed(), Spent: o.Spent(t, window),
	})
	if window == o.Over && !run {
		b.Left = finite(o.Left(t))
	}
	switch {
	case b.Cost == nil:
	case run:
		b.Cost.Run = finite(o.Revenue.Lost(t.Failed(), window))
	case window == o.Over:
		b.Cost.Spent = finite(o.Revenue.Lost(t.Failed(), window))
	}
}

// length is how long the spans are together; those without an end do not count.
func (s spans) length() (sum int64) {
	for _, p := range s {
		if p.from > math.MinInt64 && p.to < math.MaxInt64 {
			sum += p.to - p.from
		}
	}
	return sum
}
