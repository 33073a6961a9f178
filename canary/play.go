package canary

import (
	"context"
	"errors"
	"time"

	"resilience/internal/measure"
)

// Play has a prober try what is due until the context ends, for a test in a phase:
// nobody watches what comes of it but the gates of the phase.
func Play(ctx context.Context, schedule *Scheduler, prober Prober) error {
	due, ended, answers := make(chan measure.Probe), make(chan error, 1), make(chan measure.Probed)
	go func() { ended <- prober.Run(ctx, due, func(p measure.Probed) { answers <- p }) }()
	stop := ctx.Done()
	for stopped := false; ; {
		probe, out, wait := next(schedule, due, stopped)
		select {
		case out <- probe:
			schedule.Begin(time.Now().UnixNano())
		case p := <-answers:
			if p.Lost != "" {
				schedule.Lost(p.Seq, time.Now().UnixNano())
			} else {
				schedule.Done(p.Seq)
			}
		case <-wait:
		case <-stop:
			stopped, stop = true, nil
		case err := <-ended:
			if !stopped && err == nil {
				err = errors.New("the canary's engine ended by itself")
			}
			return err
		}
	}
}

// next is the probe that is due, with the channel to hand it to; nil when there
// is none, and what to wait for then.
func next(s *Scheduler, due chan measure.Probe, stopped bool) (measure.Probe, chan<- measure.Probe, <-chan time.Time) {
	if stopped {
		return measure.Probe{}, nil, nil
	}
	now := time.Now().UnixNano()
	if probe, is := s.Due(now); is {
		return probe, due, nil
	}
	if wait, ever := s.Wait(now); ever {
		return measure.Probe{}, nil, time.After(wait)
	}
	return measure.Probe{}, nil, nil
}
