package canary

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"resilience/internal/measure"
)

// beatPrefix begins the names of documents that hold a beat.
const beatPrefix = "heartbeat/"

// beat is a job that has to report in.
type beat struct {
	Last int64 `json:"last"` // when it did, or should have done
}

// restoreBeats brings back when jobs reported last. One that never did has one
// interval, from now on, to do so.
func (d *Daemon) restoreBeats() error {
	documents, err := d.o.State.Documents(beatPrefix)
	if err != nil {
		return fmt.Errorf("the heartbeats of the canary: %w", err)
	}
	d.beats = map[string]*beat{}
	for name := range d.o.Canary.Heartbeats {
		b := &beat{Last: d.since}
		if text, is := documents[beatPrefix+name]; is {
			if err := json.Unmarshal(text, b); err != nil {
				return fmt.Errorf("the document %s of the canary is damaged: %w", beatPrefix+name, err)
			}
		}
		d.beats[name] = b
	}
	return nil
}

// Beat notes that a job has reported. One that the plan does not know is an
// error.
func (d *Daemon) Beat(name string) error {
	if _, known := d.o.Canary.Heartbeats[name]; !known {
		return fmt.Errorf("the plan has no heartbeat %q", name)
	}
	return d.ask(func() {
		now := time.Now().UnixNano()
		d.beats[name].Last = now
		d.document(beatPrefix+name, d.beats[name])
		d.observe(heartbeat(name, now, measure.Accepted, ""))
	})
}

// missed counts the reports that did not come.
func (d *Daemon) missed(now int64) {
	for _, name := range slices.Sorted(maps.Keys(d.beats)) {
		b, p := d.beats[name], d.o.Canary.Heartbeats[name]
		for now >= b.Last+int64(p.Every)+int64(p.Grace) {
			heard := time.Unix(0, b.Last).UTC().Format(time.RFC3339)
			b.Last += int64(p.Every)
			if b.Last < d.since { // nobody listened then
				continue
			}
			d.document(beatPrefix+name, b)
			d.keep(heartbeat(name, b.Last, 0, fmt.Sprintf("no report within %s of %s", time.Duration(p.Every+p.Grace), heard)), now)
		}
	}
}

func heartbeat(name string, at int64, found measure.Finding, message string) measure.Attempt {
	return measure.Attempt{
		Series: measure.Series{Metric: measure.MetricTransaction, Test: "canary", Arm: measure.Candidate, Transaction: name},
		At:     at, Found: found, Message: message,
	}
}

// askHealth asks the health endpoint from time to time, until the context ends.
// What it says is kept as attempts of its own, which are evidence of nothing.
func (d *Daemon) askHealth(ctx context.Context) <-chan measure.Attempt {
	answers := make(chan measure.Attempt)
	if d.o.Health == nil {
		return answers
	}
	go func() {
		ticker := time.NewTicker(time.Duration(d.o.Canary.Health.Every))
		defer ticker.Stop()
		for {
			a := heartbeat(healthName, time.Now().UnixNano(), measure.Accepted, "")
			if err := d.o.Health(ctx); err != nil {
				a.Found, a.Message = 0, err.Error()
			}
			a.Took = float64(time.Now().UnixNano()-a.At) / float64(time.Millisecond)
			select {
			case answers <- a:
			case <-ctx.Done():
				return
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return answers
}
