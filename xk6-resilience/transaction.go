package xk6resilience

import (
	"errors"
	"time"

	"github.com/grafana/sobek"

	"go.k6.io/k6/v2/metrics"

	"resilience/internal/measure"
)

// transaction(name, fn) measures one business operation. It is accepted when
// every request in it was and nothing was thrown, unless the script says
// otherwise with tx.accepted(ok); it is completed or not when the script says
// so with tx.completed(ok). Asynchronous functions work as well. With {tries, wait}
// one that was not accepted, or not completed, is tried again: see [vu.retrying].
func (v *vu) transaction(name string, fn sobek.Callable, options sobek.Value) sobek.Value {
	if name == "" || fn == nil {
		v.throw(errors.New("transaction(name, fn) needs a name and a function"))
	}
	again, err := readRetries(options)
	if err != nil {
		v.throw(err)
	}
	if v.State() == nil {
		v.throw(errors.New("transaction() belongs into the function that runs, not at the top of the script"))
	}
	v.install() // nothing else has, when k6 runs the script itself
	if s := v.asked(name); s != nil {
		return v.inside(s, fn)
	}
	v.discardStale()
	s := v.openSpan(nil, measure.Series{Metric: measure.MetricTransaction, Transaction: name})
	s.tries = again.tries
	restore := v.tag(name)
	return v.call(v.retrying(fn, s, again.wait), []sobek.Value{v.handle(s)}, s, restore)
}

// handle is the tx that the function of a transaction gets.
func (v *vu) handle(s *span) sobek.Value {
	tx := v.Runtime().NewObject()
	v.set(tx, "accepted", v.setter(s, &s.accepted))
	v.set(tx, "completed", v.setter(s, &s.completed))
	v.set(tx, "step", func(name string, fn sobek.Callable) sobek.Value { return v.step(s, name, fn) })
	return tx
}

// asked is the transaction of a probe, when the one that a script opens is just
// that: it has the same name, and no other is around it. How often it is tried,
// the plan says then.
func (v *vu) asked(name string) *span {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s := v.innermost(); s != nil && s.probe != nil && s.series.Transaction == name {
		return s
	}
	return nil
}

// inside runs the function of a transaction that is open already.
func (v *vu) inside(s *span, fn sobek.Callable) sobek.Value {
	value, err := fn(sobek.Undefined(), v.handle(s))
	end := func(threw bool, message string) {
		v.mu.Lock()
		defer v.mu.Unlock()
		if threw {
			s.broke = message
		}
	}
	if err != nil {
		if !v.cutOff(err) {
			end(true, thrown(err))
		}
		panic(err)
	}
	return v.settled(value, end)
}

// step measures a part of a transaction.
func (v *vu) step(tx *span, name string, fn sobek.Callable) sobek.Value {
	if name == "" || fn == nil {
		v.throw(errors.New("tx.step(name, fn) needs a name and a function"))
	}
	s := v.openSpan(tx, measure.Series{Metric: measure.MetricStep, Transaction: tx.series.Transaction, Step: name})
	return v.call(fn, nil, s, func() {})
}

// call runs fn as a span and closes that, unless the VU was stopped in it: what
// is still open then is reported as unfinished later. What fn throws goes on.
func (v *vu) call(fn sobek.Callable, arguments []sobek.Value, s *span, after func()) sobek.Value {
	value, err := v.called(fn, arguments, s, after)
	if err != nil {
		panic(err)
	}
	return value
}

// called is call for those who want what fn throws.
func (v *vu) called(fn sobek.Callable, arguments []sobek.Value, s *span, after func()) (sobek.Value, error) {
	end := func(threw bool, message string) {
		after()
		if v.interrupted() {
			return
		}
		v.closeSpan(s, threw, message)
	}
	value, err := fn(sobek.Undefined(), arguments...)
	if err != nil {
		if !v.cutOff(err) {
			end(true, thrown(err))
		}
		return nil, err
	}
	return v.settled(value, end), nil
}

// interrupted reports whether k6 has stopped the VU.
func (v *vu) interrupted() bool {
	if !interrupted(v.Context()) {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stop(time.Now())
	return true
}

// cutOff reports whether a call ended because its VU was stopped.
func (v *vu) cutOff(err error) bool {
	var cut *sobek.InterruptedError
	if !errors.As(err, &cut) {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stop(time.Now())
	return true
}

// discardStale gives up what an iteration left open that was cut off. Where the
// iterations are ours, their beginning does that.
func (v *vu) discardStale() {
	v.mu.Lock()
	stale := v.iteration == nil && len(v.open) > 0 && v.open[0].run != v.State().Iteration
	v.mu.Unlock()
	if stale {
		v.abandon(time.Now(), false)
	}
}

// setter makes tx.accepted and tx.completed: they say true unless given
// something else, and nothing after the transaction has ended.
func (v *vu) setter(s *span, verdict **bool) func(sobek.FunctionCall) sobek.Value {
	return func(call sobek.FunctionCall) sobek.Value {
		value := len(call.Arguments) == 0 || call.Argument(0).ToBoolean()
		v.mu.Lock()
		defer v.mu.Unlock()
		if !s.ended {
			*verdict = &value
		}
		return sobek.Undefined()
	}
}

// tag marks what is measured inside a transaction with its name, and returns
// what undoes it.
func (v *vu) tag(name string) (restore func()) {
	tags := v.State().Tags
	before, had := tags.GetCurrentValues().Tags.Get("transaction")
	set := func(value string) {
		tags.Modify(func(t *metrics.TagsAndMeta) { t.SetTag("transaction", value) })
	}
	set(name)
	return func() {
		if had {
			set(before)
			return
		}
		tags.Modify(func(t *metrics.TagsAndMeta) { t.DeleteTag("transaction") })
	}
}
