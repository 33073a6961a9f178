package shadow

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

func TestRules(t *testing.T) {
	const route = "GET /orders/{id}"
	for name, c := range map[string]struct {
		rules               Rules
		baseline, candidate string
		want                []string
	}{
		"ignore a place": {Rules{Ignore: []Where{{Place: "body.a"}}}, `{"a":1,"ab":1}`, `{"a":2,"ab":2}`, []string{"changed body.ab: 1 -> 2"}},
		"and all in it":  {Rules{Ignore: []Where{{Place: "body.a"}}}, `{"a":{"b":[1]}}`, `{"a":{"b":[2],"c":3}}`, nil},
		"by one star":    {Rules{Ignore: []Where{{Place: "body.*.c"}}}, `{"a":{"c":1},"b":{"d":{"c":1}}}`, `{"a":{"c":2},"b":{"d":{"c":2}}}`, []string{"changed body.b.d.c: 1 -> 2"}},
		"by two stars":   {Rules{Ignore: []Where{{Place: "body.**.c"}}}, `{"a":{"c":1},"b":{"d":[{"c":1}]}}`, `{"a":{"c":2},"b":{"d":[{"c":2}]}}`, nil},
		"of a kind":      {Rules{Ignore: []Where{{Kind: Time}}}, `{"a":"2026-01-02","b":1}`, `{"a":"2026-01-03","b":2}`, []string{"changed body.b: 1 -> 2"}},
		"on a route":     {Rules{Ignore: []Where{{Route: route, Place: "body"}}}, `[1]`, `[2]`, nil},
		"on a path":      {Rules{Ignore: []Where{{Route: "/orders/*", Place: "body"}}}, `[1]`, `[2]`, nil},
		"below a path":   {Rules{Ignore: []Where{{Route: "/**", Place: "body"}}}, `[1]`, `[2]`, nil},
		"on another":     {Rules{Ignore: []Where{{Route: "/orders", Place: "body"}}}, `[1]`, `[2]`, []string{"changed body[]: 1 -> 2"}},
		"just as much":   {Rules{Tolerate: []Tolerance{{Absolute: 0.1}}}, `[1.1]`, `[1.0]`, nil},
		"a little more":  {Rules{Tolerate: []Tolerance{{Absolute: 0.1}}}, `[1.1]`, `[0.999]`, []string{"changed body[]: 1.1 -> 0.999"}},
		"no order":       {Rules{Tolerate: []Tolerance{{Absolute: 0.1}}}, `["a","b"]`, `["b","a"]`, []string{`order body: ["a","b"] -> ["b","a"]`}},
		"no numbers":     {Rules{Tolerate: []Tolerance{{Absolute: 0.1, Relative: 1}}}, `{"a":"x","b":1,"c":"1"}`, `{"a":"y","b":null,"c":"z"}`, []string{`changed body.a: "x" -> "y"`, "type body.b: 1 -> null", `changed body.c: "1" -> "z"`}},
		"on the minute":  {Rules{Tolerate: []Tolerance{{Within: time.Minute}}}, `["2026-01-02T03:04:05Z"]`, `["2026-01-02T03:05:05Z"]`, nil},
		"no amount":      {Rules{Tolerate: []Tolerance{{Within: time.Minute}}}, `[1]`, `[1.0000000000001]`, []string{"changed body[]: 1 -> 1.0000000000001"}},
		"within a path":  {Rules{Ignore: []Where{{Route: "/*", Place: "body"}}}, `[1]`, `[2]`, []string{"changed body[]: 1 -> 2"}},
		"of the greater": {Rules{Tolerate: []Tolerance{{Relative: 0.01}}}, `[100,100]`, `[101.005,101.02]`, []string{"changed body[]: 100 -> 101.02"}},
		"no number":      {Rules{Tolerate: []Tolerance{{Absolute: 1, Relative: 1}}}, `{"a":"inf","b":"nan","c":"1"}`, `{"a":"-inf","b":"nan","c":"inf"}`, []string{`changed body.a: "inf" -> "-inf"`, `changed body.c: "1" -> "inf"`}},
		"an amount":      {Rules{Tolerate: []Tolerance{{Absolute: 0.1}}}, `[0.3,1,"0.5"]`, `[0.2,1.2,"0.6"]`, []string{"changed body[]: 1 -> 1.2"}},
		"a part":         {Rules{Tolerate: []Tolerance{{Relative: 0.01}}}, `{"a":1000,"b":1000}`, `{"a":1010,"b":1011}`, []string{"changed body.b: 1000 -> 1011"}},
		"a while":        {Rules{Tolerate: []Tolerance{{Within: time.Minute}}}, `{"a":"2026-01-02T03:04:05Z","b":1767366245}`, `{"a":"2026-01-02T03:04:59Z","b":1767366345}`, []string{"time body.b: 1767366245 -> 1767366345"}},
		"any order":      {Rules{Tolerate: []Tolerance{{Where: Where{Place: "body.a"}, Order: true}}}, `{"a":[1,2],"b":[1,2]}`, `{"a":[2,1],"b":[2,1]}`, []string{"order body.b: [1,2] -> [2,1]"}},
		"no other type":  {Rules{Tolerate: []Tolerance{{Absolute: 9, Within: time.Hour, Order: true}}}, `[1]`, `["1"]`, []string{`type body[]: 1 -> "1"`}},
		"keys": {
			Rules{Keys: []ListKey{{Place: "body.a", Fields: []string{"x", "y"}}}},
			`{"a":[{"id":1,"x":1,"y":1,"v":1},{"id":2,"x":1,"y":2,"v":2}]}`, `{"a":[{"id":2,"x":1,"y":2,"v":2},{"id":3,"x":1,"y":1,"v":3}]}`,
			[]string{
				`order body.a: [{"id":1,"x":1,"y":1,"v":1},{"id":2,"x":1,"y":2,"v":2}] -> [{"id":2,"x":1,"y":2,"v":2},{"id":3,"x":1,"y":1,"v":3}]`,
				`changed body.a[].id: 1 -> 3`, `changed body.a[].v: 1 -> 3`,
			},
		},
		"keys, all new": {
			Rules{Keys: []ListKey{{Place: "body", Fields: []string{"id"}}}},
			`[{"id":1,"v":1}]`, `[{"id":2,"v":1}]`,
			[]string{`missing body[]: {"id":1,"v":1} -> `, `added body[]:  -> {"id":2,"v":1}`},
		},
		"keys that read alike": {
			Rules{Keys: []ListKey{{Place: "body", Fields: []string{"x", "y"}}}},
			`[{"x":1,"y":23}]`, `[{"x":12,"y":3}]`,
			[]string{`missing body[]: {"x":1,"y":23} -> `, `added body[]:  -> {"x":12,"y":3}`},
		},
		"keys of the list alone": {
			Rules{Keys: []ListKey{{Place: "body.a", Fields: []string{"x"}}}},
			`{"a":[{"x":1,"b":[{"id":1,"x":5},{"id":2,"x":6}]}]}`, `{"a":[{"x":1,"b":[{"id":1,"x":6},{"id":2,"x":5}]}]}`,
			[]string{"changed body.a[].b[].x: 5 -> 6"},
		},
		"keys of another route": {
			Rules{Keys: []ListKey{{Route: "/other", Place: "body", Fields: []string{"x"}}}},
			`[{"id":1,"x":1},{"id":2,"x":2}]`, `[{"id":1,"x":2},{"id":2,"x":1}]`,
			[]string{"changed body[].x: 1 -> 2"},
		},
		"headers": {Rules{Headers: HeaderRules{Compare: []string{"date"}, Ignore: []string{"content-type"}}}, `1`, `1`, []string{"added header date:  -> now"}},
	} {
		t.Run(name, func(t *testing.T) {
			candidate := answered(200, c.candidate, "Content-Type: text/json", "Date: now")
			got := newComparer(t, c.rules).Compare(route, jsonAnswer(c.baseline), candidate)
			if name != "headers" {
				got = newComparer(t, c.rules).Compare(route, jsonAnswer(c.baseline), jsonAnswer(c.candidate))
			}
			require.Equal(t, append([]string{}, c.want...), told(got))
		})
	}
}

