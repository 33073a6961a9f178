package canary

import "gonum.org/v1/gonum/stat/distuv"

// defaultConfidence is that of bounds where nobody asks for another.
const defaultConfidence = 0.95

// Mean is the mean of durations of which some may not have ended.
//
// Those that go on are not left out, which would make the mean too short: they
// are right-censored, and count with their time so far. The estimate is that of
// the greatest likelihood for durations that are exponential, as those are that
// end at a constant rate: all time by the number of ends. Without an end there
// is none, and a lower bound alone. The bounds are those for a test that ends at
// a given time (Epstein and Sobel 1953, Epstein 1960; MIL-HDBK-189C, for a
// constant rate): 2T by the quantiles of chi-square with 2r+2 degrees of freedom
// for the lower and 2r for the upper one, for r ends in the time T.
type Mean struct {
	Seconds *float64 `json:"mean_seconds,omitempty"` // nil when none has ended
	Low     *float64 `json:"low_seconds,omitempty"`  // nil when there was no time at all
	High    *float64 `json:"high_seconds,omitempty"` // nil when none has ended: nothing bounds it
	Total   float64  `json:"total_seconds"`          // all together
	Ended   int      `json:"ended"`                  // so many durations came to their end
	Running int      `json:"running"`                // so many did not
}

// durations are added up for a mean, in nanoseconds.
type durations struct {
	total          int64
	ended, running int
}

func (d *durations) add(length int64, ended bool) {
	d.total += length
	if ended {
		d.ended++
	} else {
		d.running++
	}
}

// mean gives the mean with its bounds, each with half of what is left to chance.
func (d durations) mean(confidence float64) Mean {
	m := Mean{Total: seconds(d.total), Ended: d.ended, Running: d.running}
	tail := (1 - confidence) / 2
	if d.ended > 0 {
		mean := m.Total / float64(d.ended)
		high := 2 * m.Total / distuv.ChiSquared{K: float64(2 * d.ended)}.Quantile(tail)
		m.Seconds, m.High = &mean, &high
	}
	if d.total > 0 {
		low := 2 * m.Total / distuv.ChiSquared{K: float64(2*d.ended + 2)}.Quantile(1-tail)
		m.Low = &low
	} else if d.ended > 0 {
		low := 0.0
		m.Low = &low
	}
	return m
}
