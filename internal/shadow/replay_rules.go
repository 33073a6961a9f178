package shadow

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"resilience/internal/plan"
)

// rulesOf turns what a plan says of comparing into rules.
func rulesOf(c plan.Comparison) (Rules, error) {
	r := Rules{Headers: HeaderRules{Compare: c.Headers}}
	for _, field := range c.Ignore {
		r.Ignore = append(r.Ignore, whereOf(field))
	}
	for _, e := range c.Expect {
		where := whereOf(e.Field)
		where.Kind = Kind(e.Kind)
		r.Expect = append(r.Expect, Expectation{Where: where, From: e.From, To: e.To, By: e.By, Why: e.Reason})
	}
	for _, field := range slices.Sorted(maps.Keys(c.Tolerate)) {
		t, err := toleranceOf(c.Tolerate[field])
		if err != nil {
			return r, fmt.Errorf("tolerate %q: %w", field, err)
		}
		t.Where = whereOf(field)
		r.Tolerate = append(r.Tolerate, t)
	}
	for _, field := range slices.Sorted(maps.Keys(c.Keys)) {
		where, names := whereOf(field), c.Keys[field]
		r.Keys = append(r.Keys, ListKey{Route: where.Route, Place: where.Place, Fields: strings.Fields(strings.ReplaceAll(names, ",", " "))})
	}
	return r, nil
}

// whereOf reads PLACE, PLACE of ROUTE or of ROUTE.
func whereOf(field string) Where {
	if route, is := strings.CutPrefix(field, "of "); is {
		return Where{Route: route}
	}
	place, route, _ := strings.Cut(field, " of ")
	return Where{Place: strings.TrimSpace(place), Route: strings.TrimSpace(route)}
}

// toleranceOf reads 0.01, 1%, 5s or any order.
func toleranceOf(amount string) (t Tolerance, err error) {
	if amount == "any order" {
		return Tolerance{Order: true}, nil
	}
	if part, is := strings.CutSuffix(amount, "%"); is {
		t.Relative, err = strconv.ParseFloat(part, 64)
		t.Relative /= 100
		return t, err
	}
	if t.Within, err = time.ParseDuration(amount); err == nil && t.Within > 0 {
		return t, nil
	}
	t.Within = 0
	if t.Absolute, err = strconv.ParseFloat(amount, 64); err != nil {
		return t, fmt.Errorf("wants a number, a percentage, a time or any order; got %q", amount)
	}
	return t, nil
}
