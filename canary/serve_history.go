package canary

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"resilience/internal/measure"
)

// incidentList reads incidents, and not more often than they can be looked at.
type incidentList struct {
	state State
	now   func() time.Time

	mu    sync.Mutex
	read  time.Time
	known []Incident // the newest first
}

// incidentsFor is how long a list of incidents is good for.
const incidentsFor = 2 * time.Second

func newIncidentList(state State, now func() time.Time) *incidentList {
	return &incidentList{state: state, now: now}
}

// all gives all incidents, the newest first. Nobody may change the list.
func (l *incidentList) all() ([]Incident, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.known != nil && !now.Before(l.read) && now.Sub(l.read) < incidentsFor {
		return l.known, nil
	}
	all, err := Incidents(l.state)
	if err != nil {
		return nil, err
	}
	slices.Reverse(all)
	l.known, l.read = all, now
	return all, nil
}

// forget has the next who asks get what is known then.
func (l *incidentList) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = nil
}

// tally counts attempts, and how many of them were good.
type tally struct{ good, total uint64 }

// dayHistory has what became of attempts, day by day. Days that are over are read
// once.
type dayHistory struct {
	state State
	now   func() time.Time

	mu   sync.Mutex
	days map[int64]*dayTally // by the start of the day
}

type dayTally struct {
	read time.Time
	by   map[string]tally // transaction
}

// A day changes until attempts that came late must have arrived. Until then what
// was read of it is good for a while.
const (
	day        = int64(24 * time.Hour)
	dayLate    = int64(time.Hour)
	dayGoodFor = 30 * time.Second
)

func newDayHistory(state State, now func() time.Time) *dayHistory {
	return &dayHistory{state: state, now: now, days: map[int64]*dayTally{}}
}

// last gives the last n days, the oldest first, and the start of the oldest.
func (h *dayHistory) last(n int) (days []map[string]tally, start int64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	today := now.UnixNano() / day * day
	start = today - int64(n-1)*day
	for at := start; at <= today; at += day {
		if h.stale(at, now) {
			if err := h.refresh(at, now); err != nil {
				return nil, 0, err
			}
		}
		days = append(days, h.days[at].by)
	}
	for at := range h.days {
		if at < start {
			delete(h.days, at)
		}
	}
	return days, start, nil
}

func (h *dayHistory) stale(at int64, now time.Time) bool {
	d := h.days[at]
	if d == nil {
		return true
	}
	final := d.read.UnixNano() >= at+day+dayLate
	return !final && (now.Before(d.read) || now.Sub(d.read) >= dayGoodFor)
}

// refresh reads a day: one at a time, as there is a window of each tenant.
func (h *dayHistory) refresh(at int64, now time.Time) error {
	windows, err := h.state.History(at, at+day, time.Duration(day))
	if err != nil {
		return err
	}
	d := &dayTally{read: now, by: map[string]tally{}}
	h.days[at] = d
	for _, w := range windows {
		if w.Series.Metric != measure.MetricGood {
			continue
		}
		t := d.by[w.Series.Transaction]
		t.total += w.Count
		t.good += w.Count - min(w.Count, w.Failed)
		d.by[w.Series.Transaction] = t
	}
	return nil
}

// historyAnswer is what became of attempts, in windows of a width.
type historyAnswer struct {
	From   int64           `json:"from"`
	To     int64           `json:"to"`
	Width  string          `json:"width"`
	Series []historySeries `json:"series"`
}

type historySeries struct {
	Unit
	Points []*historyPoint `json:"points"`
}

// historyPoint is one window.
type historyPoint struct {
	Start      int64    `json:"start"`
	Tried      uint64   `json:"tried"`
	Accepted   uint64   `json:"accepted"`             // by the front door
	Looked     uint64   `json:"looked_at"`            // whose outcome was
	Right      uint64   `json:"right"`                // of those
	Served     uint64   `json:"served"`               // good in all that was asked
	Unfinished uint64   `json:"unfinished,omitempty"` // had no end when their time was over
	P50        *float64 `json:"p50_ms,omitempty"`     // not of days
	P95        *float64 `json:"p95_ms,omitempty"`
	P99        *float64 `json:"p99_ms,omitempty"`
	Max        float64  `json:"max_ms"`

	sketch *measure.Sketch
}

// historyWidth is a width of windows that can be asked for: how far back they go
// when nobody says, and how much is read at a time, so that memory is bounded. Of
// a day there is a window for each tenant.
type historyWidth struct{ width, back, chunk time.Duration }

var historyWidths = map[string]historyWidth{
	"minute": {time.Minute, 6 * time.Hour, time.Hour},
	"hour":   {time.Hour, 7 * 24 * time.Hour, 24 * time.Hour},
	"day":    {24 * time.Hour, 90 * 24 * time.Hour, 24 * time.Hour},
}

