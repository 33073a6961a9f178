package run

import (
	"sync"
	"time"

	"resilience/internal/measure"
)

// lifting measures how long it takes from an interrupt until no fault is in
// effect.
type lifting struct {
	mu           sync.Mutex
	began, ended time.Time
}

func (l *lifting) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began = time.Now()
}

// calm notes that no fault is in effect any more, nor will be.
func (c *Conductor) calm(b *bound) {
	b.lifting.mu.Lock()
	defer b.lifting.mu.Unlock()
	b.lifting.ended = time.Now()
}

// event tells of the interrupt, at the time when it came.
func (l *lifting) event(phase string) measure.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := measure.Event{Kind: measure.EventInterrupt, Phase: phase}
	if l.began.IsZero() { // it came just now
		return e
	}
	e.At = l.began.UnixNano()
	if !l.ended.IsZero() {
		e.Attrs = map[string]string{"lifting": max(0, l.ended.Sub(l.began)).Round(time.Microsecond).String()}
	}
	return e
}
