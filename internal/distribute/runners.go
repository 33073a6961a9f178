package distribute

import (
	"context"
	"errors"
	"fmt"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// Follow hands on all windows and events of a run whose sources begin with a
// prefix, each once and in any order, until the context ends. An error means that
// no more can be read.
type Follow func(ctx context.Context, run, prefix string, emit func(measure.Batch) error) error

// Times of the engine.
const (
	lookEvery = time.Second      // at the pods
	stopGrace = 5 * time.Second  // for what runners that are stopped still write
	tidyGrace = 20 * time.Second // for removing what was made
)

// Runners is the traffic of one stream, sent from a cluster.
type Runners struct {
	stream plan.Stream
	on     plan.Distribute
	make   func(context.Context) (Job, error)
	follow Follow
	api    api
}

// api is what runners need of Kubernetes. An object is removed with all that was
// made for it; one that is not there is removed already.
type api interface {
	create(ctx context.Context, m Manifest) (uid string, err error)
	own(ctx context.Context, m, by Manifest, uid string) error // m is removed with by
	look(ctx context.Context, testRun string) (sight, error)
	remove(ctx context.Context, m Manifest) error
}

// NewRunners prepares a stream for the cluster that the plan names. Job is asked
// for what they are made of once they are about to be made. It does not speak to
// the cluster yet.
func NewRunners(stream plan.Stream, on plan.Distribute, job func(context.Context) (Job, error), follow Follow) (*Runners, error) {
	c, err := connect(on, stream.Dir)
	if err != nil {
		return nil, err
	}
	return &Runners{stream, on, job, follow, c}, nil
}

// Delay implements the conductor's Delayed.
func (r *Runners) Delay() time.Duration {
	return time.Duration(r.on.Begin) + endGrace + reportGrace
}

// Run implements the conductor's Traffic. That runners fell short is told in
// events.
func (r *Runners) Run(ctx context.Context, emit func(measure.Batch) error) (err error) {
	job, err := r.make(ctx)
	if err != nil {
		return err
	}
	manifests, err := job.Manifests()
	if err != nil {
		return err
	}
	say := &voice{source: job.Settings.Source + "/harness", stream: r.stream, emit: emit}
	work := &shift{api: r.api, crew: newCrew(job, time.Now()), testRun: job.Name(), say: say}
	defer func() { err = errors.Join(err, r.tidy(context.WithoutCancel(ctx), manifests, say)) }()
	if err := r.apply(ctx, manifests); err != nil {
		return err
	}
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	read := make(chan error, 1)
	go func() { read <- r.follow(reading, r.stream.Run, job.Settings.Source+"/", work.hear(emit)) }()
	work.until(ctx, read)
	if ctx.Err() != nil {
		work.stopped(context.WithoutCancel(ctx), manifests[len(manifests)-1], read)
	}
	stop()
	work.finished(read)
	return errors.Join(work.report(), work.failed)
}

// apply makes the objects. What the TestRun needs is there before it, and is
// removed with it, whoever does that.
func (r *Runners) apply(ctx context.Context, manifests []Manifest) error {
	last := len(manifests) - 1
	for _, m := range manifests[:last] {
		if _, err := r.api.create(ctx, m); err != nil {
			return err
		}
	}
	uid, err := r.api.create(ctx, manifests[last])
	if err != nil {
		return err
	}
	for _, m := range manifests[:last] {
		if err := r.api.own(ctx, m, manifests[last], uid); err != nil {
			return err
		}
	}
	return nil
}

// tidy removes the objects, and says how to do it by hand where that fails.
func (r *Runners) tidy(ctx context.Context, manifests []Manifest, say *voice) error {
	ctx, cancel := context.WithTimeout(ctx, tidyGrace)
	defer cancel()
	var problems []error
	for i := len(manifests) - 1; i >= 0; i-- {
		if err := r.api.remove(ctx, manifests[i]); err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return say.event(time.Now().UnixNano(), measure.EventWarning, "cluster", map[string]string{
		"detail": fmt.Sprintf("what was made for the runners may still be there (%v): %s", errors.Join(problems...), Removal(r.on.Namespace, r.stream.Run)),
	})
}

// Removal is the command that removes what a run made on a cluster.
func Removal(namespace, run string) string {
	return fmt.Sprintf("remove it with: kubectl delete testruns,secrets,configmaps -n %s -l %s=%s", namespace, LabelRun, run)
}

// shift is one run of the runners.
type shift struct {
	api     api
	crew    *crew
	testRun string
	say     *voice
	failed  error // what was measured can not be kept
}

// hear keeps account of what is handed on.
func (s *shift) hear(emit func(measure.Batch) error) func(measure.Batch) error {
	return func(batch measure.Batch) error {
		if err := emit(batch); err != nil {
			s.failed = err // read once following is over
			return err
		}
		s.crew.hear(batch, time.Now())
		return nil
	}
}

// until looks after the runners until all are done, nothing can be read any more,
// or the context ends.
func (s *shift) until(ctx context.Context, read chan error) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var blind error
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-read:
			read <- err
			s.crew.giveUp(fmt.Sprintf("what it measured can not be read: %v", err))
			return
		case <-ticker.C:
		}
		seen, err := s.api.look(ctx, s.testRun)
		switch {
		case err == nil:
			s.crew.see(seen, time.Now())
		case ctx.Err() == nil && blind == nil: // those who send need no eyes on them
			blind = err
			_ = s.say.event(time.Now().UnixNano(), measure.EventWarning, "cluster", map[string]string{"detail": fmt.Sprintf("the runners can not be looked after: %v", err)})
		}
		if s.crew.settle(time.Now()) {
			return
		}
	}
}