// historyKeys is by what the windows of a transaction can be told apart.
var historyKeys = map[string]func(measure.Series) string{
	"":       func(measure.Series) string { return "" },
	"class":  func(s measure.Series) string { return s.Class },
	"cell":   func(s measure.Series) string { return s.Cell },
	"region": func(s measure.Series) string { return s.Region },
	"tenant": func(s measure.Series) string { return s.Tenant },
}

// Windows that can be asked for at a time, one after the other and all in all.
const (
	maxSteps  = 1500
	maxPoints = 50_000
)

func (s *face) showHistory(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	if err := onlyKeys(q, "width", "from", "to", "by", "transaction"); err != nil {
		return err
	}
	name := q.Get("width")
	if name == "" {
		name = "hour"
	}
	level, known := historyWidths[name]
	if !known {
		return answered(http.StatusBadRequest, "width is minute, hour or day")
	}
	key, known := historyKeys[q.Get("by")]
	if !known {
		return answered(http.StatusBadRequest, "by is class, cell, region or tenant")
	}
	if q.Get("by") == "tenant" && name != "day" {
		return answered(http.StatusBadRequest, "by tenant there are days only: width=day")
	}
	from, to, err := askedSpan(q, s.Now(), level.back)
	if err != nil {
		return err
	}
	if to.Sub(from) > maxSteps*level.width {
		return answered(http.StatusBadRequest, "this is more than 1,500 windows: ask for less at a time")
	}
	g := &gathering{by: q.Get("by"), key: key, only: q.Get("transaction"), series: map[Unit]*historySeries{}}
	if err := s.gather(r.Context(), g, from.UnixNano(), to.UnixNano(), level); err != nil {
		return err
	}
	answerJSON(w, http.StatusOK, historyAnswer{From: from.UnixNano(), To: to.UnixNano(), Width: name, Series: g.sorted()})
	return nil
}

// read waits until nobody else reads history, so that many who ask take no more
// memory than one.
func (s *face) read(ctx context.Context) (done func(), err error) {
	select {
	case s.reading <- struct{}{}:
		return func() { <-s.reading }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// gather reads history chunk by chunk.
func (s *face) gather(ctx context.Context, g *gathering, from, to int64, level historyWidth) error {
	done, err := s.read(ctx)
	if err != nil {
		return err
	}
	defer done()
	for at := from; at < to && ctx.Err() == nil; at += int64(level.chunk) {
		windows, err := s.State.History(at, min(to, at+int64(level.chunk)), level.width)
		if err != nil {
			return err
		}
		for _, w := range windows {
			g.add(w)
		}
		if g.settle(); g.points > maxPoints {
			return answered(http.StatusBadRequest, "this is more than 50,000 windows: ask for one transaction, or for less time")
		}
	}
	return ctx.Err()
}

// gathering puts windows together.
type gathering struct {
	by     string
	key    func(measure.Series) string
	only   string // transaction; "" for all
	series map[Unit]*historySeries
	points int
	fresh  []*historyPoint // whose sketches are still held
}

func (g *gathering) add(w measure.Window) {
	if g.only != "" && w.Series.Transaction != g.only {
		return
	}
	unit := Unit{Transaction: w.Series.Transaction}
	if value := g.key(w.Series); value != "" {
		unit.Key, unit.Value = g.by, value
	}
	line := g.series[unit]
	if line == nil {
		line = &historySeries{Unit: unit}
		g.series[unit] = line
	}
	if n := len(line.Points); n == 0 || line.Points[n-1].Start != w.Start {
		p := &historyPoint{Start: w.Start}
		line.Points, g.fresh = append(line.Points, p), append(g.fresh, p)
	}
	line.Points[len(line.Points)-1].add(w)
}

func (p *historyPoint) add(w measure.Window) {
	well := w.Count - min(w.Count, w.Failed)
	switch w.Series.Metric {
	case measure.MetricTransaction:
		p.Tried += w.Count
		p.Accepted += well
		p.Unfinished += w.Unfinished
		p.Max = max(p.Max, w.Max)
		if w.Sketch.Count() > 0 {
			if p.sketch == nil {
				p.sketch = &measure.Sketch{}
			}
			p.sketch.Merge(w.Sketch)
		}
	case measure.MetricOutcome:
		p.Looked += w.Count
		p.Right += well
	case measure.MetricGood:
		p.Served += well
	}
}

// settle takes quantiles out of sketches and lets go of these.
func (g *gathering) settle() {
	for _, p := range g.fresh {
		for q, into := range map[float64]**float64{0.5: &p.P50, 0.95: &p.P95, 0.99: &p.P99} {
			if v, ok := p.sketch.Quantile(q); ok {
				*into = &v
			}
		}
		p.sketch = nil
	}
	g.points += len(g.fresh)
	g.fresh = g.fresh[:0]
}

func (g *gathering) sorted() []historySeries {
	all := make([]historySeries, 0, len(g.series))
	for _, line := range g.series {
		all = append(all, *line)
	}
	slices.SortFunc(all, func(a, b historySeries) int { return compareUnits(a.Unit, b.Unit) })
	return all
}
