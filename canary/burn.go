package canary

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// burnConfidence is that at which a burn rate has to be over what a rule allows,
// so that a handful of attempts pages nobody.
const burnConfidence = 0.95

// BurnTrigger reports whether the budget of an objective is spent too fast for a
// rule of such a severity, and in words. Counts gives the events in the window
// of such a length that ends now; false when they are not known.
func BurnTrigger(o gates.Objective, severity string, counts func(time.Duration) (gates.Tally, bool)) (words string, fires bool) {
	r, fires := burning(o, severity, counts)
	if !fires {
		return "", false
	}
	long, _ := counts(r.Long)
	short, _ := counts(r.Short)
	return fmt.Sprintf("the budget of %s burns %s times as fast as it may over %s, and %s times over %s; more than %s is too fast",
		o.Name, rateText(o.Burn(long)), plan.Span(r.Long), rateText(o.Burn(short)), plan.Span(r.Short), rateText(r.Burn)), true
}

// burning gives the fastest of the rules that fire.
func burning(o gates.Objective, severity string, counts func(time.Duration) (gates.Tally, bool)) (gates.BurnAlert, bool) {
	for _, r := range o.Firing(counts, burnConfidence) {
		if r.Severity == gates.Page || severity != gates.Page {
			return r, true
		}
	}
	return gates.BurnAlert{}, false
}

func rateText(rate float64) string {
	return strconv.FormatFloat(math.Round(rate*100)/100, 'f', -1, 64)
}

// BurnMeter counts the attempts of an objective by the minute, over the longest
// window that it is judged by, so that nobody has to ask the state for each of
// them. It takes 8 bytes a minute: 320 KB for 28 days. A window ends with the
// minute that goes on, and so is up to a minute shorter than it says. It is safe
// for concurrent use.
type BurnMeter struct {
	objective gates.Objective
	severity  string
	of        func(transaction string) bool

	mu      sync.Mutex
	ring    []minuteTally // by the number of the minute
	head    int64         // the minute that goes on
	floor   int64         // attempts before are in the ring already
	windows []burnWindow  // the shortest first
}

type minuteTally struct{ good, total uint32 }

// burnWindow is what the last so many minutes come to.
type burnWindow struct {
	minutes int64
	sum     gates.Tally
}

// NewBurnMeter makes a meter for an objective and a rule of such a severity. Of
// says which transactions the rule is about; nil stands for all. The objective
// may be about one of them alone.
func NewBurnMeter(o gates.Objective, severity string, of func(transaction string) bool) *BurnMeter {
	m := &BurnMeter{objective: o, severity: severity, of: of, head: math.MinInt64}
	for _, w := range gates.BurnWindows(o.Over) {
		m.windows = append(m.windows, burnWindow{minutes: max(1, int64(w/time.Minute))})
	}
	m.ring = make([]minuteTally, m.windows[len(m.windows)-1].minutes+1)
	return m
}

// counts reports whether attempts of a transaction are events of the objective.
// The answers of the health endpoint are none.
func (m *BurnMeter) counts(transaction string) bool {
	return transaction != healthName && (m.objective.Of == "" || m.objective.Of == transaction) && (m.of == nil || m.of(transaction))
}

// Add takes in an attempt, which may be late. What began before the moment up to
// which history was loaded is in the meter already, and is ignored; so is what
// fell into planned maintenance.
func (m *BurnMeter) Add(a measure.Attempt) {
	if a.Planned || !m.counts(a.Series.Transaction) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if a.At < m.floor {
		return
	}
	one := gates.Tally{Total: 1}
	if a.Good() {
		one.Good = 1
	}
	m.add(minuteOf(a.At), one)
}

// load takes in windows.
func (m *BurnMeter) load(windows []measure.Window) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range windows {
		if w.Series.Metric == measure.MetricGood && m.counts(w.Series.Transaction) {
			// An hour counts until its last minute is too old.
			m.add(minuteOf(w.Start+max(w.Width, 1)-1), gates.Tally{Good: w.Count - min(w.Failed, w.Count), Total: w.Count})
		}
	}
}

// add counts events of a minute.
func (m *BurnMeter) add(minute int64, t gates.Tally) {
	m.advance(minute)
	if minute <= m.head-int64(len(m.ring)) {
		return
	}
	slot := m.slot(minute)
	// What does not fit any more is not counted in the windows either.
	t.Total = min(t.Total, uint64(math.MaxUint32-slot.total))
	t.Good = min(t.Good, t.Total)
	slot.good, slot.total = slot.good+uint32(t.Good), slot.total+uint32(t.Total) //nolint:gosec // bounded above
	for i := range m.windows {
		if w := &m.windows[i]; minute > m.head-w.minutes {
			w.sum.Good, w.sum.Total = w.sum.Good+t.Good, w.sum.Total+t.Total
		}
	}
}

// advance makes a minute the one that goes on. What leaves a window is taken out
// of its sum.
func (m *BurnMeter) advance(minute int64) {
	if minute <= m.head {
		return
	}
	if m.head == math.MinInt64 || minute-m.head >= int64(len(m.ring)) {
		clear(m.ring)
		for i := range m.windows {
			m.windows[i].sum = gates.Tally{}
		}
		m.head = minute
		return
	}
	for m.head < minute {
		m.head++
		for i := range m.windows {
			w := &m.windows[i]
			gone := m.slot(m.head - w.minutes)
			w.sum.Good, w.sum.Total = w.sum.Good-uint64(gone.good), w.sum.Total-uint64(gone.total)
		}
		*m.slot(m.head) = minuteTally{}
	}
}

