package disrupt

import (
	"fmt"
	"net/http"
	"time"

	"resilience/internal/plan"
)

// latency holds requests back on their way to the dependency, each for
// delay - jitter to delay + jitter, uniformly. A request that is being held
// when the fault is lifted goes on at once.
type latency struct {
	delay, jitter time.Duration
}

func readLatency(d plan.Disruption) (effect, error) {
	if d.Latency == nil {
		return nil, nil
	}
	delay, jitter := time.Duration(d.Latency.Delay), time.Duration(d.Latency.Jitter)
	switch {
	case delay <= 0 || delay > time.Duration(plan.MaxDelay):
		return nil, fmt.Errorf("delay %v is not above 0 and up to %v", delay, time.Duration(plan.MaxDelay))
	case jitter < 0 || jitter > delay:
		return nil, fmt.Errorf("jitter %v is not between 0 and the delay of %v", jitter, delay)
	}
	return latency{delay: delay, jitter: jitter}, nil
}

func (l latency) touch(w http.ResponseWriter, r *http.Request, t turn, next http.HandlerFunc) {
	readAhead(r)
	timer := time.NewTimer(l.delay + time.Duration(float64(l.jitter)*(2*t.draw-1)))
	select {
	case <-timer.C:
	case <-t.lifted:
	case <-r.Context().Done():
	}
	timer.Stop()
	next(w, r)
}
