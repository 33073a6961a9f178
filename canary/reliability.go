package canary

import (
	"cmp"
	"slices"
	"time"

	"resilience/internal/plan"
)

// Span is a stretch of time, [From, To), in Unix nanoseconds.
type Span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Observation is a time in which incidents would have been seen.
type Observation struct {
	From, To   int64   // [From, To); To is mostly now
	Planned    []Span  // maintenance, which is left out; in any order, and may overlap
	Unseen     []Span  // alike: nobody looked, as when the daemon was stopped; see [Unseen]
	Confidence float64 // of all bounds, over 0 and under 1; any other stands for 0.95
}

// Reliability is what incidents in an observation say. Times of planned
// maintenance, and those in which nobody looked, are cut out, as if the clock had
// stood still. The words are those
// of IEC 60050-192 (dependability), the expressions those of IEC 61703, where up
// time counts as operating time.
type Reliability struct {
	From       int64   `json:"from"`
	To         int64   `json:"to"`
	Confidence float64 `json:"confidence"` // of all bounds

	Failures  int      `json:"failures"`               // that began in the observation; incidents that overlap are one
	Incidents int      `json:"incidents"`              // that began in it, each for itself
	Down      bool     `json:"down"`                   // an incident goes on at its end
	Observed  float64  `json:"observed_seconds"`       // without the two below
	Planned   float64  `json:"planned_seconds"`        // of planned maintenance
	Unseen    float64  `json:"unseen_seconds"`         // in which nobody looked, and nothing was planned
	UpTime    float64  `json:"up_seconds"`             //
	DownTime  float64  `json:"down_seconds"`           //
	Share     *float64 `json:"uptime,omitempty"`       // up time by observed time, 0 to 1 (mean availability in IEC's words); nil when nothing was observed
	Running   float64  `json:"running_seconds"`        // up time since the last failure ended, or since the observation began; 0 while down
	Longest   float64  `json:"longest_outage_seconds"` // one that goes on with the time so far

	MTBF Mean `json:"mtbf"` // from the start of a failure to that of the next: up and down time
	MTTF Mean `json:"mttf"` // up time until a failure; IEC's mean operating time between failures
	MTTR Mean `json:"mttr"` // from the start of a failure to its end: IEC's mean time to restoration
	MTTD Mean `json:"mttd"` // from the start of a failure until it was detected
	MTTA Mean `json:"mtta"` // from then until somebody acknowledged
}

// Reliability gives what the incidents say, in any order, of one rule or of
// several: where they overlap they are one failure, of which the first detection
// and the first acknowledgement count. An incident that began before the
// observation is down time in it, and no failure of it.
func (o Observation) Reliability(incidents []Incident) Reliability {
	if !(o.Confidence > 0 && o.Confidence < 1) {
		o.Confidence = defaultConfidence
	}
	c := o.clock()
	all := c.failures(incidents)
	r := Reliability{From: o.From, To: o.To, Confidence: o.Confidence, Observed: seconds(c.length)}
	r.Planned = seconds(c.to - c.from - newClock(o.From, o.To, o.Planned).length)
	r.Unseen = seconds(c.to-c.from-c.length) - r.Planned
	var repair, detection, acknowledgement durations
	var down, last int64 // last is when the last failure ended
	for _, f := range all {
		down += f.end - f.start
		r.Longest = max(r.Longest, seconds(f.end-f.start))
		r.Down = r.Down || f.open
		last = max(last, f.end)
		r.Incidents += f.incidents
		if !f.began {
			continue
		}
		r.Failures++
		repair.add(f.end-f.start, !f.open)
		detection.add(f.detected-f.start, true)
		if f.acked > 0 {
			acknowledgement.add(f.acked-f.detected, true)
		} else {
			acknowledgement.add(f.end-f.detected, false)
		}
	}
	r.DownTime, r.UpTime = seconds(down), seconds(c.length-down)
	if c.length > 0 {
		share := float64(c.length-down) / float64(c.length)
		r.Share = &share
	}
	running := 0 // up times that have not ended
	if !r.Down {
		r.Running, running = seconds(c.length-last), 1
	}
	r.MTBF = durations{total: c.length, ended: r.Failures, running: 1}.mean(o.Confidence)
	r.MTTF = durations{total: c.length - down, ended: r.Failures, running: running}.mean(o.Confidence)
	r.MTTR, r.MTTD, r.MTTA = repair.mean(o.Confidence), detection.mean(o.Confidence), acknowledgement.mean(o.Confidence)
	return r
}

