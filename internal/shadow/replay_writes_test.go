package shadow

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// orders is a target that keeps orders.
type orders struct {
	standIn
	mu      sync.Mutex
	next    int
	there   map[string]bool
	stays   bool // what is deleted is still there
	refuses bool // to delete
	unseen  int  // with what it answers who looks whether something is gone; 0 for 404
	busy    int  // how many deletions it refuses for now

	gone      int           // it has removed them itself, and says so with this status
	takesNone bool          // and still says which it would have made
	hangs     bool          // when it is to delete
	slowly    time.Duration // how long that takes
	loses     bool          // the answers to writes
}

func newOrders(first int) *orders {
	o := &orders{next: first, there: map[string]bool{}}
	o.answer = func(r asked) (int, map[string]string, string, time.Duration) {
		o.mu.Lock()
		defer o.mu.Unlock()
		path := strings.TrimPrefix(r.target, "/orders/")
		switch {
		case r.method == "POST" && o.takesNone:
			return 422, nil, `{"id":7}`, 0
		case r.method == "POST" && o.loses:
			return 0, nil, "connection reset", 0
		case r.method == "POST" && r.target == "/orders":
			o.next++
			id := fmt.Sprint(o.next)
			o.there[id] = true
			return 201, nil, `{"id":` + id + `}`, time.Millisecond
		case r.method == "DELETE" && o.busy > 0:
			o.busy--
			return 429, nil, "{}", 0
		case r.method == "DELETE" && o.refuses:
			return 403, nil, "{}", 0
		case r.method == "DELETE" && o.gone != 0:
			delete(o.there, path)
			return o.gone, nil, "{}", 0
		case r.method == "DELETE" && o.hangs:
			return 204, nil, "", time.Hour
		case r.method == "DELETE":
			if !o.stays {
				delete(o.there, path)
			}
			return 204, nil, "", o.slowly
		case strings.HasPrefix(r.target, "/orders/") && !o.there[path]:
			return cmp.Or(o.unseen, 404), nil, "{}", 0
		}
		return 200, nil, "{}", time.Millisecond
	}
	return o
}

func shopping() []Exchange {
	first := recordedWrite(0, "a", "POST", "/orders", `{"sku":"x"}`, `{"id":17}`)
	first.Request.Header.Set("Idempotency-Key", "key-of-a-user")
	gone := recordedGet(150*time.Millisecond, "b", "/orders/1")
	gone.Response.Status = 404
	return []Exchange{
		first, recordedGet(100*time.Millisecond, "a", "/orders/17"), gone,
		recordedWrite(200*time.Millisecond, "a", "DELETE", "/orders/17", "", "{}"), recordedWrite(300*time.Millisecond, "a", "POST", "/search", "{}", "{}"),
	}
}

// TestWritesAreDeniedByDefault climbs the ladder rung by rung.
func TestWritesAreDeniedByDefault(t *testing.T) {
	for name, c := range map[string]struct {
		writes   *plan.Writes
		want     []string
		withheld []string
	}{
		"nothing": {nil, []string{"GET /orders/1", "GET /orders/17"}, []string{"DELETE /orders/17", "POST /orders", "POST /search"}},
		"a route": {&plan.Writes{Routes: plan.Names{"POST /search"}}, []string{"GET /orders/1", "GET /orders/17", "POST /search {}"}, []string{"DELETE /orders/17", "POST /orders"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := staged{test: shadowTest(), tape: tape{exchanges: shopping()}, candidate: answering("{}", 0), baseline: answering("{}", 0)}
				s.test.Writes = c.writes
				all := s.run(t, t.Context())
				require.ElementsMatch(t, c.want, s.candidate.(*standIn).targets())
				require.ElementsMatch(t, c.want, s.baseline.(*standIn).targets())
				var withheld []string
				for _, e := range happened(all, measure.EventWithheld) {
					require.Equal(t, "it may change data, and writes: does not name its route", e.Attrs["reason"])
					require.Equal(t, "1", e.Attrs["count"])
					withheld = append(withheld, e.Name)
				}
				slices.Sort(withheld)
				require.Equal(t, c.withheld, withheld)
			})
		})
	}
}

