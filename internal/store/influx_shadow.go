package store

import (
	"strconv"
	"time"

	"resilience/internal/measure"
)

// differenceFields are what boards show of a difference that a shadow test found.
// Its kind is called difference: kind is the tag of the event.
func differenceFields(fields map[string]any, e measure.Event) {
	for key, attr := range map[string]string{
		"place": "place", "difference": "kind", "class": "class", "baseline": "baseline", "candidate": "candidate", "request": "request",
	} {
		putText(fields, key, e.Attrs[attr])
	}
	for key, attr := range map[string]string{
		"pairs": "pairs", "differing": "differing", "noise_pairs": "noise pairs", "noise_differing": "noise differing",
	} {
		putCount(fields, key, e.Attrs[attr])
	}
}

// replayFields are what boards show of how a recording was replayed: what became
// of its exchanges, and how late they were sent, in milliseconds.
func replayFields(fields map[string]any, e measure.Event) {
	for key, attr := range map[string]string{
		"read": "read", "sent": "sent", "not_chosen": "not chosen", "withheld": "withheld", "waited": "held", "dropped": "dropped",
		"carried_found": "carried found", "carried_rule": "carried rule", "carried_cookie": "carried cookie",
	} {
		putCount(fields, key, e.Attrs[attr])
	}
	for key, attr := range map[string]string{"lag_p50": "lag p50", "lag_p99": "lag p99"} {
		if lag, err := time.ParseDuration(e.Attrs[attr]); err == nil {
			fields[key] = float64(lag) / float64(time.Millisecond)
		}
	}
}

// withheldFields are what boards show of requests that a shadow test did not send.
func withheldFields(fields map[string]any, e measure.Event) {
	putCount(fields, "withheld", e.Attrs["count"])
	putText(fields, "reason", e.Attrs["reason"])
}

// putCount adds a count, where there is one that InfluxDB can hold.
func putCount(fields map[string]any, key, text string) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		fields[key] = n
	}
}
