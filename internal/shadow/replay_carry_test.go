package shadow

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// carriedTo replays a session of two exchanges against a candidate that answers
// the first one otherwise than was recorded, and gives what it was asked then.
func carriedTo(t *testing.T, rules []plan.Carry, first, second Exchange, header map[string]string, body string) asked {
	t.Helper()
	var got asked
	synctest.Test(t, func(t *testing.T) {
		n := 0
		candidate := &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) {
			if n++; n == 1 {
				return 200, header, body, 0
			}
			return 200, nil, "{}", 0
		}}
		s := staged{test: shadowTest(), tape: tape{exchanges: []Exchange{first, second}}, candidate: candidate, baseline: answering(string(first.Response.Body.Data), 0)}
		s.test.Carry = rules
		s.test.Writes = &plan.Writes{Routes: plan.Names{"POST /orders", "POST /login", "PUT /orders", "POST /pay"}}
		s.run(t, t.Context())
		require.Len(t, candidate.seen, 2)
		got = candidate.seen[1]
		baseline := s.baseline.(*standIn)
		require.Equal(t, second.Request.Target, baseline.seen[1].target, "who answers as was recorded is asked as was recorded")
		require.Equal(t, string(second.Request.Body.Data), baseline.seen[1].body)
	})
	return got
}

const (
	recordedID = "9f1c2d34-0000-4000-8000-000000000001"
	carriedID  = "11111111-2222-4333-8444-555555555555"
)

func TestCarryIntoTargets(t *testing.T) {
	for name, c := range map[string]struct {
		recorded, answered string // bodies of POST /orders
		then, want         string
	}{
		"a uuid in the path":           {`{"id":"` + recordedID + `"}`, `{"id":"` + carriedID + `"}`, "/orders/" + recordedID + "/items", "/orders/" + carriedID + "/items"},
		"a uuid in the query":          {`{"id":"` + recordedID + `"}`, `{"id":"` + carriedID + `"}`, "/items?order=" + recordedID + "&x=1", "/items?order=" + carriedID + "&x=1"},
		"deep inside":                  {`{"data":[{"order":{"id":"` + recordedID + `"}}]}`, `{"data":[{"order":{"id":"` + carriedID + `"}}]}`, "/orders/" + recordedID, "/orders/" + carriedID},
		"a number":                     {`{"id":17}`, `{"id":42}`, "/orders/17", "/orders/42"},
		"a number as text":             {`{"id":"17"}`, `{"id":"42"}`, "/orders/17", "/orders/42"},
		"the number of something else": {`{"id":17}`, `{"id":42}`, "/products/17", "/products/17"},
		"a number in a query":          {`{"id":17}`, `{"id":42}`, "/items?order_id=17&page=17", "/items?order_id=42&page=17"},
		"the id of another kind":       {`{"id":1,"customer_id":17}`, `{"id":1,"customer_id":42}`, "/customers/17", "/customers/42"},
		"of another spelling":          {`{"category_id":17,"address_id":5,"box_id":3}`, `{"category_id":42,"address_id":6,"box_id":4}`, "/categories/17/addresses/5/boxes/3", "/categories/42/addresses/6/boxes/4"},
		"a word is no name":            {`{"state":"pending"}`, `{"state":"shipped"}`, "/orders?state=pending", "/orders?state=pending"},
		"a time is no name":            {`{"at":"2026-01-02T03:04:05Z"}`, `{"at":"2026-05-05T05:05:05Z"}`, "/orders?since=2026-01-02T03:04:05Z", "/orders?since=2026-01-02T03:04:05Z"},
		"a word that ends as one":      {`{"paid":"17","href":"sale/1"}`, `{"paid":"18","href":"sale/2"}`, "/orders?a=17&b=sale/1", "/orders?a=17&b=sale/1"},
		"one with its kind":            {`{"ref":"orders/17"}`, `{"ref":"orders/42"}`, "/orders/17?ref=orders/17", "/orders/17?ref=orders%2F42"},
		"a price is no name":           {`{"total":1999}`, `{"total":2100}`, "/orders?total=1999", "/orders?total=1999"},
		"escaped":                      {`{"token":"a+b/1=="}`, `{"token":"c+d/2=="}`, "/orders?token=a%2Bb%2F1%3D%3D", "/orders?token=c%2Bd%2F2%3D%3D"},
		"a list in another order":      {`[{"id":"p01"},{"id":"p02"}]`, `[{"id":"p02"},{"id":"p01"}]`, "/orders/p01", "/orders/p01"},
		"a list of numbers, reordered": {`[{"id":17},{"id":18}]`, `[{"id":18},{"id":17}]`, "/orders/17", "/orders/17"},
		"an item that was put before":  {`[{"id":"p01"}]`, `[{"id":"p02"},{"id":"p01"}]`, "/orders/p01", "/orders/p01"},
		"of another type":              {`{"id":"a1b2c3"}`, `{"id":[7]}`, "/orders/a1b2c3", "/orders/a1b2c3"},
		"a date is no name":            {`{"key":"2026-01-02"}`, `{"key":"2026-01-03"}`, "/orders?day=2026-01-02", "/orders?day=2026-01-02"},
		"a short word is no name":      {`{"api":"v1"}`, `{"api":"v2"}`, "/orders/v1", "/orders/v1"},
		"a page that begins later":     {`[{"id":"p01"},{"id":"p02"}]`, `[{"id":"p02"},{"id":"p03"}]`, "/orders/p01", "/orders/p01"},
		"a number that is elsewhere":   {`{"id":17,"lines":3}`, `{"id":42,"lines":17}`, "/orders/17", "/orders/42"},
		"nothing answered":             {`{"id":"` + recordedID + `"}`, `oops`, "/orders/" + recordedID, "/orders/" + recordedID},
		"no JSON":                      {`id=` + recordedID, `id=` + carriedID, "/orders/" + recordedID, "/orders/" + recordedID},
	} {
		t.Run(name, func(t *testing.T) {
			first := recordedWrite(0, "a", "POST", "/orders", `{}`, c.recorded)
			got := carriedTo(t, nil, first, recordedGet(time.Second, "a", c.then), nil, c.answered)
			require.Equal(t, c.want, got.target)
		})
	}
}

