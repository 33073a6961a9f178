package shadow

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// signIns are exchanges as they are recorded: each with the session that redaction
// finds, which changes with the credential.
func signIns(t *testing.T) map[string][]Exchange {
	r := redactor(t, RedactionRules{})
	exchange := func(at time.Duration, e Exchange) Exchange {
		e.At, e.Response.Status = taped.Add(at), 200
		e.Response.Header.Set("Content-Type", "application/json")
		if e.Request.Method == "" {
			e.Request.Method = "GET"
		}
		out := r.Redact(e)
		out.Route = e.Request.Method + " " + e.Request.Target
		return out
	}
	return map[string][]Exchange{
		"a token of a login": {
			exchange(0, Exchange{
				Session: "10.0.0.1", Request: Request{Method: "POST", Target: "/login"},
				Response: Response{Header: http.Header{}, Body: jsonBody(`{"access_token":"recorded-1","refresh_token":"recorded-2"}`)},
			}),
			exchange(time.Millisecond, Exchange{Request: Request{Target: "/me", Header: http.Header{"Authorization": {"Bearer recorded-1"}}}, Response: Response{Header: http.Header{}}}),
		},
		"a cookie that changes": {
			exchange(0, Exchange{Request: Request{Target: "/"}, Response: Response{Header: http.Header{"Set-Cookie": {"sid=recorded-0; Path=/"}}}}),
			exchange(time.Millisecond, Exchange{
				Request:  Request{Method: "POST", Target: "/login", Header: http.Header{"Cookie": {"sid=recorded-0"}}},
				Response: Response{Header: http.Header{"Set-Cookie": {"sid=recorded-1; Path=/"}}},
			}),
			exchange(2*time.Millisecond, Exchange{Request: Request{Target: "/me", Header: http.Header{"Cookie": {"sid=recorded-1"}}}, Response: Response{Header: http.Header{}}}),
		},
	}
}

// What a login gives is sent by those who were recorded with it, though their session
// has another name by then, and by no one before it is there.
func TestCarryOverLogins(t *testing.T) {
	for name, all := range signIns(t) {
		t.Run(name, func(t *testing.T) {
			require.NotEqual(t, all[len(all)-1].Session, all[len(all)-2].Session)
			synctest.Test(t, func(t *testing.T) {
				n := 0
				candidate := &standIn{answer: func(r asked) (int, map[string]string, string, time.Duration) {
					n++
					return 200, map[string]string{"Set-Cookie": fmt.Sprintf("sid=own-%d; Path=/", n)}, `{"access_token":"own-token","refresh_token":"own-other"}`, time.Second
				}}
				s := staged{test: shadowTest(), tape: tape{exchanges: all}, candidate: candidate, baseline: answering("{}", 0)}
				s.test.Writes = &plan.Writes{Routes: plan.Names{"POST /login"}}
				s.run(t, t.Context())
				require.Len(t, candidate.seen, len(all))
				last := candidate.seen[len(all)-1]
				require.Equal(t, "/me", last.target)
				if all[len(all)-1].Request.Header.Get("Authorization") != "" {
					require.Equal(t, "Bearer own-token", last.header.Get("Authorization"))
				} else {
					require.Equal(t, "sid=own-2", last.header.Get("Cookie"))
				}
			})
		})
	}
}

// A sample has the login of whoever it has.
func TestSampleHasWholeLogins(t *testing.T) {
	r := redactor(t, RedactionRules{})
	var all []Exchange
	for i := range 100 {
		login, token := recordedGet(0, fmt.Sprint(i), "/login"), fmt.Sprint("recorded-", i)
		login.Response.Body = jsonBody(`{"token":"` + token + `"}`)
		me := recordedGet(0, "", "/me")
		me.Request.Header.Set("Authorization", "Bearer "+token)
		all = append(all, r.Redact(login), r.Redact(me))
	}
	synctest.Test(t, func(t *testing.T) {
		candidate := answering("{}", 0)
		s := staged{test: shadowTest(), tape: tape{exchanges: all}, candidate: candidate}
		s.test.Sample = 0.3
		s.run(t, t.Context())
		seen := candidate.targets()
		logins := slices.DeleteFunc(slices.Clone(seen), func(target string) bool { return target != "GET /login" })
		require.Len(t, seen, 2*len(logins))
		require.InDelta(t, 30, len(logins), 20)
	})
}

func TestGivenCredentials(t *testing.T) {
	pn := redactor(t, RedactionRules{}).Pseudonym
	for body, want := range map[string][]string{
		`{"token":"` + pn("a") + `"}`:                                   {pn("a")},
		`{ "access_token" : "Bearer ` + pn("a") + `" , "x":1}`:          {pn("a")},
		`{"email":"` + pn("a") + `","n":{"jwt":"` + pn("b") + `"}}`:     {pn("b")},
		`{"text":"see token: ` + pn("a") + `"}`:                         nil,
		`{"token":"pn-short"}`:                                          nil,
		pn("a"):                                                         nil,
		`{"token":"pn-`:                                                 nil,
		`<a token="` + pn("a") + `">`:                                   nil,
		`{"a":["` + pn("a") + `"],"password":"` + pn("b") + `","c":[]}`: {pn("b")},
	} {
		require.Equal(t, want, givenCredentials(Response{Body: jsonBody(body)}), body)
	}
	given := givenCredentials(Response{Header: http.Header{"Set-Cookie": {"theme=" + pn("a"), "sid=" + pn("b") + "; Path=/"}, "X-Auth-Token": {pn("c")}}})
	require.ElementsMatch(t, []string{pn("b"), pn("c")}, given)
}

// What is remembered is bounded, and no session comes from itself.
func TestOriginsAreBounded(t *testing.T) {
	var o origins
	give := func(session, token string) {
		o.learn(Exchange{Session: session, Response: Response{Header: http.Header{"X-Auth-Token": {token}}}})
	}
	r := redactor(t, RedactionRules{})
	a, b := r.Pseudonym("a"), r.Pseudonym("b")
	give("first", a)
	give(a, b)
	give(b, a)
	give(b, b)
	require.Equal(t, "first", o.root(b))
	give(a, "no pseudonym")
	require.Len(t, o.known, 2)
	for i := range originsMost {
		give("x", fmt.Sprintf("%s%032x", pseudonymMark, i))
	}
	require.Len(t, o.known, originsMost)
	require.Len(t, o.order, originsMost)
	require.Equal(t, b, o.root(b), "the oldest are forgotten")
}

// A session begins with all that the one before has learnt, once.
func TestSessionGoesOnWithAllThatWasLearnt(t *testing.T) {
	s := newSessions(nil)
	login, user := s.of("login"), s.of("user")
	user.comesFrom(login)
	login.keep([]learnt{{
		values: map[string]string{"recorded-1": "own-1"}, ruled: map[int]string{0: "ruled"}, cookies: []*http.Cookie{{Name: "theme", Value: "dark"}},
	}}, true)
	user.inherit()
	require.Equal(t, map[string]string{"recorded-1": "own-1"}, user.lane(0).values)
	require.Equal(t, map[int]string{0: "ruled"}, user.lane(0).ruled)
	require.Equal(t, map[string]string{"theme": "dark"}, user.lane(0).cookies)
	require.True(t, user.written)
	login.keep([]learnt{{ruled: map[int]string{0: "later"}}}, false)
	user.inherit()
	require.Equal(t, "ruled", user.lane(0).ruled[0])
	require.Equal(t, "later", login.lane(0).ruled[0])
}
