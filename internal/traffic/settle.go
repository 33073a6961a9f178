package traffic

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// ending is an attempt that has ended, about to be counted.
type ending struct {
	*attack
	try    *attempt
	result *vegeta.Result
	at     int64   // when it was scheduled, Unix nanoseconds
	value  float64 // milliseconds from then to its end
}

// settle counts an attempt that has ended.
func (a *attack) settle(result *vegeta.Result) {
	try := a.table.remove(fragmentOf(result.URL))
	if try == nil { // vegeta stopped because of an error of ours, and nothing was sent
		return
	}
	defer a.arrivals.done()
	e := &ending{
		attack: a, try: try, result: result, at: a.began.Add(try.at).UnixNano(),
		value: milliseconds(result.End().Sub(a.began) - try.at),
	}
	switch err := e.failure(); {
	case err == nil:
		e.answered()
	case a.flight.Err() != nil && isCanceled(err):
		e.unfinished()
	case classify(err) == statusGenerator:
		e.unsent(err)
	default:
		e.broken(err)
	}
}

// failure is why there was no answer, nil when there was one.
func (e *ending) failure() error {
	if err := e.try.failure(); err != nil {
		return err
	}
	if e.result.Code == 0 {
		text := e.result.Error // may begin with a URL in quotes, which may hold secrets
		return errors.New(text[strings.LastIndex(text, `"`)+1:])
	}
	return nil
}

// answered looks at the status and then at the content.
func (e *ending) answered() {
	status := strconv.Itoa(int(e.result.Code))
	if !plan.Accepts(e.stream.Target, int(e.result.Code)) {
		e.count(status, measure.Failed)
		e.example("status "+status, status, http.StatusText(int(e.result.Code)))
		return
	}
	e.count(status, measure.OK)
	if e.try.route.expect == nil {
		return
	}
	wrong := e.try.route.expect.Check(e.result.Headers, e.result.Body)
	if wrong == "" {
		e.recorder.add(measure.MetricOutcome, e.try.route.name, "", e.at, e.value, measure.OK)
		return
	}
	e.recorder.add(measure.MetricOutcome, e.try.route.name, "", e.at, e.value, measure.Failed)
	e.example("expect "+e.try.route.name, status, wrong)
}

// broken counts a request that got no answer.
func (e *ending) broken(err error) {
	status := classify(err)
	e.count(status, measure.Failed)
	e.example(status, status, message(err))
}

// unfinished counts a request that was given up because the test ended.
func (e *ending) unfinished() {
	e.value = milliseconds(time.Duration(e.cutAt.Load()) - e.try.at)
	e.count(statusUnfinished, measure.Failed|measure.Unfinished)
	e.example(statusUnfinished, statusUnfinished, "no answer until the test ended")
}

// unsent counts an arrival that our machine could not send: it says nothing
// about the target, so it is no request.
func (e *ending) unsent(err error) {
	e.own.Add(1)
	e.recorder.add(measure.MetricIteration, "", "", e.at, e.value, measure.Failed)
	e.example(statusGenerator, statusGenerator, message(err))
}

func (e *ending) count(status string, fate measure.Fate) {
	e.recorder.add(measure.MetricRequest, e.try.route.name, status, e.at, e.value, fate)
	e.recorder.add(measure.MetricIteration, "", "", e.at, e.value, fate&measure.Unfinished)
}

func (e *ending) example(kind, status, message string) {
	trace := traceID(e.result.Headers)
	if trace == "" {
		trace = e.try.trace
	}
	e.recorder.example(
		measure.Example{At: e.at, Kind: kind, Status: status, Message: message, TraceID: trace},
		func() string { return e.result.Method + " " + redactURL(e.result.URL) })
}