// TestCarryOfLocations: what was made may be told by its address alone.
func TestCarryOfLocations(t *testing.T) {
	for recorded, then := range map[string][3]string{
		"/orders/17":             {"/orders/42", "/orders/17/items", "/orders/42/items"},
		"https://shop/carts/c-1": {"https://other/carts/c-2", "/carts/c-1", "/carts/c-2"},
	} {
		first := recordedWrite(0, "a", "POST", "/orders", `{}`, `{}`)
		first.Response.Header.Set("Location", recorded)
		got := carriedTo(t, nil, first, recordedGet(time.Second, "a", then[1]), map[string]string{"Location": then[0]}, `{}`)
		require.Equal(t, then[2], got.target)
	}
}

func TestCarryIntoHeadersAndBodies(t *testing.T) {
	first := recordedWrite(0, "a", "POST", "/orders", `{}`, `{"id":"`+recordedID+`","token":"tok-1"}`)
	first.Response.Header.Set("ETag", `"v1"`)
	second := recordedWrite(time.Second, "a", "PUT", "/orders", "{ \"ref\" : \""+recordedID+"\", \"order_id\":17,\n\"note\":\"of "+recordedID+"\" }", "{}")
	second.Request.Header.Set("Authorization", "Bearer tok-1")
	second.Request.Header.Set("X-Version", `"v1"`)
	got := carriedTo(t, nil, first, second, map[string]string{"ETag": `"v9"`}, `{"id":"`+carriedID+`","token":"tok-2"}`)
	require.Equal(t, `"v9"`, got.header.Get("X-Version"))
	require.Equal(t, "Bearer tok-2", got.header.Get("Authorization"), "a credential of this replay may be sent")
	require.Equal(t, "{ \"ref\" : \""+carriedID+"\", \"order_id\":17,\n\"note\":\"of "+recordedID+"\" }", got.body, "whole values only, and no other byte")
}

func TestCarryCookies(t *testing.T) {
	for set, want := range map[string]string{
		"sid=mine; Path=/; HttpOnly":                   "sid=mine",
		"sid=; Max-Age=0":                              "", // taken back: and the recorded one is nobody's
		"sid=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT": "",
	} {
		first, second := recordedGet(0, "a", "/login"), recordedGet(time.Second, "a", "/cart")
		second.Request.Header.Set("Cookie", "sid=pseudonym")
		got := carriedTo(t, nil, first, second, map[string]string{"Set-Cookie": set}, `{"ok":true}`)
		require.Equal(t, want, got.header.Get("Cookie"), set)
	}
}

// TestCarryAddsNoCookies to what was asked without any.
func TestCarryAddsNoCookies(t *testing.T) {
	got := carriedTo(t, nil, recordedGet(0, "a", "/login"), recordedGet(time.Second, "a", "/public"), map[string]string{"Set-Cookie": "sid=mine"}, `{"ok":true}`)
	require.Empty(t, got.header.Get("Cookie"))
}