// OfRule gives the incidents of one rule.
func OfRule(incidents []Incident, rule string) []Incident {
	return slices.DeleteFunc(slices.Clone(incidents), func(i Incident) bool { return i.Rule != rule })
}

// PlannedSpans gives the maintenance in which nothing is left to observe of the
// transactions and heartbeats, of all when there are none. What is planned for
// one cell, or for some of them, is no such time: the rest goes on.
func PlannedSpans(all []plan.Maintenance, transactions []string) []Span {
	var spans []Span
	for _, m := range all {
		part := func(transaction string) bool { return !slices.Contains(m.Of, transaction) }
		if m.Cell != "" || len(m.Of) > 0 && (len(transactions) == 0 || slices.ContainsFunc(transactions, part)) {
			continue
		}
		spans = append(spans, Span{time.Time(m.From).UnixNano(), time.Time(m.To).UnixNano()})
	}
	return spans
}

// clock tells how long there was observation until a moment.
type clock struct {
	from, to int64
	without  []Span // that are left out: within, sorted, apart
	length   int64  // of all observation
}

func (o Observation) clock() clock {
	return newClock(o.From, o.To, slices.Concat(o.Planned, o.Unseen))
}

func newClock(from, to int64, without []Span) clock {
	c := clock{from: from, to: max(from, to)}
	spans := slices.SortedFunc(slices.Values(without), func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	end := c.from // of the last one
	for _, s := range spans {
		s.From, s.To = max(s.From, end), min(s.To, c.to)
		if s.From < s.To {
			c.without, end = append(c.without, s), s.To
		}
	}
	c.length = c.at(c.to)
	return c
}

// at gives the time observed before a moment, in nanoseconds.
func (c clock) at(moment int64) int64 {
	moment = min(max(moment, c.from), c.to)
	observed := moment - c.from
	for _, s := range c.without {
		if s.From < moment {
			observed -= min(s.To, moment) - s.From
		}
	}
	return observed
}

// failure is one or more incidents that overlap, by the clock of an observation.
type failure struct {
	start, detected, end int64
	acked                int64 // 0 for never
	open                 bool  // goes on when the observation ends; end is that
	began                bool  // within the observation
	incidents            int   // of it that began within the observation
}

// failures puts incidents together that overlap, in the order of their start.
// Those of which nothing was seen, or that maintenance covers, are none.
func (c clock) failures(incidents []Incident) []failure {
	var all []failure
	for _, i := range slices.SortedFunc(slices.Values(incidents), func(a, b Incident) int { return cmp.Compare(a.Start, b.Start) }) {
		f, is := c.failure(i)
		if !is {
			continue
		}
		if n := len(all); n > 0 && f.start < all[n-1].end {
			all[n-1].join(f)
			continue
		}
		all = append(all, f)
	}
	return all
}

// failure is what an observation sees of an incident; false when that is nothing.
func (c clock) failure(i Incident) (failure, bool) {
	end, open := i.until(c.to)
	if i.Start >= c.to || end < c.from || end == c.from && !open {
		return failure{}, false
	}
	f := failure{start: c.at(i.Start), end: c.at(end), open: open, began: i.Start >= c.from}
	if f.began {
		f.incidents = 1
	}
	if f.start == f.end && c.covers(i.Start) {
		return failure{}, false
	}
	f.detected = min(max(c.at(i.Detected), f.start), f.end)
	if i.Acked > 0 && i.Acked <= c.to {
		f.acked = max(c.at(i.Acked), f.detected, 1)
	}
	return f, true
}

// until is when an incident ended, as it was known at a moment: that moment while
// it was open.
func (i Incident) until(at int64) (end int64, open bool) {
	end = i.End
	if end == 0 {
		end = i.Closed
	}
	if i.Open() || end > at {
		return at, true
	}
	return max(end, i.Start), false
}

// covers reports whether a moment is left out.
func (c clock) covers(moment int64) bool {
	return slices.ContainsFunc(c.without, func(s Span) bool { return s.From <= moment && moment < s.To })
}

// join adds an incident that begins before the failure has ended.
func (f *failure) join(o failure) {
	f.detected = min(f.detected, o.detected)
	if o.acked > 0 && (f.acked == 0 || o.acked < f.acked) {
		f.acked = o.acked
	}
	f.end, f.open = max(f.end, o.end), f.open || o.open
	f.incidents += o.incidents
}

func seconds(nanoseconds int64) float64 { return time.Duration(nanoseconds).Seconds() }
