package xk6resilience

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/grafana/sobek"
)

// errRowInInit says that there is no row before the first iteration.
var errRowInInit = errors.New("row() gives the row of an iteration: call it in the function that runs, not at the top of the script")

// PlanError begins the message of an exception that the plan is to blame for,
// not the script.
const PlanError = "the plan does not fit the script: "

// entry is what the generated entry module exports instead of a script's own
// exports: every function is wrapped, and the plan's profile is put into its
// options. Profile is JSON: k6 options, of which scenarios must not also be in
// the script.
func (v *vu) entry(script *sobek.Object, profile string) *sobek.Object {
	rt := v.Runtime()
	out := rt.NewObject()
	for _, name := range script.Keys() {
		value := script.Get(name)
		fn, callable := sobek.AssertFunction(value)
		switch {
		case name == "options" || name == "handleSummary" || name == "__esModule":
			continue
		case !callable:
			v.set(out, name, value)
		case name == "setup" || name == "teardown":
			v.set(out, name, rt.ToValue(v.lifecycle(fn)))
		default:
			v.set(out, name, rt.ToValue(v.wrap(fn)))
		}
	}
	options, err := v.options(script.Get("options"), profile, false)
	if err == nil {
		err = executable(options, script)
	}
	if err != nil {
		v.throw(err)
	}
	v.set(out, "options", rt.ToValue(options))
	return out
}

func (v *vu) set(object *sobek.Object, name string, value any) {
	if err := object.Set(name, value); err != nil {
		v.throw(err)
	}
}

// options merges the plan's profile over the script's options. Override lets its
// scenarios replace those of the script.
func (v *vu) options(own sobek.Value, profile string, override bool) (map[string]any, error) {
	options := map[string]any{}
	if own != nil && !sobek.IsUndefined(own) && !sobek.IsNull(own) {
		text, err := json.Marshal(own.Export())
		if err != nil {
			return nil, fmt.Errorf("options of the script: %w", err)
		}
		if err := json.Unmarshal(text, &options); err != nil {
			return nil, fmt.Errorf("options of the script: %w", err)
		}
	}
	var ours map[string]any
	if err := json.Unmarshal([]byte(profile), &ours); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	if _, shaped := ours["scenarios"]; shaped {
		if _, both := options["scenarios"]; both && !override {
			return nil, errors.New(PlanError + "both say how much traffic there is; remove scenarios from the script's options, or rate, vus and stages from the plan")
		}
		for _, shortcut := range []string{"vus", "duration", "iterations", "stages"} {
			delete(options, shortcut)
		}
	}
	if _, elsewhere := options["hosts"]; elsewhere {
		return nil, errors.New(PlanError + "its option hosts would lead traffic past the plan's targets; remove it and name the address as a target")
	}
	for name, value := range ours {
		options[name] = value
	}
	return options, nil
}

// executable reports an error when the function that the plan's scenarios run
// does not exist.
func executable(options map[string]any, script *sobek.Object) error {
	scenarios, _ := options["scenarios"].(map[string]any)
	for _, each := range scenarios {
		scenario, _ := each.(map[string]any)
		name, _ := scenario["exec"].(string)
		if name == "" {
			name = "default"
		}
		if _, callable := sobek.AssertFunction(script.Get(name)); !callable {
			return notExported(name)
		}
	}
	return nil
}

func notExported(name string) error {
	return fmt.Errorf("%sit exports no function %q; say `export default function`, or name another with exec", PlanError, name)
}

// lifecycle wraps setup and teardown: their requests are guarded and
// authorised, and not counted.
func (v *vu) lifecycle(fn sobek.Callable) func(sobek.FunctionCall) sobek.Value {
	return func(call sobek.FunctionCall) sobek.Value {
		v.install()
		v.mu.Lock()
		v.quiet = true
		v.mu.Unlock()
		value, err := fn(call.This, call.Arguments...)
		if err != nil {
			panic(err)
		}
		return value
	}
}

// wrap makes every call of a script's function an iteration that is known from
// its start, whether the function is asynchronous or not.
func (v *vu) wrap(fn sobek.Callable) func(sobek.FunctionCall) sobek.Value {
	return func(call sobek.FunctionCall) sobek.Value {
		it := v.beginIteration()
		value, err := fn(call.This, call.Arguments...)
		if err != nil {
			if !v.cutOff(err) {
				v.endIteration(it, true, thrown(err))
			}
			panic(err)
		}
		return v.settled(value, func(threw bool, message string) { v.endIteration(it, threw, message) })
	}
}

// settled calls done at once, or when the promise that value is has settled;
// the message is what it was rejected with. It returns what the caller should
// go on with.
func (v *vu) settled(value sobek.Value, done func(threw bool, message string)) sobek.Value {
	return v.followed(value, func(result sobek.Value, threw bool) {
		if threw {
			done(true, result.String())
			return
		}
		done(false, "")
	})
}

// followed is settled for those who want the result.
func (v *vu) followed(value sobek.Value, done func(result sobek.Value, threw bool)) sobek.Value {
	if !isPromise(value) {
		done(value, false)
		return value
	}
	object := value.ToObject(v.Runtime())
	then, _ := sobek.AssertFunction(object.Get("then"))
	chained, err := then(object,
		v.Runtime().ToValue(func(call sobek.FunctionCall) sobek.Value {
			done(call.Argument(0), false)
			return call.Argument(0)
		}),
		v.Runtime().ToValue(func(call sobek.FunctionCall) sobek.Value {
			done(call.Argument(0), true)
			panic(call.Argument(0))
		}))
	if err != nil {
		v.throw(err)
	}
	return chained
}

var promiseType = reflect.TypeFor[*sobek.Promise]()

func isPromise(value sobek.Value) bool {
	_, object := value.(*sobek.Object)
	return object && value.ExportType() == promiseType
}

// thrown is what a script threw, in one line.
func thrown(err error) string {
	var exception *sobek.Exception
	if errors.As(err, &exception) && exception.Value() != nil {
		return exception.Value().String()
	}
	return err.Error()
}