func TestCarryByRule(t *testing.T) {
	for name, c := range map[string]struct {
		rule plan.Carry
		want func(t *testing.T, got asked)
	}{
		"into a header": {plan.Carry{From: "body.auth.0.jwt of POST /login", To: "header Authorization of *", As: "Bearer {}"}, func(t *testing.T, got asked) {
			require.Equal(t, "Bearer live one", got.header.Get("Authorization"))
		}},
		"into a path": {plan.Carry{From: "header X-Where of *", To: "path 2 of POST /pay/last/{x}", As: "{}"}, func(t *testing.T, got asked) {
			require.Equal(t, "/pay/here%2Fnow/x?how=card", got.target)
		}},
		"into a query": {plan.Carry{From: "body.auth.0.jwt of /login", To: "query how of /pay/last/{x}", As: "{}-1"}, func(t *testing.T, got asked) {
			require.Equal(t, "/pay/last/x?how=live+one-1", got.target)
		}},
		"out of a URL": {plan.Carry{From: "body.next?how of POST /login", To: "query how of *", As: "{}"}, func(t *testing.T, got asked) {
			require.Equal(t, "/pay/last/x?how=by+wire", got.target)
		}},
		"out of a link": {plan.Carry{From: "header Link?how of POST /login", To: "query how of *", As: "{}"}, func(t *testing.T, got asked) {
			require.Equal(t, "/pay/last/x?how=cash", got.target)
		}},
		"out of no URL": {plan.Carry{From: "body.auth.0.jwt?how of POST /login", To: "query how of *", As: "{}"}, func(t *testing.T, got asked) {
			require.Equal(t, "/pay/last/x?how=card", got.target)
		}},
		"into a body": {plan.Carry{From: "body.number of POST /login", To: "body.lines.0.no of *", As: "{}"}, func(t *testing.T, got asked) {
			require.JSONEq(t, `{"lines":[{"no":5}]}`, got.body)
		}},
		"of no number where there was one": {plan.Carry{From: "body.auth.0.jwt of POST /login", To: "body.lines.0.no of *", As: "{}"}, func(t *testing.T, got asked) {
			require.JSONEq(t, `{"lines":[{"no":"live one"}]}`, got.body)
		}},
		"from beyond a list": {plan.Carry{From: "body.auth.1.jwt of POST /login", To: "query how of *", As: "{}"}, func(t *testing.T, got asked) {
			require.Equal(t, "/pay/last/x?how=card", got.target)
		}},
		"beyond a path": {plan.Carry{From: "body.number of POST /login", To: "path 9 of *", As: "{}"}, func(t *testing.T, got asked) {
			require.Equal(t, "/pay/last/x?how=card", got.target)
		}},
		"to another route": {plan.Carry{From: "body.number of POST /login", To: "query how of POST /other", As: "{}"}, func(t *testing.T, got asked) {
			require.Equal(t, "/pay/last/x?how=card", got.target)
		}},
		"of another route": {plan.Carry{From: "body.number of POST /other", To: "query how of *", As: "{}"}, func(t *testing.T, got asked) {
			require.Equal(t, "/pay/last/x?how=card", got.target)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			first := recordedWrite(0, "a", "POST", "/login", `{}`, `{}`)
			second := recordedWrite(time.Second, "a", "POST", "/pay/last/x?how=card", `{"lines":[{"no":1}]}`, "{}")
			second.Route = "POST /pay/last/{x}"
			n := 0
			candidate := &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) {
				n++
				return 200, map[string]string{"X-Where": "here/now", "Link": `</a?how=wrong>; rel=prev, </b?how=cash>; rel="next"`}, `{"auth":[{"jwt":"live one"}],"number":5,"next":"/x?how=by%20wire"}`, 0
			}}
			s := staged{test: unhurried(), tape: tape{exchanges: []Exchange{first, second}}, candidate: candidate, baseline: answering("{}", 0)}
			s.test.Speed = 1000
			s.test.Carry = []plan.Carry{c.rule}
			s.test.Writes = &plan.Writes{Routes: plan.Names{"POST /login", second.Route}}
			s.run(t, t.Context())
			require.Len(t, candidate.seen, 2)
			c.want(t, candidate.seen[1])
		})
	}
}

