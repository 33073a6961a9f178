package canary

import (
	"cmp"
	"slices"
	"time"

	"resilience/internal/measure"
)

// Unseen gives the stretches of [from, to) in which nothing was tried, by windows
// of a canary's history, as when the daemon was stopped: that there is no
// incident then says nothing. Shorter ones than least, which is to be longer
// than the shortest interval, are none. Answers of the health endpoint are no attempts.
func Unseen(windows []measure.Window, from, to int64, least time.Duration) []Span {
	var tried []Span
	for _, w := range windows {
		if isTried(w) {
			tried = append(tried, Span{w.Start, w.Start + w.Width})
		}
	}
	slices.SortFunc(tried, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	var gaps []Span
	end := from // of what was tried so far
	for _, s := range append(tried, Span{to, to}) {
		if start := min(s.From, to); start-end >= int64(least) && start > end {
			gaps = append(gaps, Span{end, start})
		}
		end = max(end, s.To)
	}
	return gaps
}

// isTried reports whether a window tells that something was tried.
func isTried(w measure.Window) bool {
	return w.Count > 0 && w.Series.Metric == measure.MetricGood && w.Series.Transaction != healthName
}

// appendTried appends one window for each start at which something was tried.
func appendTried(tried, windows []measure.Window) []measure.Window {
	for _, w := range windows {
		if n := len(tried); isTried(w) && (n == 0 || tried[n-1].Start != w.Start) {
			w.Sketch = nil
			tried = append(tried, w)
		}
	}
	return tried
}
