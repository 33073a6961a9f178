package shadow

import (
	"context"
	"time"

	"resilience/internal/plan"
)

// pace says when the exchanges of a recording are due.
type pace struct {
	speed plan.Speed
	rate  plan.Rate // instead of a speed
	first time.Time // of the recording
	last  time.Duration
	n     uint64
}

// due gives when the next exchange is due after the beginning. One that was
// recorded out of order is due with the one before.
func (p *pace) due(at time.Time) time.Duration {
	p.n++
	switch {
	case p.rate > 0:
		return time.Duration(float64(p.n-1) / float64(p.rate) * float64(time.Second))
	case p.speed.Max():
		return 0
	case p.n == 1:
		p.first = at
	}
	p.last = max(p.last, time.Duration(float64(at.Sub(p.first))/float64(p.speed)))
	return p.last
}

// awaitMoment returns at a moment; false when the context ended first.
func awaitMoment(ctx context.Context, at time.Time) bool {
	early := time.Until(at)
	if early <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(early)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