// TestReplayCountsWhatItCarries: by arm, route and where the values came from. What
// answers as was recorded needs nothing, and a rule that is of no use is told.
func TestReplayCountsWhatItCarries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := recordedWrite(0, "a", "POST", "/orders", "{}", `{"id":"`+recordedID+`","jwt":"pseudonym"}`)
		second := recordedWrite(time.Second, "a", "PUT", "/orders", `{"id":"`+recordedID+`","of":"`+recordedID+`"}`, "{}")
		second.Request.Target = "/orders?id=" + recordedID
		second.Request.Header.Set("Cookie", "sid=pseudonym; theme=pseudonym")
		candidate := answering(`{"id":"`+carriedID+`","jwt":"live"}`, 0)
		candidate.answer = func(asked) (int, map[string]string, string, time.Duration) {
			return 200, map[string]string{"Set-Cookie": "sid=mine"}, `{"id":"` + carriedID + `","jwt":"live"}`, 0
		}
		s := staged{test: shadowTest(), tape: tape{exchanges: []Exchange{first, second}}, candidate: candidate, baseline: answering(string(first.Response.Body.Data), 0)}
		s.test.Carry = []plan.Carry{
			{From: "body.jwt of POST /orders", To: "header Authorization of PUT /orders", As: "Bearer {}"},
			{From: "body.csrf of *", To: "query csrf of *", As: "{}"},
		}
		s.test.Writes = &plan.Writes{Routes: plan.Names{"POST /orders", "PUT /orders"}}
		all := s.run(t, t.Context())
		counts := map[string]uint64{}
		for _, w := range all.Windows {
			if w.Series.Metric == measure.MetricCarried {
				require.Equal(t, "PUT /orders", w.Series.Step)
				counts[w.Series.Arm+" "+w.Series.Status] += w.Count
			}
		}
		require.Equal(t, map[string]uint64{"candidate found": 3, "candidate rule": 1, "candidate cookie": 1, "baseline rule": 1}, counts)
		told := happened(all, measure.EventReplay)[0].Attrs
		require.Equal(t, []string{"3", "1", "1"}, []string{told["carried found"], told["carried rule"], told["carried cookie"]})
		var warned []string
		for _, e := range happened(all, measure.EventWarning) {
			if strings.HasPrefix(e.Attrs["detail"], "carry ") {
				warned = append(warned, e.Attrs["detail"])
			}
		}
		require.Equal(t, []string{"carry 2 put nothing into any request: no answer had body.csrf of * before a request of its session had query csrf of *"}, warned)
	})
}

// TestReplayTellsHowLateItSends: what waited for a worker is no fault of this machine,
// and not in it.
func TestReplayTellsHowLateItSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := staged{test: shadowTest(), tape: tape{exchanges: recordedMany(4, 500*time.Millisecond)}, candidate: answering(`{"ok":true}`, 0), baseline: answering(`{"ok":true}`, 0)}
		all := s.run(t, t.Context())
		lags := replaySummed(all, measure.MetricSendLag)
		require.Equal(t, []uint64{4, 0}, []uint64{lags[measure.Candidate].Count, lags[measure.Baseline].Count}, "once for each exchange")
		p99, ok := lags[measure.Candidate].Sketch.Quantile(0.99)
		require.True(t, ok)
		require.Zero(t, p99, "time stands still here")
		r := newReplayRecord(s.stream())
		r.late(taped, 7*time.Millisecond)
		w := r.flush().Windows[0]
		require.Equal(t, []any{7.0, taped.UnixNano()}, []any{w.Max, w.Start}, "of the second in which it was due")
	})
}

// TestCarryRefuses names what is wrong with a rule.
func TestCarryRefuses(t *testing.T) {
	for from, message := range map[string]string{
		"body.id":                   "wants the route of the place as well",
		"cookie sid of GET /":       "wants a place such as body.id of POST /orders or header ETag of GET /cart",
		"body.next? of GET /":       "does not say which parameter of the URL",
		"header of GET /":           "does not say which header",
		"path 2 of GET /orders/{x}": "wants a place such as",
	} {
		_, err := carryRules([]plan.Carry{{From: from, To: "query a of *"}})
		require.ErrorContains(t, err, message, from)
	}
	_, err := carryRules([]plan.Carry{{From: "body.id of *", To: "path x of *"}})
	require.ErrorContains(t, err, "wants the number of a part of the path")
}

// TestCarryLeavesOtherBytes replaces values in bodies of any shape: what comes out
// is what went in with the one value replaced.
func TestCarryLeavesOtherBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z"\\ é]{0,12}`).Draw(t, "text")
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)
		space := rapid.StringMatching(`[ \n\t]{0,3}`).Draw(t, "space")
		before := `{"k` + quoted + `":` + space + `"` + quoted + `",` + space + `"n":[1.5e3,true,null],"ref"` + space + `:` + space
		c := carried{recalled: recalled{values: map[string]string{recordedID: carriedID}}}
		out, n := c.body(jsonBody(before + `"` + recordedID + `"` + space + `}`))
		require.Equal(t, 1, n)
		require.Equal(t, before+`"`+carriedID+`"`+space+`}`, string(out))
	})
}