// TestExpectationsOfValues: a change to another value than the expected one is
// listed beside it.
func TestExpectationsOfValues(t *testing.T) {
	c := newComparer(t, Rules{Expect: []Expectation{{Where: Where{Place: "body[].v"}, From: "old", To: "new"}}})
	got := c.Compare("GET /", jsonAnswer(`[{"v":"old"},{"v":"old"},{"v":"old"}]`), jsonAnswer(`[{"v":"new"},{"v":"else"},{"v":"new"}]`))
	require.Equal(t, []string{`changed body[].v: "old" -> "new"`, `changed body[].v: "old" -> "else"`}, told(got))
	require.Equal(t, []int{1, 0}, []int{got[0].expected, got[1].expected})
	got = c.Compare("GET /", jsonAnswer(`[{"v":"older"},{"v":"old"}]`), jsonAnswer(`[{"v":"new"},{"v":"old"}]`))
	require.Zero(t, got[0].expected, "it comes from another value")
	c = newComparer(t, Rules{Expect: []Expectation{{Where: Where{Place: "body.v"}, To: "1"}, {Where: Where{Place: "body.v"}, To: "2"}}})
	require.Equal(t, 2, c.Compare("GET /", jsonAnswer(`{"v":0}`), jsonAnswer(`{"v":2}`))[0].expected, "the one that it meets")
	long := strings.Repeat("x", 2*maxExcerpt)
	c = newComparer(t, Rules{Expect: []Expectation{{Where: Where{Place: "body.v"}, From: excerpt([]byte(`"` + long + `"`))}}})
	require.Equal(t, 1, c.Compare("GET /", jsonAnswer(`{"v":"`+long+`"}`), jsonAnswer(`{"v":1e9}`))[0].expected, "as reports write it")
}

