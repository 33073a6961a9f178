package shadow

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"resilience/internal/plan"
)

// carryRule is a rule of the plan.
type carryRule struct {
	from, to carryPlace
	as       string
}

// carryPlace is a place in the requests or answers of a route.
type carryPlace plan.CarryPlace

func carryRules(all []plan.Carry) ([]carryRule, error) {
	rules := make([]carryRule, len(all))
	for i, c := range all {
		from, err := plan.ParseCarryPlace(c.From, "body", "header")
		if err != nil {
			return nil, fmt.Errorf("carry %d: from: %w", i+1, err)
		}
		to, err := plan.ParseCarryPlace(c.To, "body", "header", "path", "query")
		if err != nil {
			return nil, fmt.Errorf("carry %d: to: %w", i+1, err)
		}
		rules[i] = carryRule{carryPlace(from), carryPlace(to), c.As}
	}
	return rules, nil
}

// ruledBy gives the values that the rules find in an answer.
func ruledBy(rules []carryRule, route string, a Response) map[int]string {
	var out map[int]string
	for i, rule := range rules {
		if rule.from.Route != "*" && !isReplayRoute(route, rule.from.Route) {
			continue
		}
		if value, ok := rule.from.read(a); ok {
			if out == nil {
				out = map[int]string{}
			}
			out[i] = value
		}
	}
	return out
}

// read gives the value at a place of an answer, or that of a parameter of the URL there.
func (p carryPlace) read(a Response) (string, bool) {
	value, ok := p.readAll(a)
	if !ok || p.Query == "" {
		return value, ok
	}
	if links := linkURLs([]string{value}); strings.HasPrefix(value, "<") {
		for _, rel := range append([]string{"next"}, slices.Sorted(maps.Keys(links))...) {
			if value = queryOf(links[rel]).Get(p.Query); value != "" {
				break
			}
		}
		return value, value != ""
	}
	value = queryOf(value).Get(p.Query)
	return value, value != ""
}

// readAll gives all that stands at a place of an answer.
func (p carryPlace) readAll(a Response) (string, bool) {
	if p.Kind == "header" {
		value := a.Header.Get(p.Name)
		return value, value != ""
	}
	v, ok := jsonOf(a.Body)
	if !ok {
		return "", false
	}
	return scalarAt(v, p.Name)
}

// scalarAt follows a dotted path, in which a number is an index.
func scalarAt(v any, path string) (string, bool) {
	for name := range strings.SplitSeq(path, ".") {
		switch is := v.(type) {
		case map[string]any:
			v = is[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(is) {
				return "", false
			}
			v = is[i]
		default:
			return "", false
		}
	}
	switch is := v.(type) {
	case string:
		return is, true
	case json.Number:
		return is.String(), true
	}
	return "", false
}

// write puts a value at a place of a request; false when there is none.
func (p carryPlace) write(r *Request, value string) bool {
	switch p.Kind {
	case "header":
		r.Header.Set(p.Name, value)
		return true
	case "path":
		return p.writePath(r, value)
	case "query":
		return p.writeQuery(r, value)
	}
	v, ok := jsonOf(r.Body)
	if !ok || !setScalar(v, p.Name, value) {
		return false
	}
	data, err := json.Marshal(v)
	if err != nil {
		return false
	}
	r.Body.Data, r.Body.Size = data, int64(len(data))
	return true
}

func (p carryPlace) writePath(r *Request, value string) bool {
	path, query, has := strings.Cut(r.Target, "?")
	parts := strings.Split(path, "/")
	if p.Part >= len(parts) || !isPathPart(value) {
		return false
	}
	parts[p.Part] = url.PathEscape(value)
	r.Target = strings.Join(parts, "/")
	if has {
		r.Target += "?" + query
	}
	return true
}

func (p carryPlace) writeQuery(r *Request, value string) (written bool) {
	path, query, _ := strings.Cut(r.Target, "?")
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, _, _ := strings.Cut(pair, "="); name == p.Name {
			pairs[i], written = name+"="+url.QueryEscape(value), true
		}
	}
	if written {
		r.Target = path + "?" + strings.Join(pairs, "&")
	}
	return written
}

// setScalar replaces what is at a dotted path; false when there is nothing.
func setScalar(v any, path, value string) bool {
	name, rest, deeper := strings.Cut(path, ".")
	put := func(old any) (any, bool) {
		if deeper {
			return old, setScalar(old, rest, value)
		}
		if _, number := old.(json.Number); number && isBareNumber(value) {
			return json.Number(value), true
		}
		return value, true
	}
	ok := false
	switch is := v.(type) {
	case map[string]any:
		if old, there := is[name]; there {
			is[name], ok = put(old)
		}
	case []any:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(is) {
			is[i], ok = put(is[i])
		}
	}
	return ok
}
