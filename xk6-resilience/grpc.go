package xk6resilience

import (
	"errors"
	"slices"
	"time"

	"github.com/grafana/sobek"
	"google.golang.org/grpc/codes"

	"go.k6.io/k6/v2/lib/types"
	"go.k6.io/k6/v2/metrics"

	"resilience/internal/measure"
)

// countedByUs marks, in the metadata of k6's samples, unary gRPC calls that are
// counted here. k6 measures a call only while its context lives, so calls that
// time out never show in its numbers.
const countedByUs = "resilience_counted"

type constructor = func(sobek.ConstructorCall) *sobek.Object

// watchGRPC replaces the Client of k6/net/grpc by one whose calls are known
// from their start. It must run before the script imports that module.
func (v *vu) watchGRPC(module *sobek.Object) {
	exports, _ := module.Export().(map[string]any)
	newClient, isClient := exports["Client"].(constructor)
	newStream, isStream := exports["Stream"].(constructor)
	if !isClient || !isStream {
		v.throw(errors.New("this version of k6/net/grpc is not known: its calls can not be watched"))
	}
	exports["Client"] = func(call sobek.ConstructorCall) *sobek.Object { return v.watched(newClient(call)) }
	exports["Stream"] = func(call sobek.ConstructorCall) *sobek.Object {
		if object, ok := call.Argument(0).(*sobek.Object); ok && object.Get(watchedMark) != nil {
			call.Arguments[0] = object.Prototype()
		}
		return newStream(call)
	}
}

// watchedMark is a property of watched clients alone.
const watchedMark = "resilience_watched"

// watched is an object that has everything from a client, but the methods that
// make unary calls.
func (v *vu) watched(client *sobek.Object) *sobek.Object {
	object := v.Runtime().CreateObject(client)
	define := func(name string, value any) {
		if err := object.DefineDataProperty(name, v.Runtime().ToValue(value), sobek.FLAG_FALSE, sobek.FLAG_FALSE, sobek.FLAG_FALSE); err != nil {
			v.throw(err)
		}
	}
	define(watchedMark, true)
	for _, name := range []string{"invoke", "asyncInvoke"} {
		method, callable := sobek.AssertFunction(client.Get(name))
		if !callable {
			continue
		}
		define(name, func(call sobek.FunctionCall) sobek.Value { return v.unary(client, method, call) })
	}
	return object
}

// unary makes a call and knows it from its start.
func (v *vu) unary(client *sobek.Object, method sobek.Callable, call sobek.FunctionCall) sobek.Value {
	if v.State() == nil { // k6 says what is wrong with that
		return v.must(method(client, call.Arguments...))
	}
	f := v.launch(&flight{vu: v, start: time.Now(), call: v.grpcSeries(call)})
	v.bound(&call)
	unmark := v.mark()
	value, err := method(client, call.Arguments...)
	unmark()
	if err != nil {
		v.withdraw(f)
		panic(err)
	}
	return v.followed(value, func(answer sobek.Value, threw bool) {
		if threw {
			v.withdraw(f)
			return
		}
		v.answered(f, answer)
	})
}

// bound gives a call no more time than its probe has left.
func (v *vu) bound(call *sobek.FunctionCall) {
	v.mu.Lock()
	p := v.probe
	v.mu.Unlock()
	if p == nil {
		return
	}
	left := max(time.Until(p.until), time.Millisecond)
	params := v.Runtime().NewObject()
	if given := call.Argument(2); !sobek.IsUndefined(given) && !sobek.IsNull(given) {
		object := given.ToObject(v.Runtime())
		for _, name := range object.Keys() {
			v.set(params, name, object.Get(name))
		}
		if own := object.Get("timeout"); own != nil {
			if d, err := types.GetDurationValue(own.Export()); err == nil && d < left {
				left = d
			}
		}
	}
	v.set(params, "timeout", milliseconds(left))
	call.Arguments = slices.Clone(call.Arguments) // they lie on the stack of the runtime
	for len(call.Arguments) < 3 {
		call.Arguments = append(call.Arguments, sobek.Undefined())
	}
	call.Arguments[2] = params
}

func (v *vu) must(value sobek.Value, err error) sobek.Value {
	if err != nil {
		panic(err)
	}
	return value
}

// mark makes k6's sample of the call that is about to be made known as ours.
func (v *vu) mark() (unmark func()) {
	tags := v.State().Tags
	tags.Modify(func(t *metrics.TagsAndMeta) { t.SetMetadata(countedByUs, "1") })
	return func() { tags.Modify(func(t *metrics.TagsAndMeta) { t.DeleteMetadata(countedByUs) }) }
}

// grpcSeries is the series of a call: tags of the call go before those of the
// VU.
func (v *vu) grpcSeries(call sobek.FunctionCall) *measure.Series {
	tags := v.State().Tags.GetCurrentValues().Tags
	if params := call.Argument(2); !sobek.IsUndefined(params) && !sobek.IsNull(params) {
		if own := params.ToObject(v.Runtime()).Get("tags"); own != nil && !sobek.IsUndefined(own) && !sobek.IsNull(own) {
			object := own.ToObject(v.Runtime())
			for _, name := range object.Keys() {
				tags = tags.With(name, object.Get(name).String())
			}
		}
	}
	series := labelled(measure.Series{Metric: measure.MetricRequest, Transaction: get(tags, "transaction"), Step: get(tags, "name")}, tags)
	if series.Step == "" {
		series.Step = call.Argument(0).String()
		if series.Step != "" && series.Step[0] != '/' {
			series.Step = "/" + series.Step
		}
	}
	return &series
}

// withdraw forgets a call that was never made: k6 threw.
func (v *vu) withdraw(f *flight) {
	v.arrive(f, true)
	v.session.keep(func() { v.session.closeAll(v.settle(f, true)) })
}

// answered counts a call that came back.
func (v *vu) answered(f *flight, answer sobek.Value) {
	code := codes.Code(answer.ToObject(v.Runtime()).Get("status").ToInteger()) //nolint:gosec // k6 made it from one
	status, fate := grpcStatus(code)
	f.accepted = fate == measure.OK
	if f.accepted {
		f.heard("", "")
	} else {
		f.heard(status, "")
	}
	v.arrive(f, code != codes.DeadlineExceeded)
	v.session.keep(func() {
		if f.settled { // it was cut off, and counted as that
			return
		}
		if !f.quiet {
			ref := v.session.agg.Ref(v.routeSeries(f, status))
			ref.Add(f.start.UnixNano(), milliseconds(f.end.Sub(f.start)), fate)
			f.wentWell(ref, fate)
			if fate != measure.OK {
				v.session.example(measure.Example{At: f.start.UnixNano(), Kind: status, Request: f.describe(), Status: status})
			}
		}
		v.session.closeAll(v.settle(f, f.accepted))
	})
}

// grpcStatus is a code as a series has it, and what it means.
func grpcStatus(code codes.Code) (status string, fate measure.Fate) {
	if code != codes.OK {
		fate = measure.Failed
	}
	return "grpc " + code.String(), fate
}