func canaryTenant() *plan.Identity {
	return &plan.Identity{
		Name: "canary-1", Marks: map[string]string{"X-Synthetic-Tenant": "canary-1", "Baggage": "synthetic=true,synthetic.tenant=canary-1"},
		Headers: map[string]string{"Authorization": "Bearer of-the-tenant"}, Token: "of-the-tenant",
	}
}

func tenantWrites() *plan.Writes {
	return &plan.Writes{Routes: plan.Names{"POST /orders"}, Tenant: "canary-1", Idempotency: "Idempotency-Key", Compensate: map[string]string{"POST /orders": "DELETE /orders/{id}"}}
}

// TestTenantWritesAndUndoes wants writes to be the tenant's, to happen once on each
// target, and to be gone after the test.
func TestTenantWritesAndUndoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		candidate, baseline := newOrders(100), newOrders(200)
		s := staged{test: shadowTest(), tape: tape{exchanges: shopping()}, candidate: candidate, baseline: baseline, tenant: canaryTenant()}
		s.test.Writes = tenantWrites()
		all := s.run(t, t.Context())
		require.Equal(t, []string{
			`POST /orders {"sku":"x"}`, "GET /orders/101", "GET /orders/1", "DELETE /orders/101", "GET /orders/101",
		}, candidate.targets(), "the order of its own, and its end")
		require.Contains(t, baseline.targets(), "DELETE /orders/201")
		require.Empty(t, candidate.there)
		require.Empty(t, baseline.there)
		require.Empty(t, happened(all, measure.EventWarning))
		keys := map[string]bool{}
		for _, o := range []*orders{candidate, baseline} {
			for i, r := range o.seen {
				own := r.header.Get("X-Synthetic-Tenant") == "canary-1" && r.header.Get("Authorization") == "Bearer of-the-tenant"
				require.Equal(t, r.target != "/orders/1", own, "%d: only what a session asks from its first write on", i)
				require.Equal(t, "1", r.header.Get(ShadowHeader))
				if own {
					require.Equal(t, "synthetic=true,synthetic.tenant=canary-1,synthetic.shadow=true", r.header.Get("Baggage"))
				}
			}
			keys[o.seen[0].header.Get("Idempotency-Key")] = true
		}
		require.Len(t, keys, 2, "each its own")
		require.NotContains(t, keys, "key-of-a-user")
		require.EqualValues(t, 3, replaySummed(all, measure.MetricRequest)[measure.Candidate].Count, "what undoes is no attempt")
	})
}

// TestKeysOfNamedRoutes wants a write that is sent as it was to have a key of its own,
// too: by the recorded one a target would take it for the user's.
func TestKeysOfNamedRoutes(t *testing.T) {
	e := recordedWrite(0, "a", "POST", "/search", "{}", "{}")
	e.Request.Header.Set("Idempotency-Key", "key-of-a-user")
	get := recordedGet(0, "b", "/orders")
	get.Request.Header.Set("Idempotency-Key", "key-of-a-user")
	s := staged{test: unhurried(), tape: tape{exchanges: []Exchange{e, get}}, candidate: answering("{}", 0), baseline: answering("{}", 0)}
	s.test.Writes = &plan.Writes{Routes: plan.Names{"POST /search"}, Idempotency: "Idempotency-Key"}
	s.run(t, t.Context())
	keys := map[string]int{}
	for _, target := range []http.RoundTripper{s.candidate, s.baseline} {
		for _, r := range target.(*standIn).seen {
			keys[r.method+" "+r.header.Get("Idempotency-Key")]++
		}
	}
	require.Equal(t, map[string]int{"GET key-of-a-user": 2, "POST " + laneKey("run-1", 0, "key-of-a-user"): 1, "POST " + laneKey("run-1", 1, "key-of-a-user"): 1}, keys)

	one := laneKey("run-1", 0, "a")
	require.Equal(t, one, laneKey("run-1", 0, "a"), "asked again, it is the same write")
	for _, other := range []string{laneKey("run-2", 0, "a"), laneKey("run-1", 1, "a"), laneKey("run-1", 0, "b")} {
		require.NotEqual(t, one, other)
	}
}

