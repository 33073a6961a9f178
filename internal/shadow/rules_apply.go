package shadow

import (
	"bytes"
	"math"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
)

// routeRules finds the rules for each route, once.
type routeRules struct {
	rules Rules
	met   metRules
	mu    sync.Mutex
	sets  map[string]*ruleSet
}

// metRules are those that a difference met, or a list.
type metRules struct{ ignore, tolerate, keys []atomic.Bool }

func newMetRules(r Rules) metRules {
	return metRules{make([]atomic.Bool, len(r.Ignore)), make([]atomic.Bool, len(r.Tolerate)), make([]atomic.Bool, len(r.Keys))}
}

// unmet tells the rules that nothing met, as plans write them.
func (r *routeRules) unmet() (all []string) {
	for i, w := range r.rules.Ignore {
		if !r.met.ignore[i].Load() {
			all = append(all, "ignore: "+w.String())
		}
	}
	for i, t := range r.rules.Tolerate {
		if !r.met.tolerate[i].Load() {
			all = append(all, "tolerate: "+t.Where.String())
		}
	}
	for i, k := range r.rules.Keys {
		if !r.met.keys[i].Load() {
			all = append(all, "keys: "+Where{Place: k.Place, Route: k.Route}.String())
		}
	}
	return all
}

// maxRouteSets bounds the memory for rules of routes.
const maxRouteSets = 4096

// of gives the rules that hold for a route.
func (r *routeRules) of(route string) *ruleSet {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sets[route]; s != nil {
		return s
	}
	if r.sets == nil || len(r.sets) >= maxRouteSets {
		r.sets = map[string]*ruleSet{}
	}
	s := newRuleSet(r.rules, route)
	s.met = r.met
	r.sets[route] = s
	return s
}

// ruleSet is the rules for one route.
type ruleSet struct {
	ignore   []placeRule
	tolerate []placeRule
	expect   []placeRule
	keys     []placeRule
	rules    Rules
	met      metRules
}

// placeRule is the part of a rule that chooses places and kinds, and its number.
type placeRule struct {
	place *regexp.Regexp // nil for all
	kind  Kind           // "" for all
	index int
}

func newRuleSet(rules Rules, route string) *ruleSet {
	s := &ruleSet{rules: rules}
	add := func(to *[]placeRule, w Where, index int) {
		if matchesRoute(w.Route, route) {
			*to = append(*to, placeRule{place: placePattern(w.Place), kind: w.Kind, index: index})
		}
	}
	for i, w := range rules.Ignore {
		add(&s.ignore, w, i)
	}
	for i, t := range rules.Tolerate {
		add(&s.tolerate, t.Where, i)
	}
	for i, e := range rules.Expect {
		add(&s.expect, e.Where, i)
	}
	for i, k := range rules.Keys {
		if matchesRoute(k.Route, route) { // the list alone, not those in its items
			s.keys = append(s.keys, placeRule{place: globbed(k.Place, withinName, `$`), index: i})
		}
	}
	return s
}

func (p placeRule) matches(place string, kind Kind) bool {
	return (p.kind == "" || p.kind == kind) && (p.place == nil || p.place.MatchString(place))
}

// spot gives what the rules say of a kind of differences at a place.
func (s *ruleSet) spot(place string, kind Kind) *spot {
	found := &spot{}
	for _, p := range s.ignore {
		if p.matches(place, kind) {
			found.ignored = true
			s.met.ignore[p.index].Store(true)
		}
	}
	if found.ignored {
		return found
	}
	for _, p := range s.tolerate {
		if p.matches(place, kind) {
			found.tolerate = append(found.tolerate, &s.rules.Tolerate[p.index])
			s.met.tolerate[p.index].Store(true)
		}
	}
	for _, p := range s.expect {
		if p.matches(place, kind) {
			found.expect = append(found.expect, p.index+1)
		}
	}
	return found
}

// keysOf gives the fields that are declared to tell the items of a list apart.
func (s *ruleSet) keysOf(place []byte) []string {
	for _, p := range s.keys {
		if p.place.Match(place) {
			s.met.keys[p.index].Store(true)
			return s.rules.Keys[p.index].Fields
		}
	}
	return nil
}

// matchesRoute tells whether a pattern of routes chooses a route.
func matchesRoute(pattern, route string) bool {
	if pattern == "" || pattern == route {
		return true
	}
	if !strings.Contains(pattern, " ") { // of all methods
		if _, path, ok := strings.Cut(route, " "); ok {
			route = path
		}
	}
	return globbed(pattern, `[^/]*`, `$`).MatchString(route)
}

// placePattern compiles a pattern of places: each place that it matches, and all
// that is within.
func placePattern(pattern string) *regexp.Regexp {
	if pattern == "" {
		return nil
	}
	return globbed(strings.ReplaceAll(pattern, "{key}", "*"), withinName, `(?:$|[.\[? ])`) // as reports say it
}

// withinName is what * stands for in a pattern of places.
const withinName = `[^.\[\] ]*`

// globbed compiles a pattern in which * stands for some text within one part of a
// name, and ** for any.
func globbed(pattern, within, end string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`^`)
	for i, part := range strings.Split(pattern, "**") {
		if i > 0 {
			b.WriteString(`.*`)
		}
		for j, text := range strings.Split(part, "*") {
			if j > 0 {
				b.WriteString(within)
			}
			b.WriteString(regexp.QuoteMeta(text))
		}
	}
	return regexp.MustCompile(`(?s)` + b.String() + end) // whatever is quoted compiles
}

// expected gives the number of the first of these expectations that the values
// meet, 0 for none.
func (r Rules) expected(numbers []int, a, b []byte) int {
	for _, n := range numbers {
		if e := r.Expect[n-1]; meets(e.From, a) && meets(e.To, b) {
			return n
		}
	}
	return 0
}

// meets tells whether a value is the one that was expected, with or without its
// quotes.
func meets(want string, value []byte) bool {
	return want == "" || want == string(value) || want == string(unquotedValue(value)) || want == excerpt(value)
}

// unquotedValue gives a value without its quotes.
func unquotedValue(value []byte) []byte {
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return unescapedJSON(value)
	}
	return value
}

// tolerates tells whether a rule tolerates a difference.
func (s *spot) tolerates(kind Kind, a, b []byte) bool {
	for _, t := range s.tolerate {
		if t.allows(kind, a, b) {
			return true
		}
	}
	return false
}

func (t *Tolerance) allows(kind Kind, a, b []byte) bool {
	switch kind {
	case Order:
		return t.Order
	case Changed, Format, Time:
		a, b = bytes.TrimSpace(unquotedValue(a)), bytes.TrimSpace(unquotedValue(b))
		return t.allowsNumbers(string(a), string(b)) || t.allowsTimes(string(a), string(b))
	}
	return false
}

func (t *Tolerance) allowsNumbers(a, b string) bool {
	if t.Absolute == 0 && t.Relative == 0 {
		return false
	}
	x, ok := number(a)
	y, ok2 := number(b)
	// floats of decimal fractions are a little off: 0.3-0.2 is less than 0.1
	slack := 1e-12 * max(math.Abs(x), math.Abs(y))
	apart := math.Abs(x-y) - slack
	return ok && ok2 && (apart <= t.Absolute || apart <= t.Relative*max(math.Abs(x), math.Abs(y)))
}

func (t *Tolerance) allowsTimes(a, b string) bool {
	if t.Within == 0 {
		return false
	}
	x, ok := timeOf(a)
	y, ok2 := timeOf(b)
	return ok && ok2 && x.Sub(y).Abs() <= t.Within
}
