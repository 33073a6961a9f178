package xk6resilience

import (
	"errors"
	"time"

	"github.com/grafana/sobek"
)

// retries is how often a transaction is tried.
type retries struct {
	tries int // all in all; 0 where the script does not say
	wait  time.Duration
}

// Limits of retries.
const (
	maxTries  = 10
	retryWait = 500 * time.Millisecond // unless the script says
)

func readRetries(options sobek.Value) (retries, error) {
	given := readObject("transaction", options, "tries", "wait")
	r := retries{wait: retryWait}
	if given.has("tries") {
		n, ok := number(given.fields["tries"])
		if r.tries = int(n); !ok || float64(r.tries) != n || r.tries < 1 || r.tries > maxTries {
			given.wrong("transaction: tries is a whole number from 1 to %d", maxTries)
		}
	}
	if given.has("wait") {
		r.wait = given.duration("wait")
	}
	if given.err == nil && (r.wait < 0 || given.has("wait") && r.tries == 0) {
		given.wrong("transaction: wait is 0s or more, and goes with tries")
	}
	return r, given.err
}

// retrying calls a transaction's function again when it threw, was not accepted or
// was not completed. The last try counts, and the time of all: a transaction that
// was completed after a retry is degraded, because its user waited for it. Whether
// a request was accepted is known here from its status alone; a script that
// expects others says so with tx.accepted().
func (v *vu) retrying(fn sobek.Callable, s *span, wait time.Duration) sobek.Callable {
	if s.tries <= 1 {
		return fn
	}
	return func(this sobek.Value, arguments ...sobek.Value) (sobek.Value, error) {
		for {
			value, err := fn(this, arguments...)
			if err == nil && isPromise(value) {
				return v.retryingAsync(func() (sobek.Value, error) { return fn(this, arguments...) }, value, s, wait), nil
			}
			var cut *sobek.InterruptedError
			if errors.As(err, &cut) || !v.again(s, err != nil, wait) || !v.rest(wait) {
				return value, err
			}
			v.anew(s)
		}
	}
}

// retryingAsync goes on with a transaction whose function gave a promise.
func (v *vu) retryingAsync(try func() (sobek.Value, error), first sobek.Value, s *span, wait time.Duration) sobek.Value {
	promise, resolve, reject := v.Runtime().NewPromise()
	var follow func(value sobek.Value)
	next := func() {
		v.anew(s)
		value, err := try()
		switch {
		case err != nil: // a function that is asynchronous does not throw by itself
			_ = reject(err)
		case !isPromise(value):
			_ = resolve(value)
		default:
			follow(value)
		}
	}
	follow = func(value sobek.Value) {
		v.settles(value, func(result sobek.Value, threw bool) {
			switch {
			case v.again(s, threw, wait):
				v.later(wait, next)
			case threw:
				_ = reject(result)
			default:
				_ = resolve(result)
			}
		})
	}
	follow(first)
	return v.Runtime().ToValue(promise)
}

// later calls do in the event loop after a while, unless the test ends.
func (v *vu) later(wait time.Duration, do func()) {
	enqueue, ctx, over := v.RegisterCallback(), v.Context(), v.over()
	go func() {
		rested(ctx, over, wait)
		enqueue(func() error {
			if !interrupted(ctx) {
				do()
			}
			return nil
		})
	}()
}

// again reports whether a try came to nothing, and another is left and fits into
// the time of the probe.
func (v *vu) again(s *span, threw bool, wait time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	accepted := s.refused == 0
	if s.accepted != nil {
		accepted = *s.accepted
	}
	completed := s.outcome() == nil || *s.outcome()
	threw = threw || s.broke != ""
	if s.probe != nil && time.Until(s.probe.until) <= wait {
		return false
	}
	return s.try+1 < s.tries && (threw || !accepted || !completed) && !interrupted(v.Context())
}

// anew begins the next try: what came of the last one does not count.
func (v *vu) anew(s *span) {
	v.mu.Lock()
	defer v.mu.Unlock()
	failures := s.failures
	for x := s; x != nil; x = x.parent {
		x.failures -= failures
	}
	s.try++
	s.refused, s.accepted, s.completed, s.inner, s.broke = 0, nil, nil, nil, ""
}
