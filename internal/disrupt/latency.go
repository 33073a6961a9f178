package disrupt

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"resilience/internal/plan"
)

// latency holds requests back on their way to the dependency. A request that
// is being held when the fault is lifted goes on at once.
type latency struct {
	delay, jitter time.Duration
	distribution  func(mean, jitter, draw float64) float64
}

// distributions make a delay of its mean, its jitter and a uniform draw from
// [0, 1), by inversion (Devroye, "Non-Uniform Random Variate Generation",
// 1986, chapter II.2). None is negative, and all have the mean asked for.
var distributions = map[string]func(mean, jitter, draw float64) float64{
	"":        uniformDelay,
	"uniform": uniformDelay,
	"normal":  normalDelay,
	"pareto":  paretoDelay,
}

// uniformDelay is from mean - jitter to mean + jitter.
func uniformDelay(mean, jitter, draw float64) float64 { return mean + jitter*(2*draw-1) }

// normalDelay has the jitter as its standard deviation. It is cut off at 0,
// and as far above the mean as well, or the mean would be higher.
func normalDelay(mean, jitter, draw float64) float64 {
	if jitter == 0 {
		return mean // not 0 times infinity
	}
	return max(0, min(2*mean, mean+jitter*math.Sqrt2*math.Erfinv(2*draw-1)))
}

// paretoDelay has the jitter as its standard deviation, which gives the shape
// and the scale of a Pareto distribution of type I: most delays are a little
// below the mean, a few are many times as long.
func paretoDelay(mean, jitter, draw float64) float64 {
	if jitter == 0 {
		return mean
	}
	shape := 1 + math.Sqrt(1+mean*mean/(jitter*jitter))
	scale := mean * (shape - 1) / shape
	return scale * math.Pow(1-draw, -1/shape)
}

func readLatency(d plan.Disruption) (effect, error) {
	if d.Latency == nil {
		return nil, nil
	}
	l := latency{delay: time.Duration(d.Latency.Delay), jitter: time.Duration(d.Latency.Jitter), distribution: distributions[d.Latency.Distribution]}
	switch {
	case l.delay <= 0 || l.delay > time.Duration(plan.MaxDelay):
		return nil, fmt.Errorf("delay %v is not above 0 and up to %v", l.delay, time.Duration(plan.MaxDelay))
	case l.jitter < 0 || l.jitter > l.delay:
		return nil, fmt.Errorf("jitter %v is not between 0 and the delay of %v", l.jitter, l.delay)
	case l.distribution == nil:
		return nil, fmt.Errorf("there is no distribution %q: use uniform, normal or pareto", d.Latency.Distribution)
	}
	return l, nil
}

// of gives the delay for a draw.
func (l latency) of(draw float64) time.Duration {
	return time.Duration(min(float64(plan.MaxDelay), l.distribution(float64(l.delay), float64(l.jitter), draw)))
}

func (l latency) touch(w http.ResponseWriter, r *http.Request, c *chance, next http.HandlerFunc) {
	readAhead(r)
	if delay := l.of(c.draw); delay > 0 {
		c.wait(r.Context(), delay)
	}
	next(w, r)
}