// TestUndoesWhenInterrupted wants what was written to be undone however it ends.
func TestUndoesWhenInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		candidate := newOrders(1)
		s := staged{test: shadowTest(), tape: tape{exchanges: shopping()}, candidate: candidate, baseline: newOrders(1), tenant: canaryTenant()}
		s.test.Writes = tenantWrites()
		s.run(t, ctx)
		require.Contains(t, candidate.targets(), "DELETE /orders/2")
		require.Empty(t, candidate.there)
	})
}

// TestUndoingHasAnEnd wants a target that does not answer to be waited for, but no
// longer than a pipeline waits that was cancelled.
func TestUndoingHasAnEnd(t *testing.T) {
	for interrupted, most := range map[bool]time.Duration{true: 5 * time.Second, false: 61 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if interrupted {
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			candidate := newOrders(1)
			candidate.hangs = true
			s := staged{test: shadowTest(), tape: tape{exchanges: shopping()[:1]}, candidate: candidate, baseline: newOrders(1), tenant: canaryTenant()}
			s.test.Writes, s.test.Timeout = tenantWrites(), plan.Duration(time.Hour)
			if interrupted {
				s.tape.exchanges = shopping()
			}
			began := time.Now()
			all := s.run(t, ctx)
			require.LessOrEqual(t, time.Since(began), most)
			require.GreaterOrEqual(t, time.Since(began), most-time.Second, "a slow one is given time")
			require.Contains(t, happened(all, measure.EventWarning)[0].Attrs["detail"], "what POST /orders made on the candidate may still be there: DELETE /orders/2")
		})
	}
}

// TestUndoesTheLastFirst wants what was made of something to go before it.
func TestUndoesTheLastFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var exchanges []Exchange
		for i := range 2 * undoSide {
			exchanges = append(exchanges, recordedWrite(time.Duration(i)*time.Second, "", "POST", "/orders", "{}", `{"id":17}`))
		}
		candidate := newOrders(0)
		candidate.slowly = time.Second
		s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: candidate, baseline: newOrders(0), tenant: canaryTenant()}
		s.test.Writes = tenantWrites()
		s.run(t, t.Context())
		require.Empty(t, candidate.there)
		var deleted []string
		for _, r := range candidate.seen {
			if r.method == "DELETE" {
				deleted = append(deleted, r.target)
			}
		}
		require.Len(t, deleted, 2*undoSide)
		require.NotContains(t, deleted[:undoSide], "/orders/1")
		require.Contains(t, deleted[:undoSide], fmt.Sprint("/orders/", 2*undoSide))
	})
}

// TestUndoesASessionInOrder wants each session to be undone strictly the last first, one
// request after the other, also where a login gave it another name, and different ones
// side by side.
func TestUndoesASessionInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var exchanges []Exchange
		for i := range 20 {
			exchanges = append(exchanges, recordedWrite(time.Duration(i)*time.Second, fmt.Sprint("s", i%2), "POST", "/orders", "{}", `{"id":17}`))
		}
		candidate := newOrders(0)
		candidate.slowly = 100 * time.Millisecond
		s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: candidate, baseline: newOrders(0), tenant: canaryTenant()}
		s.test.Writes = tenantWrites()
		s.run(t, t.Context())
		require.Empty(t, candidate.there)
		deleted := map[int][]int{}
		var all []int
		for _, r := range candidate.seen {
			if number, is := strings.CutPrefix(r.target, "/orders/"); is && r.method == "DELETE" {
				n, err := strconv.Atoi(number)
				require.NoError(t, err)
				deleted[n%2], all = append(deleted[n%2], n), append(all, n)
			}
		}
		for _, list := range deleted {
			require.Len(t, list, 10)
			require.True(t, slices.IsSortedFunc(list, func(a, b int) int { return b - a }), "%v", list)
		}
		require.NotEqual(t, all[0]%2, all[1]%2, "side by side")
	})
}

func TestUndoChains(t *testing.T) {
	l := &ladder{}
	for _, j := range []*job{{Exchange: Exchange{Session: "a"}}, {Exchange: Exchange{Session: "b"}, origin: "a"}, {Exchange: Exchange{Session: "b"}}, {Exchange: Exchange{Session: "c"}, origin: "b"}} {
		require.Equal(t, "a", l.begins(j))
	}
	require.Equal(t, [][]made{{{0, "a", "", "3"}, {0, "a", "", "1"}}, {{1, "a", "", "2"}}, {{0, "", "", "y"}}, {{0, "", "", "x"}}},
		undoChains([]made{{0, "", "", "x"}, {0, "", "", "y"}, {0, "a", "", "1"}, {1, "a", "", "2"}, {0, "a", "", "3"}}))
}

