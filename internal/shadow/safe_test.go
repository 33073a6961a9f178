package shadow

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// sneaking are requests that may change data though their method, or the plan, says that
// they do not, and some that only look so.
var sneaking = []struct {
	name, method, target, header, value, body string
	sent                                      bool
}{
	{name: "a GET", method: "GET", target: "/search", sent: true},
	{name: "a named POST", method: "POST", target: "/search", sent: true},
	{name: "another method", method: "PUT", target: "/search"},
	{name: "a header that changes nothing", method: "GET", target: "/search", header: "X-HTTP-Method-Override", value: "head", sent: true},
	{name: "a header for a GET", method: "GET", target: "/search", header: "X-HTTP-Method-Override", value: "DELETE"},
	{name: "a header with _", method: "GET", target: "/search", header: "X_HTTP_METHOD_OVERRIDE", value: "DELETE"},
	{name: "a header for a POST", method: "POST", target: "/search", header: "X-HTTP-Method", value: " patch"},
	{name: "a header for a HEAD", method: "HEAD", target: "/search", header: "X-Method-Override", value: "Put"},
	{name: "a parameter", method: "GET", target: "/search?q=1&_method=DELETE"},
	{name: "an escaped parameter", method: "GET", target: "/search?%5Fmethod=DE%4CETE"},
	{name: "a parameter with the name of a header", method: "GET", target: "/search?x-http-method-override=put"},
	{name: "a parameter that changes nothing", method: "GET", target: "/search?_method=get&method=post", sent: true},
	{name: "a field of a form", method: "POST", target: "/search", header: "Content-Type", value: "application/x-www-form-urlencoded", body: "q=1&_method=delete"},
	{name: "a part of a form", method: "POST", target: "/search", header: "Content-Type", value: "multipart/form-data; boundary=b", body: "--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nPUT\r\n--b--\r\n"},
	{name: "a form", method: "POST", target: "/search", header: "Content-Type", value: "application/x-www-form-urlencoded", body: "q=_method", sent: true},
	{name: "a field of JSON", method: "POST", target: "/search", body: `{"q":1,"_method":"PUT"}`},
	{name: "an escaped field of JSON", method: "POST", target: "/search", body: `{"_method":"get","\u005fmethod":"PUT"}`},
	{name: "a query of GraphQL", method: "POST", target: "/search", body: `{"query":"query mutation($mutation: Int) { mutation { id } } # mutation {"}`, sent: true},
	{name: "a mutation in an argument", method: "POST", target: "/search", body: `{"query":"{ note(text: \"} mutation { a }\", more: \"\"\"\\\"\"\" } mutation { \"\"\") { id } }"}`, sent: true},
	{name: "a search for mutations", method: "GET", target: "/search?query=mutation+of+genes", sent: true},
	{name: "a mutation", method: "POST", target: "/search", body: `{"query":"mutation { buy(id: 1) { id } }"}`},
	{name: "a mutation among others", method: "POST", target: "/search", body: `[{"query":"{ a }"},{"query":"query A { a } # }\nmutation\nB($a: [Int] = [1]) { buy }"}]`},
	{name: "a mutation behind three quotes", method: "POST", target: "/search", body: `{"query":"{ a(b: \"\"\"\\\\\"\"\" \"\"\") } mutation { buy }"}`},
	{name: "a mutation of a name that is there twice", method: "POST", target: "/search", body: `{"query":"mutation { buy }","query":"{ a }"}`},
	{name: "a mutation as a GET", method: "GET", target: "/search?query=mutation%20%7B+buy+%7D"},
	{name: "a mutation as such", method: "POST", target: "/search", header: "Content-Type", value: "application/graphql", body: "mutation { buy }"},
	{name: "a mutation with files", method: "POST", target: "/search", header: "Content-Type", value: "multipart/form-data; boundary=b", body: "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"mutation { up }\"}\r\n--b--\r\n"},
}

// TestNothingMakesAWriteOfWhatIsSent: neither a header nor a field by which a framework
// takes a GET for a DELETE gets a write past the ladder, nor does a mutation.
func TestNothingMakesAWriteOfWhatIsSent(t *testing.T) {
	l, err := newLadder(&plan.Writes{Routes: plan.Names{"POST /search"}}, nil)
	require.NoError(t, err)
	for _, c := range sneaking {
		e := Exchange{Route: c.method + " /search", Request: Request{Method: c.method, Target: c.target, Header: http.Header{}, Body: jsonBody(c.body)}}
		if c.header != "" {
			e.Request.Header.Set(c.header, c.value)
		}
		_, sent := l.allows(e)
		require.Equal(t, c.sent, sent, c.name)
	}
}

