package canary

import (
	"time"

	"resilience/internal/measure"
)

// happened tells boards that an incident began, was acknowledged or is over, each
// once.
func (d *Daemon) happened(i Incident) {
	state := stage(i)
	at := map[string]int64{Opened: i.Detected, Acknowledged: i.Acked, Closed: i.Closed}[state]
	if d.shown[i.ID] == state {
		return
	}
	if d.shown[i.ID] = state; state == Closed {
		delete(d.shown, i.ID)
	}
	d.seq++
	attrs := map[string]string{"state": state, "id": i.ID, "severity": i.Severity, "evidence": i.Evidence}
	for name, moment := range map[string]int64{"start": i.Start, "detected": i.Detected, "acked": i.Acked, "end": i.End} {
		if moment > 0 {
			attrs[name] = time.Unix(0, moment).UTC().Format(time.RFC3339Nano)
		}
	}
	d.o.Event(measure.Event{
		Source: "canary/" + time.Unix(0, d.since).UTC().Format(time.RFC3339Nano), Seq: d.seq, At: at,
		Kind: measure.EventIncident, Test: "canary", Arm: measure.Candidate, Name: i.Rule, Attrs: attrs,
	})
}

// stage is how far an incident has come: the kind of notice that tells it.
func stage(i Incident) string {
	switch {
	case !i.Open():
		return Closed
	case i.Acked > 0:
		return Acknowledged
	}
	return Opened
}
