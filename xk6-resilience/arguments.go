package xk6resilience

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/grafana/sobek"

	"resilience/internal/plan"
)

// object is a JavaScript object that a script gave as an argument. Its methods
// read one field each, nothing where it is not there, and keep the first
// mistake; fields that are undefined or null count as not there.
type object struct {
	what   string // for messages
	fields map[string]any
	err    error
}

// readObject takes an argument apart, which may only have the known fields.
func readObject(what string, value sobek.Value, known ...string) *object {
	o := &object{what: what, fields: map[string]any{}}
	if !absent(value) {
		o.take(value.Export(), known)
	}
	return o
}

// absent reports whether an argument was left out.
func absent(value sobek.Value) bool {
	return value == nil || sobek.IsUndefined(value) || sobek.IsNull(value)
}

func (o *object) take(value any, known []string) {
	fields, ok := value.(map[string]any)
	if !ok {
		o.wrong("%s wants an object, not %s", o.what, kindOf(value))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch {
		case fields[name] == nil:
		case !slices.Contains(known, name):
			o.wrong("%s has no field %q; %s", o.what, name, plan.DidYouMean(name, slices.Clone(known)))
		default:
			o.fields[name] = fields[name]
		}
	}
}

// wrong keeps the first mistake.
func (o *object) wrong(format string, args ...any) {
	if o.err == nil {
		o.err = fmt.Errorf(format, args...)
	}
}

// type mistakes name what was wanted and what was given.
func (o *object) mistaken(name, wanted string) {
	o.wrong("%s: %s wants %s, not %s", o.what, name, wanted, kindOf(o.fields[name]))
}

func (o *object) has(name string) bool { return o.fields[name] != nil }

func (o *object) text(name string) string {
	text, ok := o.fields[name].(string)
	if o.has(name) && !ok {
		o.mistaken(name, "a text")
	}
	return text
}

// duration reads a length of time such as '30s'.
func (o *object) duration(name string) time.Duration {
	if !o.has(name) {
		return 0
	}
	d, err := readDuration(o.fields[name])
	if err != nil {
		o.wrong("%s: %s %w", o.what, name, err)
	}
	return d
}

// delay is a duration that may also be a number of milliseconds, which the first
// versions of xk6-disruptor took.
func (o *object) delay(name string) plan.Duration {
	if ms, ok := number(o.fields[name]); ok {
		if !(ms >= 0 && ms <= float64(plan.Duration(plan.MaxDelay))/1e6) { // NaN too
			o.wrong("%s: %s is 0 to %s; got %v ms", o.what, name, plan.MaxDelay, ms)
			return 0
		}
		return plan.Duration(ms * 1e6)
	}
	d := o.duration(name)
	if d < 0 || plan.Duration(d) > plan.MaxDelay {
		o.wrong("%s: %s is 0s to %s; got %s", o.what, name, plan.MaxDelay, d)
	}
	return plan.Duration(d)
}

// share reads a number from 0 to 1.
func (o *object) share(name string) float64 {
	share, ok := number(o.fields[name])
	switch {
	case !o.has(name):
	case !ok:
		o.mistaken(name, "a number from 0 to 1")
	case !(share >= 0 && share <= 1): // NaN too
		o.wrong("%s: %s is from 0 to 1; got %v", o.what, name, share)
	}
	return share
}

// whole reads a whole number in a range.
func (o *object) whole(name string, least, most int) int {
	n, ok := number(o.fields[name])
	switch {
	case !o.has(name):
		return 0
	case !ok || n != math.Trunc(n):
		o.mistaken(name, "a whole number")
		return 0
	case n < float64(least) || n > float64(most):
		o.wrong("%s: %s is %d to %d; got %v", o.what, name, least, most, n)
		return 0
	}
	return int(n)
}

// port reads a number, or the name of one.
func (o *object) port(name string) string {
	if text, ok := o.fields[name].(string); ok {
		return text
	}
	if n := o.whole(name, 0, 65535); n > 0 {
		return fmt.Sprint(n)
	}
	return "" // 0 is the default of xk6-disruptor, too
}

// labels reads an object of texts.
func (o *object) labels(name string) map[string]string {
	if !o.has(name) {
		return nil
	}
	fields, ok := o.fields[name].(map[string]any)
	if !ok {
		o.mistaken(name, "an object of labels")
	}
	labels := map[string]string{}
	for _, label := range slices.Sorted(maps.Keys(fields)) {
		if labels[label], ok = fields[label].(string); !ok {
			o.wrong("%s: the label %s wants a text, not %s", o.what, label, kindOf(fields[label]))
		}
	}
	return labels
}

// list reads a text of words between commas.
func (o *object) list(name string) []string {
	var words []string
	for word := range strings.SplitSeq(o.text(name), ",") {
		if word = strings.TrimSpace(word); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// inner is an object inside of this one.
func (o *object) inner(name string, known ...string) *object {
	in := &object{what: name + " of " + o.what, fields: map[string]any{}}
	if o.has(name) {
		in.take(o.fields[name], known)
	}
	return in
}

// readDuration reads a length of time such as '30s', which is not negative.
func readDuration(value any) (time.Duration, error) {
	text, ok := value.(string)
	if !ok {
		return 0, fmt.Errorf("wants a text with a unit such as '30s', not %s", kindOf(value))
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("wants a length of time such as '30s' or '500ms'; got %q", text)
	}
	return d, nil
}

// readLength reads how long a fault shall be in effect.
func readLength(value sobek.Value) (time.Duration, error) {
	if absent(value) {
		return 0, fmt.Errorf("the duration is missing: the second argument, such as '30s'")
	}
	d, err := readDuration(value.Export())
	if err != nil {
		return 0, fmt.Errorf("the duration %w", err)
	}
	if d <= 0 || d > maxLength {
		return 0, fmt.Errorf("the duration is more than 0s and at most %s; got %s", maxLength, d)
	}
	return d, nil
}

// maxLength bounds for how long a script may ask for a fault.
const maxLength = 24 * time.Hour

// number reads one of JavaScript, or of Go: a constant of another module, such
// as grpc.StatusInternal, is of a type of its own.
func number(value any) (float64, bool) {
	switch n := reflect.ValueOf(value); {
	case n.CanInt():
		return float64(n.Int()), true
	case n.CanUint():
		return float64(n.Uint()), true
	case n.CanFloat():
		return n.Float(), true
	}
	return 0, false
}

// kindOf says what a value is, in a script's words.
func kindOf(value any) string {
	switch is := value.(type) {
	case nil:
		return "nothing"
	case string:
		if len(is) > 40 {
			is = is[:40]
		}
		return fmt.Sprintf("the text %q", is)
	case int64, float64:
		return fmt.Sprintf("the number %v", is)
	case bool:
		return fmt.Sprint(is)
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	if reflect.TypeOf(value).Kind() == reflect.Func {
		return "a function"
	}
	return "something else"
}
