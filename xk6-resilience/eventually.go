package xk6resilience

import (
	"errors"
	"fmt"
	"time"

	"github.com/grafana/sobek"

	"resilience/internal/measure"
)

// How long eventually waits, and how often it looks, unless the script says.
const (
	eventuallyWithin = 10 * time.Second
	eventuallyEvery  = 250 * time.Millisecond
)

// outcome is something that a script waits for.
type outcome struct {
	check  sobek.Callable
	every  time.Duration
	within time.Duration
	until  time.Time
	threw  string // what the last look threw; "" when it only said no
}

// eventually(check, {within, every}) looks until check() says yes, and says
// whether it did in time. What check throws is a no. Its requests are looks at
// the outcome: that one of them is not accepted, because nothing is there yet,
// does not tell whether the operation was. When check is asynchronous, so is
// eventually.
func (v *vu) eventually(check sobek.Callable, options sobek.Value) sobek.Value {
	o, err := readOutcome(check, options)
	if err == nil && v.State() == nil {
		err = errors.New("eventually() belongs into the function that runs, not at the top of the script")
	}
	if err != nil {
		v.throw(err)
	}
	v.install()
	o.until = time.Now().Add(o.within)
	for {
		value, err := v.look(o.check)
		switch {
		case err != nil && v.cutOff(err):
			panic(err)
		case err == nil && isPromise(value):
			return v.eventuallyAsync(o, value)
		case err == nil && value.ToBoolean():
			v.looked()
			return v.Runtime().ToValue(true)
		}
		v.looked()
		if o.threw = ""; err != nil {
			o.threw = thrown(err)
		}
		if !v.pause(o) {
			return v.Runtime().ToValue(v.inVain(o))
		}
	}
}

func readOutcome(check sobek.Callable, options sobek.Value) (*outcome, error) {
	if check == nil {
		return nil, errors.New("eventually(check, {within, every}) needs a function that says whether it is so")
	}
	given := readObject("eventually", options, "within", "every")
	o := &outcome{check: check, every: eventuallyEvery, within: eventuallyWithin}
	if given.has("within") {
		o.within = given.duration("within")
	}
	if given.has("every") {
		o.every = given.duration("every")
	}
	if given.err == nil && (o.within < 0 || o.every <= 0) {
		given.wrong("eventually: within is 0s or more and every more than 0s; got %s and %s", o.within, o.every)
	}
	return o, given.err
}

// look calls a check, whose requests are looks until [vu.looked].
func (v *vu) look(check sobek.Callable) (sobek.Value, error) {
	v.mu.Lock()
	v.looks++
	v.mu.Unlock()
	return check(sobek.Undefined())
}

func (v *vu) looked() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.looks--
}

// rest is how long to wait before the next look; none is left when ok is false.
func (o *outcome) rest(now time.Time) (wait time.Duration, ok bool) {
	left := o.until.Sub(now)
	return min(o.every, left), left > 0
}

// pause waits before the next look, if there is one.
func (v *vu) pause(o *outcome) bool {
	wait, ok := o.rest(time.Now())
	if !ok {
		return false
	}
	return v.rest(wait) // else k6 interrupts the script
}

// inVain notes what was waited for in vain, unless the test ended meanwhile.
func (v *vu) inVain(o *outcome) bool {
	if v.interrupted() {
		return false
	}
	message := fmt.Sprintf("it was not so within %s", o.within)
	if o.threw != "" {
		message += ": the last look threw " + o.threw
	}
	v.note("not so in time", message)
	return false
}

// note keeps an example of what went wrong in the transaction that is open.
func (v *vu) note(kind, message string) {
	v.mu.Lock()
	v.wrong(kind + ": " + message)
	if s := v.innermost(); s != nil && s.series.Transaction != "" {
		kind += ": " + s.series.Transaction
	}
	v.mu.Unlock()
	v.session.keep(func() {
		v.session.example(measure.Example{At: time.Now().UnixNano(), Kind: kind, Message: message})
	})
}

// eventuallyAsync goes on with a check that gave a promise.
func (v *vu) eventuallyAsync(o *outcome, first sobek.Value) sobek.Value {
	promise, resolve, reject := v.Runtime().NewPromise()
	end := func(yes bool) { _ = resolve(yes) }
	var follow func(value sobek.Value)
	again := func() {
		value, err := v.look(o.check)
		switch {
		case err != nil:
			v.looked()
			_ = reject(err) // a check that is asynchronous does not throw by itself
		case !isPromise(value):
			v.looked()
			_ = reject(errors.New("eventually: check gave a promise once, and then none"))
		default:
			follow(value)
		}
	}
	next := func() {
		wait, ok := o.rest(time.Now())
		if !ok {
			end(v.inVain(o))
			return
		}
		enqueue, ctx, over := v.RegisterCallback(), v.Context(), v.over()
		go func() {
			rested(ctx, over, wait)
			enqueue(func() error {
				if interrupted(ctx) {
					end(false)
					return nil
				}
				again()
				return nil
			})
		}()
	}
	follow = func(value sobek.Value) {
		v.settles(value, func(result sobek.Value, threw bool) {
			v.looked()
			if o.threw = ""; threw {
				o.threw = result.String()
			} else if result.ToBoolean() {
				end(true)
				return
			}
			next()
		})
	}
	follow(first)
	return v.Runtime().ToValue(promise)
}

// settles calls done once a promise has settled, whose failure is dealt with
// then.
func (v *vu) settles(promise sobek.Value, done func(result sobek.Value, threw bool)) {
	object := promise.ToObject(v.Runtime())
	then, _ := sobek.AssertFunction(object.Get("then"))
	react := func(threw bool) sobek.Value {
		return v.Runtime().ToValue(func(call sobek.FunctionCall) sobek.Value {
			done(call.Argument(0), threw)
			return sobek.Undefined()
		})
	}
	if _, err := then(object, react(false), react(true)); err != nil {
		v.throw(err)
	}
}
