package gates

import (
	"slices"
	"strings"

	"resilience/internal/measure"
)

// targets adds the cells of the accumulator that a series belongs to.
func (a *accumulator) targets(s measure.Series, c class, to []target) []target {
	if !a.reads(s, c) {
		return to
	}
	key := cellKey{test: s.Test, class: c}
	switch {
	case c == drops && a.source != fromArrivals:
		// Who it would have been is not known; see reading.
	case c == calls:
		if len(a.filters) > 0 || a.each != "" {
			return to
		}
	default:
		if !matchAll(a.filters, s) {
			return to
		}
		if a.each != "" {
			if key.each = field(s, a.each); key.each == "" {
				return to
			}
			a.values[key.each] = true
		}
	}
	if a.source == fromOutcomes {
		key.transaction, key.step = s.Transaction, s.Step
	}
	cl := a.cells[key]
	if cl == nil {
		cl = &cell{}
		a.cells[key] = cl
	}
	return append(to, target{a, cl})
}

// reads reports whether a series is of the kind and name that is wanted.
func (a *accumulator) reads(s measure.Series, c class) bool {
	switch a.source {
	case fromAttempts:
		return c == drops || c == transactions && a.named(s.Transaction) || c == steps && a.of != "" && s.Step == a.of ||
			c == requests && a.routed(s)
	case fromOutcomes:
		return c == drops || (c <= requests || c == outcomes) && a.routed(s)
	case fromRequests:
		return c == drops || c == requests && a.routed(s)
	case fromChecks:
		return s.Metric == measure.MetricAssertion && a.named(s.Step)
	case fromRetries:
		return c == retries && a.named(s.Transaction)
	case fromArrivals:
		return c == drops || c == arrivals
	case fromCompared:
		return (c == comparisons || c == undecideds) && a.routed(s)
	case fromStatuses:
		return (c == statuses || c == undecidedStatuses) && a.routed(s)
	case fromDependency:
		return c == calls && a.named(s.Step) || c == requests
	case fromQuery:
		return c == others && s.Metric == a.metric && s.Test == ""
	}
	return c == others && s.Metric == a.metric && a.named(s.Transaction, s.Step)
}

func (a *accumulator) named(names ...string) bool { return a.of == "" || slices.Contains(names, a.of) }

func (a *accumulator) routed(s measure.Series) bool {
	return a.named(s.Transaction, s.Step) || isRoute(s.Step, a.of)
}

// isRoute reports whether a request's name is the route, with or without a
// method before it.
func isRoute(name, route string) bool {
	if method, rest, ok := strings.Cut(name, " "); ok && rest == route {
		return method != "" && strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
	}
	return name == route
}

func matchAll(filters []Filter, s measure.Series) bool {
	for _, f := range filters {
		if (field(s, f.Key) == f.Value) == f.Not {
			return false
		}
	}
	return true
}

// field gives the value of a filter's key in a series.
func field(s measure.Series, key string) string {
	switch key {
	case "tenant":
		return s.Tenant
	case "class":
		return s.Class
	case "cell":
		return s.Cell
	case "region":
		return s.Region
	}
	return s.Instance
}
