package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"resilience/canary"
	"resilience/internal/measure"
	"resilience/internal/plan"
	"resilience/internal/traffic"
	"resilience/scenarios"
)

// newProber makes what tries the transactions of a canary, in a k6 process. Done
// removes what it needs on disk.
func newProber(s plan.Stream, emit func(measure.Batch) error) (prober *traffic.Prober, done func(), err error) {
	_, profile := s.Test.Kind()
	self, err := os.Executable()
	if err != nil {
		return nil, nil, fmt.Errorf("find this program, to run k6 with: %w", err)
	}
	script, done := plan.Locate(s.Dir, profile.Script), func() {}
	if text, embedded := scenarios.Open(profile.Script); embedded {
		dir, err := os.MkdirTemp("", "resilience-script-")
		if err != nil {
			return nil, nil, err
		}
		script, done = filepath.Join(dir, filepath.Base(profile.Script)), func() { _ = os.RemoveAll(dir) }
		if err := os.WriteFile(script, text, 0o600); err != nil {
			done()
			return nil, nil, err
		}
	}
	var execs []string
	for _, t := range s.Schedule {
		execs = append(execs, t.Exec)
	}
	prober, err = traffic.NewProber(s, execs, profile.VUs, []string{self, "k6"}, script, emit)
	if err != nil {
		done()
	}
	return prober, done, err
}

// canaryTraffic is a test of a phase that does what the plan's canary does.
type canaryTraffic struct{ stream plan.Stream }

// Run implements the conductor's Traffic.
func (c canaryTraffic) Run(ctx context.Context, emit func(measure.Batch) error) error {
	prober, done, err := newProber(c.stream, beginningOnce(emit))
	if err != nil {
		return err
	}
	defer done()
	_, profile := c.stream.Test.Kind()
	playing, cancel := context.WithTimeout(ctx, time.Duration(profile.Warmup+profile.Duration))
	defer cancel()
	began := time.Now()
	seed := c.stream.Plan + strconv.FormatInt(c.stream.Seed, 10)
	schedule := canary.NewScheduler(canaryTasks(c.stream), seed, began.UnixNano(), func(string, string) int64 { return 0 })
	event := func(at time.Time, kind string, attrs map[string]string) measure.Event {
		return measure.Event{
			Source: "canary/" + c.stream.Test.Name + "/" + c.stream.Arm, At: at.UnixNano(), Kind: kind,
			Phase: c.stream.Phase, Test: c.stream.Test.Name, Arm: c.stream.Arm, Attrs: attrs,
		}
	}
	first := event(began, measure.EventTest, map[string]string{"kind": plan.KindCanary, "engine": "k6", "warmup": time.Duration(profile.Warmup).String()})
	if err := emit(measure.Batch{Events: []measure.Event{first}}); err != nil {
		return err
	}
	err = canary.Play(playing, schedule, prober)
	last := event(time.Now(), measure.EventTestEnd, map[string]string{"complete": strconv.FormatBool(err == nil && ctx.Err() == nil), "reason": ""})
	if last.Seq = 1; ctx.Err() != nil {
		last.Attrs["reason"] = "interrupted"
	}
	if failing := emit(measure.Batch{Events: []measure.Event{last}}); failing != nil {
		return failing
	}
	return err
}

// beginningOnce leaves out that a test began: each k6 process says so, and there
// is a new one whenever one has died.
func beginningOnce(emit func(measure.Batch) error) func(measure.Batch) error {
	return func(b measure.Batch) error {
		b.Events = slices.DeleteFunc(slices.Clone(b.Events), func(e measure.Event) bool { return e.Kind == measure.EventTest })
		return emit(b)
	}
}
