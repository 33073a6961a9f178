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
// so with tx.completed(ok). Asynchronous functions work as well.
func (v *vu) transaction(name string, fn sobek.Callable) sobek.Value {
	if name == "" || fn == nil {
		v.throw(errors.New("transaction(name, fn) needs a name and a function"))
	}
	if v.State() == nil {
		v.throw(errors.New("transaction() belongs into the function that runs, not at the top of the script"))
	}
	op := v.openOperation(measure.Series{Metric: measure.MetricTransaction, Transaction: name})
	restore := v.tag(name)
	var completed *bool
	tx := v.Runtime().NewObject()
	v.set(tx, "accepted", func(call sobek.FunctionCall) sobek.Value { op.accepted = said(call); return sobek.Undefined() })
	v.set(tx, "completed", func(call sobek.FunctionCall) sobek.Value { completed = said(call); return sobek.Undefined() })
	v.set(tx, "step", func(name string, fn sobek.Callable) sobek.Value { return v.step(op, name, fn) })
	return v.call(fn, tx, op, func(fate measure.Fate) {
		restore()
		v.closeTransaction(op, fate, completed)
	})
}

// step measures a part of a transaction.
func (v *vu) step(tx *operation, name string, fn sobek.Callable) sobek.Value {
	if name == "" || fn == nil {
		v.throw(errors.New("tx.step(name, fn) needs a name and a function"))
	}
	op := v.openOperation(measure.Series{Metric: measure.MetricStep, Transaction: tx.series.Transaction, Step: name})
	return v.call(fn, nil, op, func(fate measure.Fate) { v.session.addOperation(op, fate) })
}

// call runs fn as an operation and tells done its fate, unless the VU was
// stopped in it: what is still open then is reported as unfinished later.
func (v *vu) call(fn sobek.Callable, argument *sobek.Object, op *operation, done func(measure.Fate)) sobek.Value {
	arguments := []sobek.Value{}
	if argument != nil {
		arguments = append(arguments, argument)
	}
	value, err := fn(sobek.Undefined(), arguments...)
	if err != nil {
		if !cut(err) && !interrupted(v.Context()) && v.closeOperation(op) {
			done(measure.Failed)
		}
		panic(err)
	}
	return v.settled(value, func(message string) {
		if interrupted(v.Context()) {
			return
		}
		fate := v.fate(op, message != "")
		if v.closeOperation(op) {
			done(fate)
		}
	})
}

// fate of an operation that ran to its end.
func (v *vu) fate(op *operation, threw bool) measure.Fate {
	v.mu.Lock()
	defer v.mu.Unlock()
	failed := threw || v.failures > op.failures
	if op.accepted != nil && !threw {
		failed = !*op.accepted
	}
	if failed {
		return measure.Failed
	}
	return measure.OK
}

func (v *vu) openOperation(series measure.Series) *operation {
	tags := v.State().Tags.GetCurrentValues().Tags
	series.Tenant, series.Class, series.Cell = get(tags, "tenant"), get(tags, "class"), get(tags, "cell")
	series.Region, series.Instance = get(tags, "region"), get(tags, "instance")
	v.mu.Lock()
	defer v.mu.Unlock()
	op := &operation{series: series, start: time.Now(), failures: v.failures}
	v.open = append(v.open, op)
	if v.iteration != nil && series.Metric == measure.MetricTransaction {
		v.iteration.transactions++
	}
	return op
}

// closeOperation forgets an operation; false when it had been given up before.
func (v *vu) closeOperation(op *operation) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, o := range v.open {
		if o == op {
			v.open = append(v.open[:i], v.open[i+1:]...)
			return true
		}
	}
	return false
}

// closeTransaction counts a transaction and, if the script looked, its
// outcome. In bare k6 both become metrics of the script.
func (v *vu) closeTransaction(op *operation, fate measure.Fate, completed *bool) {
	if !v.session.attached.Load() {
		v.metrics.emit(v, op, fate, completed)
		return
	}
	v.session.addOperation(op, fate)
	v.ended(op, fate)
	if completed == nil {
		return
	}
	outcome, outcomeFate := op.series, measure.OK
	outcome.Metric = measure.MetricOutcome
	if !*completed {
		outcomeFate = measure.Failed
	}
	v.session.mu.Lock()
	defer v.session.mu.Unlock()
	v.session.agg.Ref(v.session.series(outcome)).Count(op.start.UnixNano(), outcomeFate)
	if !*completed {
		v.session.example(measure.Example{At: op.start.UnixNano(), Kind: "not completed: " + op.series.Transaction})
	}
}

// ended remembers the last transaction of the iteration that went well, in
// case an exception follows.
func (v *vu) ended(op *operation, fate measure.Fate) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.iteration == nil {
		return
	}
	v.iteration.accepted = nil
	if fate == measure.OK {
		v.iteration.accepted = op
	}
}

func (s *session) addOperation(op *operation, fate measure.Fate) {
	s.add(op.series, op.start, time.Now(), fate)
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

// said reads the argument of accepted() and completed(): true unless given.
func said(call sobek.FunctionCall) *bool {
	value := true
	if len(call.Arguments) > 0 {
		value = call.Argument(0).ToBoolean()
	}
	return &value
}
