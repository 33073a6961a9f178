package xk6resilience

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/grafana/sobek"
)

// idempotent(send, {state, within}) sends the same mutation twice, with one key
// that nobody had before, and says whether data changed once. State() gives what
// the mutation changes, whatever it is: it must be another after send(key) was
// called for the first time, within the time that the change may take to be
// seen, and still the same after the second time, when twice as long as the
// first change took has passed.
func (v *vu) idempotent(send sobek.Callable, options *sobek.Object) bool {
	state, within, err := readIdempotent(send, options)
	if err == nil && v.State() == nil {
		err = errors.New("idempotent() belongs into the function that runs, not at the top of the script")
	}
	if err != nil {
		v.throw(err)
	}
	v.install()
	key := v.Runtime().ToValue(uuid.NewString()) // not seeded: a key of an earlier run was used already
	before := v.stateOf(state)
	v.mutate(send, key)
	began := time.Now()
	once, changed := v.stateChanged(state, before, within)
	if !changed {
		v.note("not idempotent", fmt.Sprintf("nothing changed within %s of the first request", within))
		return false
	}
	took := time.Since(began)
	v.mutate(send, key)
	if within > 0 && !v.rest(2*took) {
		return false
	}
	if twice := v.stateOf(state); twice != once {
		v.note("not idempotent", fmt.Sprintf("the same request with the same key changed data again: %s, %s, then %s", brief(before), brief(once), brief(twice)))
		return false
	}
	return true
}

func readIdempotent(send sobek.Callable, options *sobek.Object) (state sobek.Callable, within time.Duration, err error) {
	if send == nil || options == nil {
		return nil, 0, errors.New("idempotent(send, {state, within}) needs a function that sends, and state: a function that gives what it changes")
	}
	var ok bool
	if state, ok = sobek.AssertFunction(options.Get("state")); !ok {
		return nil, 0, errors.New("idempotent: state wants a function that gives what is changed")
	}
	given := readObject("idempotent", options, "state", "within")
	within = given.duration("within")
	if given.err == nil && within < 0 {
		given.wrong("idempotent: within is 0s or more; got %s", within)
	}
	return state, within, given.err
}

// mutate sends once.
func (v *vu) mutate(send sobek.Callable, key sobek.Value) {
	value, err := send(sobek.Undefined(), key)
	v.stays(value, err)
}

// stays goes on only with what a function gave that neither threw nor is
// asynchronous.
func (v *vu) stays(value sobek.Value, err error) {
	switch {
	case err != nil:
		panic(err)
	case isPromise(value):
		v.throw(errors.New("idempotent: its functions can not be asynchronous: use http.post instead of http.asyncRequest"))
	}
}

// stateOf is the state as text.
func (v *vu) stateOf(state sobek.Callable) string {
	value, err := v.look(state)
	v.looked()
	v.stays(value, err)
	text, err := json.Marshal(value.Export())
	if err != nil {
		v.throw(fmt.Errorf("idempotent: what state gave can not be compared: %w", err))
	}
	return string(text)
}

// stateChanged looks until the state is another than before.
func (v *vu) stateChanged(state sobek.Callable, before string, within time.Duration) (now string, changed bool) {
	until := time.Now().Add(within)
	for {
		if now = v.stateOf(state); now != before {
			return now, true
		}
		left := time.Until(until)
		if left <= 0 || !v.rest(min(left, eventuallyEvery)) {
			return now, false
		}
	}
}

// rest waits, unless the test ends, or the time of the probe under way.
func (v *vu) rest(d time.Duration) bool { return rested(v.Context(), v.over(), d) }

func rested(ctx context.Context, over <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-over:
	}
	return false
}

// brief is the beginning of a long text.
func brief(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}
