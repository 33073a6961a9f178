package report

import (
	"fmt"
	"maps"
	"time"

	"resilience/internal/measure"
)

const (
	pulseRecent = 5  // whole seconds that the rate and the p95 look at
	pulseLate   = 3  // seconds that windows may take to arrive
	pulseKept   = 30 // seconds kept, for windows that come late
)

// pulse sums up attempts on the candidate: all since the phase began, and those
// of the last few seconds. A test counts its transactions, or its requests if it
// has none, and the arrivals that could not start, as the verdict does.
type pulse map[stream]*flow

type stream struct{ test, metric string }

type flow struct {
	count, failed uint64
	seconds       map[int64]*second // by Unix second
	first, latest int64             // seconds
}

type second struct {
	count  uint64
	values *measure.Sketch
}

func newPulse() pulse { return pulse{} }

// add takes in a window of attempts and forgets what is too old to show.
func (p pulse) add(w measure.Window) {
	w, is := attempts(w)
	if !is {
		return
	}
	key, at := stream{w.Series.Test, w.Series.Metric}, w.Start/int64(time.Second)
	f := p[key]
	if f == nil {
		f = &flow{seconds: map[int64]*second{}, first: at}
		p[key] = f
	}
	f.count += w.Count
	f.failed += w.Failed
	f.first, f.latest = min(f.first, at), max(f.latest, at)
	s := f.seconds[at]
	if s == nil {
		s = &second{values: measure.NewSketch()}
		f.seconds[at] = s
	}
	s.count += w.Count
	if w.Sketch != nil {
		s.values.Merge(w.Sketch)
	}
	maps.DeleteFunc(f.seconds, func(at int64, _ *second) bool { return at < f.latest-pulseKept })
}

// attempts gives what a window says of the candidate's attempts, and whether it
// says anything. Of arrivals, those are attempts that could not start because
// everything was waiting for the target; the others are counted as what they
// did.
func attempts(w measure.Window) (measure.Window, bool) {
	switch {
	case w.Series.Arm == measure.Baseline:
		return w, false
	case w.Series.Metric == measure.MetricIteration:
		w.Count, w.Failed, w.Sketch = w.Dropped, w.Dropped, nil
		return w, w.Dropped > 0 && w.Series.Status != measure.StatusGenerator
	}
	return w, w.Series.Metric == measure.MetricTransaction || w.Series.Metric == measure.MetricRequest
}

// counts reports whether the flow is one of attempts: requests within
// transactions are not.
func (p pulse) counts(key stream) bool {
	return key.metric != measure.MetricRequest || p[stream{key.test, measure.MetricTransaction}] == nil
}

// last is the last second that is taken for complete: the one before the
// newest. Windows take a moment to arrive; if none do, time goes on without.
func (p pulse) last(now time.Time) int64 {
	var newest int64
	for _, f := range p {
		newest = max(newest, f.latest)
	}
	return max(min(newest, now.Unix())-1, now.Unix()-pulseLate)
}

// summary says how it goes: "50/s · 2,240 attempts · 3 failed (0.13 %) · p95 412 ms".
func (p pulse) summary(now time.Time) string {
	var count, failed, recent uint64
	last := p.last(now)
	from := last - pulseRecent + 1
	values, first := measure.NewSketch(), last
	for key, f := range p {
		if !p.counts(key) {
			continue
		}
		count, failed, first = count+f.count, failed+f.failed, min(first, f.first)
		for at := from; at <= last; at++ {
			if s := f.seconds[at]; s != nil {
				recent += s.count
				values.Merge(s.values)
			}
		}
	}
	if count == 0 {
		return "no attempts yet"
	}
	line := fmt.Sprintf("%s · %s · %s failed", perSecond(float64(recent)/float64(last-max(from, first)+1)),
		plural(count, "attempt"), grouped(failed))
	if failed > 0 {
		line += " (" + percent(float64(failed)/float64(count)) + ")"
	}
	if p95, ok := values.Quantile(0.95); ok {
		line += " · p95 " + millis(p95)
	}
	return line
}
