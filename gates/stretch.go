package gates

import (
	"math"
	"time"

	"resilience/internal/measure"
)

// Stretch is a stretch of time, from From up to, not including, To.
type Stretch struct{ From, To time.Time }

// stretches are when a period was looked at: while a test of the candidate ran,
// without warm-up. There are none where no test ran.
func (t *timeline) stretches(inst instance) []Stretch {
	var list []Stretch
	for _, s := range inst.spans.intersect(t.runs(measure.Candidate)).without(t.warmups(measure.Candidate)) {
		if s.from > math.MinInt64 && s.to < math.MaxInt64 {
			list = append(list, Stretch{time.Unix(0, s.from).UTC(), time.Unix(0, s.to).UTC()})
		}
	}
	return list
}
