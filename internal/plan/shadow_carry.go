package plan

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// CarryPlace is a place in the requests or answers of a route.
type CarryPlace struct {
	Kind  string // body, header, path or query
	Query string // of the URL that stands there, the parameter that is taken; "" for all of it
	Name  string // of the field, a dotted path, of the header or of the parameter
	Part  int    // of the path, from 1
	Route string // such as POST /orders; * for all
}

// ParseCarryPlace reads body.order.id of POST /orders, header ETag of GET /cart,
// path 2 of GET /orders/{id} or query page of *. Kinds are those it may be. Where a
// value is taken from (kinds have no query), body.next?cursor of GET /items is a
// parameter of the URL in that field.
func ParseCarryPlace(text string, kinds ...string) (CarryPlace, error) {
	where, route, is := strings.Cut(text, " of ")
	kind, name, _ := strings.Cut(where, " ")
	if rest, body := strings.CutPrefix(where, "body."); body {
		kind, name = "body", rest
	}
	p := CarryPlace{Kind: kind, Name: strings.TrimSpace(name), Route: strings.TrimSpace(route)}
	parameter := false
	if !slices.Contains(kinds, "query") {
		p.Name, p.Query, parameter = strings.Cut(p.Name, "?")
	}
	switch {
	case !slices.Contains(kinds, p.Kind):
		return p, fmt.Errorf("wants a place such as %s; got %q", carryExamples(kinds), shorten(text))
	case !is || p.Route == "":
		return p, errors.New(`wants the route of the place as well: PLACE of ROUTE, or PLACE of *`)
	case parameter && p.Query == "":
		return p, fmt.Errorf("does not say which parameter of the URL, such as body.next?cursor; got %q", shorten(text))
	case p.Name == "" || strings.Contains(p.Name, " "):
		return p, fmt.Errorf("does not say which %s; got %q", p.Kind, shorten(text))
	}
	if p.Kind == "path" {
		n, err := strconv.Atoi(p.Name)
		if err != nil || n < 1 || n > 100 {
			return p, fmt.Errorf("wants the number of a part of the path, from 1; got %q", shorten(p.Name))
		}
		p.Part = n
	}
	return p, nil
}

func carryExamples(kinds []string) string {
	all := map[string]string{
		"body": "body.id of POST /orders", "header": "header ETag of GET /cart", "path": "path 2 of GET /orders/{id}", "query": "query page of GET /orders",
	}
	var some []string
	for _, kind := range kinds {
		some = append(some, all[kind])
	}
	return choice(some)
}