// slot is where a minute is counted.
func (m *BurnMeter) slot(minute int64) *minuteTally {
	n := int64(len(m.ring))
	return &m.ring[((minute%n)+n)%n]
}

// minuteOf is the number of the minute that a moment is in.
func minuteOf(at int64) int64 {
	n := at / int64(time.Minute)
	if at%int64(time.Minute) < 0 {
		n--
	}
	return n
}

// Fires reports whether the budget is spent too fast now, since when, to the
// minute, and in words. It began when attempts did that were bad without a pause
// as long as the short window of the rule that fires.
func (m *BurnMeter) Fires(now int64) (since int64, words string, fires bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(minuteOf(now))
	r, fires := burning(m.objective, m.severity, m.tally)
	if !fires {
		return 0, "", false
	}
	words, _ = BurnTrigger(m.objective, m.severity, m.tally)
	return m.since(r), words, true
}

// since walks back through the minutes of a rule that fires.
func (m *BurnMeter) since(r gates.BurnAlert) int64 {
	first := m.head
	for minute := m.head; minute > m.head-int64(r.Long/time.Minute); minute-- {
		if s := m.slot(minute); s.good < s.total {
			first = minute
		} else if first-minute >= int64(r.Short/time.Minute) {
			break
		}
	}
	return first * int64(time.Minute)
}

// tally gives the events of one of the objective's windows.
func (m *BurnMeter) tally(window time.Duration) (gates.Tally, bool) {
	for _, w := range m.windows {
		if w.minutes == int64(window/time.Minute) {
			return w.sum, w.sum.Total > 0
		}
	}
	return gates.Tally{}, false
}

// Budget sums up the objective: what is left of its budget, how fast it is spent,
// and what that costs. While the history is shorter than a window the rates are
// those of what there is.
func (m *BurnMeter) Budget(now int64) gates.Budget {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(minuteOf(now))
	windows := map[time.Duration]gates.Tally{}
	for _, w := range gates.BurnWindows(m.objective.Over) {
		windows[w], _ = m.tally(w)
	}
	return m.objective.Budget(windows)
}

// burnMinutes is how far back history is loaded by the minute: as long as the
// longest window of a rule that pages. Before that an hour is exact enough.
const burnMinutes = 6 * time.Hour

// Burns makes the triggers that rules have on objectives, with what a state
// knows up to now; see [BurnMeter.Restore]. One on an objective that is not
// among them never fires.
func Burns(objectives []gates.Objective, s State, now int64) (func(rule plan.CanaryRule, objective string) burn, error) {
	known, err := NewBurnHistory(objectives, s, now)
	if err != nil {
		return nil, err
	}
	return func(rule plan.CanaryRule, objective string) burn {
		o := gates.Objective{Name: objective}
		if i := slices.IndexFunc(objectives, func(o gates.Objective) bool { return o.Name == objective }); i >= 0 {
			o = objectives[i]
		}
		m := NewBurnMeter(o, rule.Severity, func(transaction string) bool { return len(rule.Of) == 0 || slices.Contains(rule.Of, transaction) })
		m.Restore(known)
		return m
	}, nil
}

// BurnHistory is what a state knows of the attempts of each transaction, as far
// as objectives are about them: by the minute for some hours, by the hour before.
type BurnHistory struct {
	windows []measure.Window // of [measure.MetricGood]
	end     int64            // before the minute that goes on
}

// NewBurnHistory asks a state for the history of the longest of the objectives,
// for a few hours at a time, so that it takes little memory.
func NewBurnHistory(objectives []gates.Objective, s State, now int64) (BurnHistory, error) {
	end := minuteOf(now) * int64(time.Minute)
	border := end - int64(burnMinutes)
	border -= ((border % int64(time.Hour)) + int64(time.Hour)) % int64(time.Hour) // a whole hour
	var over time.Duration
	for _, o := range objectives {
		over = max(over, o.Over)
	}
	h := BurnHistory{end: end}
	if len(objectives) == 0 {
		return h, nil
	}
	err := eachPage(s, now-int64(over), border, time.Hour, h.add)
	if err == nil {
		err = eachPage(s, border, end, time.Minute, h.add)
	}
	if err != nil {
		return h, fmt.Errorf("the budgets of the canary: %w", err)
	}
	return h, nil
}

// add adds up windows by transaction.
func (h *BurnHistory) add(windows []measure.Window) {
	type key struct {
		start       int64
		transaction string
	}
	sums := map[key]int{} // where in h.windows
	for _, w := range windows {
		if w.Series.Metric != measure.MetricGood {
			continue
		}
		k := key{w.Start, w.Series.Transaction}
		at, is := sums[k]
		if !is {
			at = len(h.windows)
			sums[k] = at
			series := measure.Series{Metric: measure.MetricGood, Transaction: k.transaction}
			h.windows = append(h.windows, measure.Window{Series: series, Start: w.Start, Width: w.Width})
		}
		h.windows[at].Merge(w)
	}
}

// Restore loads what was known. Attempts that began before are ignored from then
// on, so that those of the minute that goes on are to be added after it.
func (m *BurnMeter) Restore(h BurnHistory) {
	m.load(h.windows)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.floor = h.end
}