// TestNothingMakesAWriteOfWhatIsMirrored: nor past a mirror.
func TestNothingMakesAWriteOfWhatIsMirrored(t *testing.T) {
	var mu sync.Mutex
	copied := map[string]bool{}
	candidate := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		copied[r.Header.Get("X-Case")] = true
	}))
	defer candidate.Close()
	primary := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer primary.Close()
	routes, err := NewRoutes(nil)
	require.NoError(t, err)
	m, err := NewMirror(t.Context(), MirrorOptions{
		Candidate: candidate.URL, Primary: primary.URL, Allow: []string{"POST /search"}, Route: routes.RouteOf, Compare: func(Answers) bool { return false }, Timeout: patient,
	})
	require.NoError(t, err)
	want, withheld := map[string]bool{}, uint64(0)
	for _, c := range sneaking {
		r, err := http.NewRequestWithContext(t.Context(), c.method, m.URL()+c.target, strings.NewReader(c.body))
		require.NoError(t, err)
		if c.header != "" {
			r.Header[c.header] = []string{c.value}
		}
		r.Header.Set("X-Case", c.name)
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, resp.Body)
		require.NoError(t, resp.Body.Close())
		if want[c.name] = true; !c.sent {
			delete(want, c.name)
			withheld++
		}
	}
	m.Close(t.Context())
	require.Equal(t, want, copied)
	require.Equal(t, withheld, m.Counts().Withheld)
}

// TestARecordingDoesNotSayWhatIsSafe: whoever wrote it, a header counts however its name is
// written, and a route is only named if the request is of it.
func TestARecordingDoesNotSayWhatIsSafe(t *testing.T) {
	lower := Exchange{At: taped, Route: "GET /a", Request: Request{Method: "GET", Target: "/a", Header: http.Header{"x-http-method-override": {"DELETE"}, "X-Http-Method-Override": {"GET"}}}}
	routed := Exchange{At: taped, Route: "POST /search", Request: Request{Method: "DELETE", Target: "/orders/1"}}
	elsewhere := Exchange{At: taped, Route: "POST /search", Request: Request{Method: "POST", Target: "/orders"}}
	named := Exchange{At: taped, Route: "POST /search", Request: Request{Method: "POST", Target: "/search;v=1?q=a"}}
	r := openRecording(t, record(t, lower, routed, elsewhere, named))
	l, err := newLadder(&plan.Writes{Routes: plan.Names{"POST /search"}}, nil)
	require.NoError(t, err)
	var sent []string
	for range 4 {
		e, err := r.Next()
		require.NoError(t, err)
		if _, ok := l.allows(e); ok {
			sent = append(sent, e.Request.Method+" "+e.Request.Target)
		}
	}
	require.Equal(t, []string{"POST /search;v=1?q=a"}, sent)
}

// TestATenantMayMutate: on the last rung what a route changes is asked for, and for the
// tenant alone.
func TestATenantMayMutate(t *testing.T) {
	l, err := newLadder(&plan.Writes{Routes: plan.Names{"POST /graphql"}, Tenant: "acme", Compensate: map[string]string{"POST /graphql": plan.NoUndo}}, []plan.Identity{{}})
	require.NoError(t, err)
	mutation := `{"query":"mutation { buy(id: 1) { id } }"}`
	e := recordedWrite(0, "a", "POST", "/graphql", mutation, "{}")
	is, sent := l.allows(e)
	require.True(t, sent)
	require.Equal(t, rungTenant, is)
	e.Request.Header.Set("X-User-Id", "42")
	_, sent = l.allows(e)
	require.False(t, sent, "it would be the user's")
	l.tenant.Headers = map[string]string{"x-user-id": "7"}
	_, sent = l.allows(e)
	require.True(t, sent, "the tenant has its own")
	e = recordedGet(0, "a", "/graphql?query=mutation{buy}")
	_, sent = l.allows(e)
	require.False(t, sent, "a GET is never undone")
}