// TestUndoesNothingThatIsGone wants what a target has removed by itself to be no
// worry, nor what is not to be undone, nor what was refused.
func TestUndoesNothingThatIsGone(t *testing.T) {
	for name, change := range map[string]func(*orders, *plan.Writes){
		"not found":     func(o *orders, _ *plan.Writes) { o.gone = 404 },
		"gone":          func(o *orders, _ *plan.Writes) { o.gone = 410 },
		"not to undo":   func(_ *orders, w *plan.Writes) { w.Compensate = map[string]string{"POST /orders": plan.NoUndo} },
		"never written": func(o *orders, _ *plan.Writes) { o.takesNone = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				candidate, baseline := newOrders(5), newOrders(5)
				s := staged{test: shadowTest(), tape: tape{exchanges: shopping()[:1]}, candidate: candidate, baseline: baseline, tenant: canaryTenant()}
				s.test.Writes = tenantWrites()
				change(candidate, s.test.Writes)
				change(baseline, s.test.Writes)
				for _, w := range happened(s.run(t, t.Context()), measure.EventWarning) {
					require.NotContains(t, w.Attrs["detail"], "may")
				}
				for _, r := range candidate.seen {
					require.Contains(t, []string{"POST", "DELETE", "GET"}, r.method)
				}
			})
		})
	}
}

// TestWarnsOfWhatStays wants what could not be undone to be told.
func TestWarnsOfWhatStays(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*orders)
		writes func(*plan.Writes)
		want   string
	}{
		"refused":     {func(o *orders) { o.refuses = true }, func(*plan.Writes) {}, "what POST /orders made on the candidate may still be there: DELETE /orders/6: it was answered 403"},
		"still there": {func(o *orders) { o.stays = true }, func(*plan.Writes) {}, "what POST /orders made on the candidate may still be there: DELETE /orders/6: it was deleted, and is still answered 200"},
		"not seen":    {func(o *orders) { o.unseen = 500 }, func(*plan.Writes) {}, "what POST /orders made on the candidate may still be there: DELETE /orders/6: it was deleted, and whether it is gone could not be seen: it was answered 500"},
		"busy":        {func(o *orders) { o.busy = 100 }, func(*plan.Writes) {}, "what POST /orders made on the candidate may still be there: DELETE /orders/6: it was answered 429"},
		"no answer":   {func(o *orders) { o.loses = true }, func(*plan.Writes) {}, "1 writes may have made something that can not be undone: their answers do not say what"},
		"not named":   {func(*orders) {}, func(w *plan.Writes) { w.Compensate = map[string]string{"POST /orders": "DELETE /orders/{number}"} }, "2 writes may have made something that can not be undone: their answers do not say what"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				candidate := newOrders(5)
				c.change(candidate)
				s := staged{test: shadowTest(), tape: tape{exchanges: shopping()[:1]}, candidate: candidate, baseline: newOrders(5), tenant: canaryTenant()}
				s.test.Writes = tenantWrites()
				c.writes(s.test.Writes)
				all, err := s.ran(t, t.Context())
				warnings := happened(all, measure.EventWarning)
				require.Len(t, warnings, 1)
				require.Equal(t, c.want, warnings[0].Attrs["detail"])
				left := new(LeftError)
				require.ErrorAs(t, err, &left)
				require.Positive(t, left.Writes)
				require.ErrorContains(t, err, c.want)
				require.Len(t, happened(all, measure.EventTestEnd), 2, "the test came to its end, on both arms")
			})
		})
	}
}

// TestUndoesWhatIsRefusedForNow wants a limit of requests to leave nothing behind.
func TestUndoesWhatIsRefusedForNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		candidate := newOrders(5)
		candidate.busy = 3
		s := staged{test: shadowTest(), tape: tape{exchanges: shopping()[:1]}, candidate: candidate, baseline: newOrders(5), tenant: canaryTenant()}
		s.test.Writes = tenantWrites()
		all := s.run(t, t.Context())
		require.Empty(t, happened(all, measure.EventWarning))
		require.Empty(t, candidate.there)
	})
}