// TestRulesOfRoutesAreBounded: there may be as many routes as somebody makes up.
func TestRulesOfRoutesAreBounded(t *testing.T) {
	r := routeRules{rules: Rules{Ignore: []Where{{Route: "GET /7", Place: "body"}}}}
	for i := range 2*maxRouteSets + 1 {
		require.Len(t, r.of(fmt.Sprint("GET /", i)).ignore, map[bool]int{true: 1}[i == 7])
		require.LessOrEqual(t, len(r.sets), maxRouteSets)
	}
}

func TestRulesThatAreWrong(t *testing.T) {
	for says, r := range map[string]Rules{
		"ignore 1 would ignore everything: give it a route, a place or a kind":                            {Ignore: []Where{{}}},
		"expect 1 would expect everything: give it a route, a place or a kind":                            {Expect: []Expectation{{By: "me"}}},
		`ignore 1: there is no kind "odd" of differences`:                                                 {Ignore: []Where{{Kind: "odd"}}},
		`ignore 2: there is no place "price": places are status, header NAME, body, and body.NAME[].NAME`: {Ignore: []Where{{Place: "body"}, {Place: "price"}}},
		"tolerate 1: it tolerates nothing: say how much of a number, within which time, or any order":     {Tolerate: []Tolerance{{}}},
		"tolerate 1: the part must be between 0 and 1, not 5":                                             {Tolerate: []Tolerance{{Relative: 5}}},
		"tolerate 1: the amount must be 0 or more, not -1":                                                {Tolerate: []Tolerance{{Absolute: -1}}},
		"tolerate 1: the amount must be 0 or more, not +Inf":                                              {Tolerate: []Tolerance{{Absolute: math.Inf(1)}}},
		"tolerate 1: the time must be 0 or more, not -1s":                                                 {Tolerate: []Tolerance{{Within: -time.Second}}},
		"keys 1: a list needs a place, such as body.items, and the names of its items' fields":            {Keys: []ListKey{{Place: "body"}}},
		`headers: "a: b" is no name of a header`:                                                          {Headers: HeaderRules{Ignore: []string{"a: b"}}},
	} {
		_, err := NewComparer(r, CompareOptions{})
		require.ErrorContains(t, err, says)
	}
}

// TestRulesThatNothingMet wants rules to be told that no difference met, where anything
// was compared.
func TestRulesThatNothingMet(t *testing.T) {
	rules, err := RulesOf(plan.Comparison{
		Ignore: plan.Names{"body.at", "header x-gone of GET /a", "of GET /gone"}, Tolerate: map[string]string{"body.price": "1%", "body.rating": "0.1"},
		Keys: map[string]string{"body.items": "sku", "body.parts of /b": "sku"},
	})
	require.NoError(t, err)
	judge, err := NewMirrorJudge(rules, CompareOptions{}, FindingOptions{}, nil)
	require.NoError(t, err)
	require.Empty(t, judge.Warnings(false), "nothing was compared")
	judge.Compare(Answers{
		Exchange: Exchange{Route: "GET /a"}, Answer: answered(200, `{"at":1,"price":10,"items":[{"sku":"a","n":1},{"sku":"b"}]}`),
		Candidate: answered(200, `{"at":2,"price":11,"items":[{"sku":"b"},{"sku":"a","n":2}]}`),
	})
	const hint = ": take it out if nothing differs there any more, or see how the field is called"
	require.Equal(t, []string{
		"nothing met ignore: header x-gone of GET /a" + hint, "nothing met ignore: of GET /gone" + hint,
		"nothing met tolerate: body.rating" + hint, "nothing met keys: body.parts of /b" + hint,
	}, judge.Warnings(false))
}

func TestIsPlace(t *testing.T) {
	for _, place := range []string{"status", "header", "header x-*", "header etag", "body", "body.a", "body[].a", "body.items[].price", "body.items[*].price", `body."e mail"[]`, "body.{key}.x", "body.**", "**.price", "*"} {
		require.True(t, plan.IsPlace(place), place)
	}
	for _, place := range []string{"", "body.[bad", "body.", "body..a", "body.a[", "body.a]", "body.a[0]", "bodyx", "statuses", "header ", "header a b", `body."a`, "price"} {
		require.False(t, plan.IsPlace(place), place)
	}
}
