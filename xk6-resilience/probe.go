package xk6resilience

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grafana/sobek"

	"resilience/internal/measure"
)

// probing is a probe that a VU carries out. The lock of its VU guards it.
type probing struct {
	measure.Probe
	vu    *vu
	span  *span     // its transaction
	until time.Time // when its time is over
	timer *time.Timer
	life  context.Context // until its time is over
	end   context.CancelFunc

	running  bool // its function runs, and can be interrupted
	answered bool

	message string // what went wrong first in a try
	try     int    // which one that was
	hung    string // the request that took up most of the time, until that was over
	failed  string // trace id of the last request that failed
	last    string // trace id of the last request
}

// errTimeOver interrupts a script that goes on when the time of its probe is over.
var errTimeOver = errors.New("the time of the probe is over")

// probes is what the generated entry module exports for a canary instead of a
// script's own exports: a default function that waits for a probe, carries it
// out by calling the function of the script that it names, and so on. Execs are
// those that probes may name; profile is as in [vu.entry], but for scenarios of
// the script, which do not count: a canary says by itself when what is called.
func (v *vu) probes(script *sobek.Object, profile string, execs []string) *sobek.Object {
	rt := v.Runtime()
	out := rt.NewObject()
	for _, name := range []string{"setup", "teardown"} {
		if fn, callable := sobek.AssertFunction(script.Get(name)); callable {
			v.set(out, name, rt.ToValue(v.lifecycle(fn)))
		}
	}
	v.session.grown.CompareAndSwap(nil, newGrown())
	options, err := v.options(script.Get("options"), profile, true)
	if _, said := options["noVUConnectionReuse"]; !said && err == nil {
		options["noVUConnectionReuse"] = true
	}
	functions := map[string]sobek.Callable{}
	for _, name := range execs {
		fn, callable := sobek.AssertFunction(script.Get(name))
		if !callable && err == nil {
			err = notExported(name)
		}
		functions[name] = fn
	}
	if err != nil {
		v.throw(err)
	}
	v.set(out, "options", rt.ToValue(options))
	v.set(out, "default", rt.ToValue(func(call sobek.FunctionCall) sobek.Value { return v.serve(functions, call) }))
	return out
}

// serve waits for a probe and carries it out. What the function of the script
// throws is part of the answer, and no error of k6's.
func (v *vu) serve(functions map[string]sobek.Callable, call sobek.FunctionCall) sobek.Value {
	desk := v.session.desk
	probe, ok := desk.next(v.Context())
	if !ok {
		return sobek.Undefined()
	}
	around := v.session.around.Load()
	as, known := around.named(probe.Tenant)
	exec := functions[probe.Exec]
	switch {
	case !known:
		desk.lose(probe, fmt.Sprintf("the canary acts as no tenant %q", probe.Tenant))
		return sobek.Undefined()
	case exec == nil:
		desk.lose(probe, fmt.Sprintf("the canary calls no function %q", probe.Exec))
		return sobek.Undefined()
	}
	v.replant()
	it := v.iterate(as, uint64(around.stream.Seed)^uint64(probe.Due), probe.Seq) //nolint:gosec // any bits do
	it.loops = false                                                             // its VU does not make the next one: it waits for that
	p, restore := v.beginProbe(probe)
	try := func(sobek.Value, ...sobek.Value) (sobek.Value, error) { return exec(call.This, call.Arguments...) }
	value, err := v.called(v.retrying(try, p.span, probe.Wait), nil, p.span, restore)
	v.stopped(p)
	if err != nil {
		v.broke(p, it, err)
		return sobek.Undefined()
	}
	end := func(threw bool, message string) {
		v.endIteration(it, threw, message)
		v.leave(p)
	}
	if !isPromise(value) {
		end(false, "")
		return sobek.Undefined()
	}
	v.settles(value, func(result sobek.Value, threw bool) {
		if threw {
			end(true, result.String())
			return
		}
		end(false, "")
	})
	return sobek.Undefined()
}

// beginProbe opens the transaction of a probe; restore undoes its tags.
func (v *vu) beginProbe(probe measure.Probe) (p *probing, restore func()) {
	s := v.openSpan(nil, measure.Series{Metric: measure.MetricTransaction, Transaction: probe.Transaction})
	restore = v.tag(probe.Transaction)
	p = &probing{Probe: probe, vu: v, span: s, until: s.start.Add(probe.Timeout), running: true}
	p.life, p.end = context.WithCancel(context.Background())
	v.mu.Lock()
	defer v.mu.Unlock()
	s.probe = p
	if probe.Tries > 1 {
		s.tries = probe.Tries
	}
	v.probe = p
	p.timer = time.AfterFunc(time.Until(p.until), p.expire)
	return p, restore
}

// stopped notes that the function of a probe does not run any more, though it may
// have left a promise: from now on it can not be interrupted.
func (v *vu) stopped(p *probing) {
	v.mu.Lock()
	p.running = false
	v.mu.Unlock()
	if !interrupted(v.Context()) {
		v.Runtime().ClearInterrupt()
	}
}

// broke ends a probe whose function threw or was interrupted. When it was
// interrupted because k6 stops, nobody knows what would have become of it.
func (v *vu) broke(p *probing, it *span, err error) {
	defer v.leave(p)
	var cut *sobek.InterruptedError
	if !errors.As(err, &cut) {
		v.endIteration(it, true, thrown(err))
		return
	}
	if interrupted(v.Context()) {
		return
	}
	v.abandon(time.Now(), false)
	now := time.Now()
	v.session.mu.Lock()
	defer v.session.mu.Unlock()
	if now.Before(p.until) {
		p.answer(measure.Attempt{Message: thrown(err)}, now) // the script stopped itself
		return
	}
	p.cutOff(now)
}

// leave notes that the function of a probe has ended.
func (v *vu) leave(p *probing) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.pending == 0 { // else requests go on that nobody waited for
		p.timer.Stop()
	}
	if v.probe == p {
		v.probe = nil
	}
}

// expire answers a probe whose time is over. It ends the function first and then
// what that waits for, so that it does not go on with something else. Sleep of k6
// can not be ended: it keeps the VU for as long as it takes.
func (p *probing) expire() {
	now := time.Now()
	p.vu.mu.Lock()
	if p.answered {
		p.vu.mu.Unlock()
		return
	}
	p.waits(now)
	if p.running {
		p.vu.Runtime().Interrupt(errTimeOver)
	}
	p.end()
	p.vu.mu.Unlock()
	s := p.vu.session
	s.mu.Lock()
	defer s.mu.Unlock()
	p.cutOff(now)
}

// over is closed when the time of the probe under way is over; nil when there is
// none.
func (v *vu) over() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.probe == nil {
		return nil
	}
	return v.probe.life.Done()
}