// TestWarnsOfMuchThatStays wants a few to be named, and all to be counted.
func TestWarnsOfMuchThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var exchanges []Exchange
		for i := range undoTold + 2 {
			exchanges = append(exchanges, recordedWrite(time.Duration(i)*time.Second, "", "POST", "/orders", "{}", `{"id":17}`))
		}
		candidate := newOrders(0)
		candidate.refuses = true
		s := staged{test: shadowTest(), tape: tape{exchanges: exchanges}, candidate: candidate, baseline: newOrders(0), tenant: canaryTenant()}
		s.test.Writes = tenantWrites()
		warnings := happened(s.run(t, t.Context()), measure.EventWarning)
		require.Len(t, warnings, undoTold+1)
		require.Equal(t, fmt.Sprintf("%d of %d writes could not be undone", undoTold+2, 2*(undoTold+2)), warnings[undoTold].Attrs["detail"])
	})
}

// TestKeepsWhatTheTenantMade wants nothing to be undone but what the tenant made: what
// a named route answers may be a user's.
func TestKeepsWhatTheTenantMade(t *testing.T) {
	for rung, want := range map[rung]int{rungSafe: 0, rungNamed: 0, rungTenant: 1} {
		l := &ladder{writes: *tenantWrites()}
		e := recordedWrite(0, "a", "POST", "/orders", "{}", "{}")
		l.keep(&job{Exchange: e, rung: rung, answers: []answer{{Response: Response{Status: 201, Body: jsonBody(`{"id":7}`)}}}})
		require.Len(t, l.made, want)
	}
}

// TestWithholdsHalfABody wants a request that was not recorded whole not to be sent.
func TestWithholdsHalfABody(t *testing.T) {
	e := recordedWrite(0, "", "POST", "/search", `{"q"`, "{}")
	e.Request.Body.Cut = true
	l, err := newLadder(&plan.Writes{Routes: plan.Names{"POST /search"}}, nil)
	require.NoError(t, err)
	_, ok := l.allows(e)
	require.False(t, ok)
	require.Equal(t, "its body was not recorded whole", l.withheld()[0].reason)
	e.Request.Body.Cut, e.Request.Body.Damage = false, "it ends too early"
	_, ok = l.allows(e)
	require.False(t, ok)
	e.Request.Body.Damage = ""
	_, ok = l.allows(e)
	require.True(t, ok)
}

// TestUndoesOnlyWhatHasAName wants nothing but the order that was made to be
// deleted, whatever a target says that its id is.
func TestUndoesOnlyWhatHasAName(t *testing.T) {
	for _, body := range []string{`{"id":""}`, `{"id":"."}`, `{"id":".."}`, `{"id":"%2e%2e"}`, `{"id":"a/b"}`, `{"id":"a\\b"}`, `{"id":"a;b"}`, `{"id":"a\nb"}`, `{"id":"a?b"}`, `{"id":null}`, `{}`, `[]`, ``} {
		got, ok := undoOf("DELETE /orders/{id}", Response{Status: 201, Body: jsonBody(body)})
		require.False(t, ok, "%s: %s", body, got)
	}
	got, ok := undoOf("DELETE /orders/{id}", Response{Status: 201, Body: jsonBody(`{"id":"ord.1_2-3~4:5"}`)})
	require.True(t, ok)
	require.Equal(t, "DELETE /orders/ord.1_2-3~4:5", got)
	for _, status := range []int{0, 400, 409, 500} {
		_, ok = undoOf("DELETE /orders/{id}", Response{Status: status, Body: jsonBody(`{"id":"a"}`)})
		require.False(t, ok, "%d: nothing was made", status)
	}
	there := Response{Status: 201, Header: http.Header{"Location": {"https://shop/orders/o-7?a=b"}}}
	got, ok = undoOf("DELETE /orders/{id}", there)
	require.True(t, ok)
	require.Equal(t, "DELETE /orders/o-7", got)
	_, ok = undoOf("DELETE /orders/{number}", there)
	require.False(t, ok)
}