// stopped stops the runners, and gives them a moment to report.
func (s *shift) stopped(ctx context.Context, testRun Manifest, read chan error) {
	removing, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	_ = s.api.remove(removing, testRun) // tidy tries again, and tells
	ticker := time.NewTicker(lookEvery / 5)
	defer ticker.Stop()
	for s.crew.reporting() && removing.Err() == nil {
		select {
		case err := <-read:
			read <- err
			s.crew.giveUp("interrupted")
			return
		case <-removing.Done():
		case <-ticker.C:
		}
	}
	s.crew.giveUp("interrupted")
}

// finished waits until nothing more is handed on.
func (s *shift) finished(read chan error) { <-read }

// report tells what became of the runners, as a local k6 process would.
func (s *shift) report() error {
	var problems []error
	for _, o := range s.crew.account() {
		problems = append(problems, s.say.outcome(o, time.Now().UnixNano()))
	}
	return errors.Join(problems...)
}

// voice is how the engine speaks for itself.
type voice struct {
	source string
	seq    uint64
	stream plan.Stream
	emit   func(measure.Batch) error
}

func (v *voice) event(at int64, kind, name string, attrs map[string]string) error {
	v.seq++
	return v.emit(measure.Batch{Events: []measure.Event{{
		Source: v.source, Seq: v.seq, At: at, Kind: kind, Phase: v.stream.Phase, Test: v.stream.Test.Name, Arm: v.stream.Arm, Name: name, Attrs: attrs,
	}}})
}

func (v *voice) outcome(o outcome, now int64) error {
	var problems []error
	complete, at := o.failed == "", now
	reason := o.failed
	if !complete && reason != "interrupted" {
		reason = o.who + ": " + reason
		problems = append(problems, v.event(now, measure.EventGenerator, "runner", map[string]string{"detail": reason}))
	}
	if complete {
		at = v.stoppedSending(o)
	}
	return errors.Join(append(problems, v.event(at, measure.EventTestEnd, "", map[string]string{"complete": fmt.Sprint(complete), "reason": reason}))...)
}

// stoppedSending is when a runner that came to its end sent its last request:
// where the plan says how long it sends, what comes after is waiting for answers.
func (v *voice) stoppedSending(o outcome) int64 {
	_, profile := v.stream.Test.Kind()
	if o.test == 0 || !profile.Shaped() {
		return o.end.At
	}
	return min(o.end.At, o.test+profile.Length().Nanoseconds())
}
