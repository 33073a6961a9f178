package telemetry

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// countDelay is how long after the tests events are counted: until what
// happened last has arrived at the source.
const countDelay = 5 * time.Second

// count counts the events of an objective once the tests are over, in every
// window that its budget and its burn rates are judged by, and hands them on as
// one event.
func (t *Telemetry) count(ctx context.Context, over <-chan struct{}, name string, o plan.Objective, out *outlet) {
	select {
	case <-ctx.Done():
		return
	case <-over:
	}
	timer := time.NewTimer(countDelay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return
	case <-timer.C:
	}
	at := floor(time.Now().UnixNano(), int64(time.Second))
	attrs := map[string]string{"share": strconv.FormatFloat(float64(o.Share), 'g', -1, 64), "over": time.Duration(o.Over).String(), "from": o.From}
	for _, window := range o.Windows() {
		good, total, err := t.counts(ctx, o, window, at)
		if err != nil {
			attrs["error"] = fmt.Sprintf("over %s: %s", plan.Span(window), err)
			break
		}
		attrs[window.String()] = fmt.Sprintf("%d/%d", good, total)
	}
	out.event(measure.Event{At: at, Kind: measure.EventObjective, Name: name, Attrs: attrs})
}

// counts asks for both counts in the window that ends at a moment.
func (t *Telemetry) counts(ctx context.Context, o plan.Objective, window time.Duration, at int64) (good, total uint64, err error) {
	texts, err := o.Ask(window, at)
	if err != nil {
		return 0, 0, err
	}
	var n [2]float64
	for i, text := range texts {
		if n[i], err = t.number(ctx, o.From, text, window, at); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", []string{"good", "total"}[i], err)
		}
	}
	if n[0] > n[1]*(1+extrapolated)+1 {
		return 0, 0, fmt.Errorf("good is %g and total is %g: more than all can not be good", n[0], n[1])
	}
	total = uint64(math.Round(n[1]))
	return min(uint64(math.Round(n[0])), total), total, nil
}

// extrapolated is how much more of good than of total there may seem to be:
// increase() of Prometheus extrapolates each series by itself.
const extrapolated = 0.01

// number asks for one number.
func (t *Telemetry) number(ctx context.Context, source, text string, window time.Duration, at int64) (float64, error) {
	s := stretch{at, at + int64(time.Second), int64(time.Second)}
	if t.askers[source].after() { // the point stands at the beginning of the window
		s = stretch{at - int64(window), at, int64(window)}
	}
	all, err := t.put(ctx, source, text, s, 0)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s %w", source, err)
	case len(all) == 0 || len(all) == 1 && len(all[0].points) == 0:
		return 0, errors.New("the answer is empty")
	case len(all) > 1:
		return 0, fmt.Errorf("the answer has %d series: aggregate them in the query", len(all))
	case len(all[0].points) > 1:
		return 0, fmt.Errorf("the answer has %d values: ask for one", len(all[0].points))
	case all[0].points[0].value < 0:
		return 0, fmt.Errorf("the answer is %g: a count can not be negative", all[0].points[0].value)
	case all[0].points[0].value > maxEvents:
		return 0, fmt.Errorf("the answer is %g: that is no count", all[0].points[0].value)
	}
	return all[0].points[0].value, nil
}

// maxEvents is where counts end that a float64 and a sum hold exactly.
const maxEvents = 1 << 48