// TestLadderRungs wants each request on its rung, and no route to stand for another.
func TestLadderRungs(t *testing.T) {
	deleting := http.Header{"X-Http-Method-Override": {"DELETE"}}
	for name, c := range map[string]struct {
		method, route string
		header        http.Header
		want          rung
		withheld      bool
	}{
		"safe":                  {"GET", "GET /orders", nil, rungSafe, false},
		"a named route":         {"POST", "POST /search", nil, rungNamed, false},
		"another method":        {"PUT", "PUT /search", nil, 0, true},
		"a route below":         {"POST", "POST /search/all", nil, 0, true},
		"a route that begins":   {"POST", "POST /searches", nil, 0, true},
		"overridden, safe":      {"GET", "GET /orders", deleting, 0, true},
		"overridden, and named": {"POST", "POST /search", deleting, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := newLadder(&plan.Writes{Routes: plan.Names{"POST /search"}}, nil)
			require.NoError(t, err)
			_, path, _ := strings.Cut(c.route, " ")
			got, ok := l.allows(Exchange{Route: c.route, Request: Request{Method: c.method, Target: path, Header: c.header}})
			require.Equal(t, !c.withheld, ok)
			require.Equal(t, c.want, got)
		})
	}
	_, err := newLadder(tenantWrites(), nil)
	require.EqualError(t, err, `writes: there is no tenant "canary-1"`, "or it would be the user who writes")
	l, err := newLadder(tenantWrites(), []plan.Identity{*canaryTenant()})
	require.NoError(t, err)
	write := Exchange{Route: "POST /orders", Request: Request{Method: "POST", Target: "/orders"}}
	got, ok := l.allows(write)
	require.True(t, ok)
	require.Equal(t, rungTenant, got)
	l.made = make([]made, undoMost)
	_, ok = l.allows(write)
	require.False(t, ok, "what could not be undone is not made")
}

// What has no end, and what is no path, is withheld, and fails nobody.
func TestStreamsAreWithheld(t *testing.T) {
	l, err := newLadder(&plan.Writes{Routes: plan.Names{"POST /call"}}, nil)
	require.NoError(t, err)
	exchange := func(request, response http.Header) Exchange {
		return Exchange{Request: Request{Method: "GET", Target: "/call", Header: request}, Response: Response{Status: 200, Header: response}}
	}
	call := exchange(http.Header{"Content-Type": {"application/grpc+proto"}}, nil)
	call.Request.Method, call.Route = "POST", "POST /call"
	web := exchange(http.Header{"Content-Type": {"application/grpc-web+proto"}}, nil)
	web.Request.Method, web.Route = "POST", "POST /call"
	_, ok := l.allows(web)
	require.True(t, ok, "which has an end")
	switched := exchange(nil, nil)
	switched.Response.Status = 101
	star := exchange(nil, nil)
	star.Request.Method, star.Request.Target = "OPTIONS", "*"
	for want, all := range map[string][]Exchange{
		"it is a stream, or changes protocols": {
			call, switched, exchange(http.Header{"Upgrade": {"websocket"}}, nil), exchange(http.Header{"Accept": {"text/event-stream"}}, nil),
			exchange(nil, http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}),
		},
		"its target is no path": {star},
	} {
		for _, e := range all {
			_, ok := l.allows(e)
			require.False(t, ok)
		}
		require.Contains(t, l.withheld(), withheldCount{withheldKey{all[0].Route, want}, 1})
	}
	_, ok = l.allows(exchange(http.Header{"Accept": {"text/html"}, "Upgrade-Insecure-Requests": {"1"}}, nil))
	require.True(t, ok)
}

// An access log does not tell event streams: the answer does, and is not waited for.
func TestEventStreamsAreNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		endless := roundTripper(func(*http.Request) (*http.Response, error) {
			body, _ := io.Pipe()
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: body, ContentLength: -1}, nil
		})
		s := staged{test: shadowTest(), tape: tape{exchanges: []Exchange{recordedGet(0, "a", "/events")}}, candidate: endless, baseline: endless}
		began := time.Now()
		all := s.run(t, t.Context())
		require.Zero(t, replaySummed(all, measure.MetricRequest)[measure.Candidate].Failed)
		require.Empty(t, happened(all, measure.EventDifference))
		require.Less(t, time.Since(began), 2*time.Second)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
