package run

import (
	"context"
	"fmt"
	"sync"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// observe makes what asks the monitoring during a phase, and announces the
// metrics of its queries; nil when the plan asks nothing.
func (c *Conductor) observe(b *bound) (Telemetry, error) {
	o := plan.Observation{Phase: b.phase.Name, Queries: c.Plan.Queries, Sources: map[string]plan.Source{}, Objectives: map[string]plan.Objective{}, Dir: c.Plan.Dir}
	if c.Plan.Alerts != nil {
		o.Alerts = c.Plan.Alerts.From
	}
	for name, objective := range c.Plan.Objectives {
		if objective.Queried() {
			o.Objectives[name] = objective
		}
	}
	if len(o.Queries) == 0 && o.Alerts == "" && len(o.Objectives) == 0 {
		return nil, nil
	}
	for _, name := range sorted(c.Plan.Telemetry) {
		s, err := plan.Bind(c.Plan.Telemetry[name], b.lookup)
		if err != nil {
			return nil, fmt.Errorf("telemetry %s: %w", name, err)
		}
		o.Sources[name] = s
	}
	for _, a := range b.arms() {
		host, err := plan.Host(b.targets[a.target].URL)
		if err != nil {
			return nil, fmt.Errorf("target %s: %w", a.target, err)
		}
		o.Arms = append(o.Arms, plan.Arm{Name: a.arm, Target: a.target, Host: host})
	}
	for _, name := range sorted(o.Queries) {
		if err := c.event(measure.Event{Kind: measure.EventMetric, Phase: b.phase.Name, Name: name, Attrs: o.Queries[name].Metric()}); err != nil {
			return nil, err
		}
	}
	return c.Adapters.Telemetry(o)
}

// asking asks the monitoring beside the tests. What it gives is called once
// they are over, waits for their last seconds, and says what went wrong.
func (c *Conductor) asking(ctx context.Context, b *bound, telemetry Telemetry) (over func() error) {
	if telemetry == nil {
		return func() error { return nil }
	}
	var running sync.WaitGroup
	var err error
	done := make(chan struct{})
	running.Go(func() {
		if err = c.ask(ctx, b, telemetry, done); err != nil {
			b.stop(nil)
		}
	})
	return func() error {
		close(done)
		running.Wait()
		return err
	}
}

func (c *Conductor) ask(ctx context.Context, b *bound, telemetry Telemetry, over <-chan struct{}) (err error) {
	defer recovered(&err, "telemetry")
	return telemetry.Run(ctx, over, func(batch measure.Batch) error { return c.observed(b, batch) })
}

// observed keeps what the monitoring told. Alerts are treated like those that
// it sends: there is a limit to them, and people can acknowledge them.
func (c *Conductor) observed(b *bound, batch measure.Batch) error {
	var kept []measure.Event
	for _, e := range batch.Events {
		if e.Kind == measure.EventAlert {
			if err := b.ear.note(e); err != nil {
				e = measure.Event{Source: e.Source, Seq: e.Seq, At: e.At, Kind: measure.EventWarning, Phase: e.Phase, Name: "alerts", Attrs: map[string]string{"detail": "an alert is left out: " + err.Error()}}
			}
		}
		kept = append(kept, e)
	}
	batch.Events = kept
	return c.emit(batch)
}

// note takes an alert in, unless it is no use or one too many.
func (e *ear) note(alert measure.Event) error {
	if err := takable(alert); err != nil {
		return err
	}
	return e.remember([]measure.Event{alert})
}
