package telemetry

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"resilience/internal/measure"
)

// firing is the series in which Prometheus keeps what its rules say: it tells
// when an alert began to fire, which the list of alerts does not.
const firing = `ALERTS{alertstate="firing"}`

const (
	alertStep  = int64(time.Second)
	alertDelay = int64(2 * time.Second)
)

// alerts makes what follows the alerts of a Prometheus. They are heard from the
// first answer on.
func (t *Telemetry) alerts(from string, out *outlet) *follower {
	h := &hearer{from: from, out: out, on: map[string]string{}}
	f := &follower{step: alertStep, delay: alertDelay, lead: alertStep}
	f.warn = func(detail string) { out.warn("alerts", detail) }
	f.ask = func(ctx context.Context, s stretch) error {
		all, err := t.put(ctx, from, firing, s, 0)
		if err != nil {
			return fmt.Errorf("%s %w", from, err)
		}
		h.take(all, s)
		return nil
	}
	f.done = h.done
	return f
}

// hearer turns what fires at each second into events.
type hearer struct {
	from  string
	out   *outlet
	heard bool
	on    map[string]string // names of what fires, by labels
}

func (h *hearer) take(all []series, s stretch) {
	var events []measure.Event
	if !h.heard {
		h.heard = true
		events = append(events, measure.Event{At: s.from, Kind: measure.EventListening, Name: measure.ListensAlerts, Attrs: map[string]string{"from": h.from}})
	}
	names := map[string]string{}
	at := map[int64]map[string]bool{}
	for _, one := range all {
		key := fmt.Sprintf("%q", one.labels)
		names[key] = one.labels["alertname"]
		for _, p := range one.points {
			if at[p.at] == nil {
				at[p.at] = map[string]bool{}
			}
			at[p.at][key] = true
		}
	}
	for now := s.from; now < s.to; now += s.step {
		events = append(events, h.changed(now, at[now], names)...)
	}
	if len(events) > 0 {
		h.out.event(events...)
	}
}

// changed compares what fires now with what did.
func (h *hearer) changed(now int64, active map[string]bool, names map[string]string) (events []measure.Event) {
	for key, name := range h.on {
		if !active[key] {
			delete(h.on, key)
			events = append(events, h.alert(now, key, name, "resolved"))
		}
	}
	for key := range active {
		if h.on[key] == "" && names[key] != "" {
			h.on[key] = names[key]
			events = append(events, h.alert(now, key, names[key], "firing"))
		}
	}
	return events
}

func (h *hearer) alert(now int64, key, name, state string) measure.Event {
	id := fnv.New64a()
	_, _ = id.Write([]byte(key))
	return measure.Event{At: now, Kind: measure.EventAlert, Name: name, Attrs: map[string]string{
		"state": state, "by": h.from, "id": fmt.Sprintf("%016x", id.Sum64()),
	}}
}

// done tells until when it is known what fired: a gate that waits for an alert
// for longer does not know that there was none.
func (h *hearer) done(until int64, why error) {
	attrs := map[string]string{"state": measure.ListeningLost}
	if why != nil {
		attrs["detail"] = "it could not be asked for after " + time.Unix(0, until).UTC().Format("15:04:05") + ": " + why.Error()
	}
	h.out.event(measure.Event{At: until, Kind: measure.EventListening, Name: measure.ListensAlerts, Attrs: attrs})
}
