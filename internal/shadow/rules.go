package shadow

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"resilience/internal/plan"
)

// Rules say which differences count. The zero value lets all count.
type Rules struct {
	Ignore   []Where       // never looked at
	Expect   []Expectation // changes that are intended
	Tolerate []Tolerance   // differences that are too small to matter
	Keys     []ListKey     // what tells the items of a list apart
	Headers  HeaderRules
}

// Where chooses differences; what is empty chooses all.
type Where struct {
	// Route is a pattern of routes, such as "GET /orders/{id}" or, for all methods,
	// "/orders/**". In it * stands for anything without a slash, ** for anything.
	Route string
	// Place is a pattern of places, such as "body.items[].price", "body.meta" with
	// all that is in it, or "header x-*". In it * stands for anything within one
	// name, ** for anything.
	Place string
	Kind  Kind
}

// Expectation is an intended change, approved once. It is met by differences
// between candidate and baseline alone: noise never meets it. One that nothing
// met is reported as unused (see [Findings.Unused]).
type Expectation struct {
	Where
	// From and To, unless empty, are the values that the baseline and the candidate
	// must have, written as in a [Difference].
	From, To string
	By, Why  string // who approved it, and for which reason; for people
}

// Tolerance is how far apart values may be, and still count as equal.
type Tolerance struct {
	Where
	Absolute float64       // of numbers: |a-b| <= Absolute
	Relative float64       // of numbers: |a-b| <= Relative * max(|a|,|b|), at most 1
	Within   time.Duration // of times
	Order    bool          // of items: any order
}

// ListKey names the field, or several, by which the items of a list are matched.
// Where no rule says so, the first of id, uuid, key, sku, code and name that is
// there in all items and different in each will do.
type ListKey struct {
	Route  string
	Place  string   // of the list: "body.items"
	Fields []string // of its items
}

// HeaderRules change which headers are compared; see [IgnoredHeaders] for those
// that are not.
type HeaderRules struct {
	Compare []string // even if they are usually not
	Ignore  []string // even if they usually are
}

// check says what is wrong with the rules, naming the first bad one.
func (r Rules) check() error {
	for i, w := range r.Ignore {
		if w == (Where{}) {
			return fmt.Errorf("ignore %d would ignore everything: give it a route, a place or a kind", i+1)
		}
		if err := w.check(); err != nil {
			return fmt.Errorf("ignore %d: %w", i+1, err)
		}
	}
	for i, e := range r.Expect {
		if e.Where == (Where{}) {
			return fmt.Errorf("expect %d would expect everything: give it a route, a place or a kind", i+1)
		}
		if err := e.check(); err != nil {
			return fmt.Errorf("expect %d: %w", i+1, err)
		}
	}
	for i, t := range r.Tolerate {
		if err := t.check(); err != nil {
			return fmt.Errorf("tolerate %d: %w", i+1, err)
		}
	}
	for i, k := range r.Keys {
		if err := (Where{Place: k.Place}).check(); err != nil {
			return fmt.Errorf("keys %d: %w", i+1, err)
		}
		if k.Place == "" || len(k.Fields) == 0 || slices.Contains(k.Fields, "") {
			return fmt.Errorf("keys %d: a list needs a place, such as body.items, and the names of its items' fields", i+1)
		}
	}
	for _, name := range slices.Concat(r.Headers.Compare, r.Headers.Ignore) {
		if name == "" || strings.ContainsAny(name, " :\t\r\n") {
			return fmt.Errorf("headers: %q is no name of a header", name)
		}
	}
	return nil
}

func (w Where) check() error {
	if w.Kind != "" && !slices.Contains(kinds, w.Kind) {
		return fmt.Errorf("there is no kind %q of differences; there are %v", w.Kind, kinds)
	}
	if p := w.Place; p != "" && !plan.IsPlace(p) {
		return fmt.Errorf("there is no place %q: places are status, header NAME, body, and body.NAME[].NAME", p)
	}
	return nil
}

// String writes it as plans do: PLACE of ROUTE.
func (w Where) String() string {
	switch {
	case w.Route == "":
		return w.Place
	case w.Place == "":
		return "of " + w.Route
	}
	return w.Place + " of " + w.Route
}

func (t Tolerance) check() error {
	if err := t.Where.check(); err != nil {
		return err
	}
	amounts := t.Absolute != 0 || t.Relative != 0
	switch {
	case !amounts && t.Within == 0 && !t.Order:
		return fmt.Errorf("it tolerates nothing: say how much of a number, within which time, or any order")
	case !(t.Absolute >= 0) || math.IsInf(t.Absolute, 0):
		return fmt.Errorf("the amount must be 0 or more, not %v", t.Absolute)
	case !(t.Relative >= 0 && t.Relative <= 1):
		return fmt.Errorf("the part must be between 0 and 1, not %v", t.Relative)
	case t.Within < 0:
		return fmt.Errorf("the time must be 0 or more, not %v", t.Within)
	}
	return nil
}
