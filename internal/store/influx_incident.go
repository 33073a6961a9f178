package store

import (
	"time"

	"resilience/internal/measure"
)

// incidentFields are what boards show of an incident of a canary: whether it is
// open, and the times, in milliseconds, that each of its states made known.
func incidentFields(fields map[string]any, e measure.Event) {
	state := e.Attrs["state"]
	fields["active"] = int64(1)
	if state == "closed" {
		fields["active"] = int64(0)
	}
	for _, key := range []string{"id", "severity", "evidence", "state"} {
		putText(fields, key, e.Attrs[key])
	}
	switch state {
	case "opened":
		putSpan(fields, "detected_after", e.Attrs["start"], e.Attrs["detected"])
	case "acknowledged":
		putSpan(fields, "acked_after", e.Attrs["detected"], e.Attrs["acked"])
	case "closed":
		putSpan(fields, "lasted", e.Attrs["start"], e.Attrs["end"])
	}
}

// putSpan adds the milliseconds between two moments, where both are known.
func putSpan(fields map[string]any, key, from, to string) {
	begin, err := time.Parse(time.RFC3339Nano, from)
	if err != nil {
		return
	}
	if end, err := time.Parse(time.RFC3339Nano, to); err == nil {
		fields[key] = float64(end.Sub(begin)) / float64(time.Millisecond)
	}
}