// TestCarryIntoBodies puts values where they stand, and keeps the body what it is.
func TestCarryIntoBodies(t *testing.T) {
	c := carried{recalled: recalled{values: map[string]string{`"v1"`: `"v9"`, "tok-1234": "tok-9", carryKey("orders", "17"): "abc", carryKey("orders", "18"): "42"}}}
	for in, want := range map[string]string{
		`{"etag":"\"v1\"","x":"\\"}`:         `{"etag":"\"v9\"","x":"\\"}`,
		`{"tok-1234":"tok-1234"}`:            `{"tok-1234":"tok-9"}`,
		`{"order_id":17}`:                    "",
		`{"order_id":18,"n":18}`:             `{"order_id":42,"n":18}`,
		`["a tok-1234",["tok-1234"],"last"]`: `["a tok-1234",["tok-9"],"last"]`,
	} {
		out, n := c.body(jsonBody(in))
		require.Equal(t, want != "", n == 1, in)
		require.Equal(t, want, string(out))
	}
}

// TestCarryIsBounded: a long answer is not looked through, and of many names some are
// remembered.
func TestCarryIsBounded(t *testing.T) {
	list := func(prefix string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `%s{"id":"%s-%06d"}`, strings.Repeat(",", min(i, 1)), prefix, i)
		}
		return "[" + b.String() + "]"
	}
	body := jsonBody(list("recorded", 2*carryValues))
	tree, own := treeOf(body)
	require.True(t, own)
	require.Len(t, paired(Request{Target: "/orders"}, Response{Body: body}, Response{Body: jsonBody(list("replayed", 2*carryValues))}, tree), carryValues)
	body.Cut = true
	tree, _ = treeOf(body)
	require.Nil(t, tree, "what is cut")
	tree, _ = treeOf(jsonBody(`["` + strings.Repeat("x", carryBody) + `"]`))
	require.Nil(t, tree, "what is long")
	require.True(t, namesSomething("id", strings.Repeat("x", 4096)))
	require.False(t, namesSomething("id", strings.Repeat("x", 4097)))
}

// FuzzCarry looks through answers and requests of any kind.
func FuzzCarry(f *testing.F) {
	f.Add(`{"id":17}`, `{"id":42}`, "/orders/17?order_id=17", `{"order_id":17}`)
	f.Add(`["/a/1/%zz","http://x"]`, `["/a/2/b","https://y//z?"]`, "/a/1?u=%2Fa%2F1", `["http://x/a/1?"]`)
	f.Add(`{"id":"a1b2c3"}`, `[1`, "/%zz?&=&a", `"x`)
	f.Fuzz(func(_ *testing.T, recorded, answered, target, body string) {
		r := Request{Method: "POST", Target: target, Header: http.Header{}, Body: jsonBody(body)}
		c := carried{recalled: recalled{values: map[string]string{}}}
		was := Response{Status: 200, Body: jsonBody(recorded)}
		tree, _ := treeOf(was.Body)
		for key, value := range paired(r, was, Response{Status: 200, Body: jsonBody(answered)}, tree) {
			c.set(key, value, valuesMost)
		}
		c.substitute(&r, http.Header{"Cookie": {"x"}})
		carryPlace{Kind: "body", Name: "a.0"}.write(&r, "v")
		carryPlace{Kind: "query", Name: "a"}.write(&r, "v")
		carryPlace{Kind: "path", Part: 1}.write(&r, "v")
	})
}

// TestCarriedValuesStayWithinTheirPart wants no value of an answer to make another
// path of a request: by its path it was decided that it may be sent.
func TestCarriedValuesStayWithinTheirPart(t *testing.T) {
	for _, value := range []string{".", "..", "", "../admin", "x/../../admin", `..\admin`, "/"} {
		c := carried{recalled: recalled{values: map[string]string{"tok-1234": value}}}
		path, n := c.path("/orders/tok-1234/pay")
		require.Equal(t, "/orders/tok-1234/pay", path, "%q", value)
		require.Zero(t, n)
		r := Request{Target: "/orders/17/pay"}
		require.False(t, carryPlace{Kind: "path", Part: 2}.write(&r, value))
		require.Equal(t, "/orders/17/pay", r.Target, "%q", value)
	}
	c := carried{recalled: recalled{values: map[string]string{"tok-1234": "a.b/c..d=="}}}
	path, n := c.path("/orders/tok-1234/pay")
	require.Equal(t, "/orders/a.b%2Fc..d==/pay", path, "a token may have a slash")
	require.Equal(t, 1, n)
}
