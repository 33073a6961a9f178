package shadow

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// A header by which a framework takes a GET for a DELETE, or a named POST for one,
// does not get a write past the ladder, nor past a mirror.
func TestNoHeaderMakesAWriteOfWhatIsSent(t *testing.T) {
	l, err := newLadder(&plan.Writes{Routes: plan.Names{"POST /search"}}, nil)
	require.NoError(t, err)
	m := &Mirror{options: MirrorOptions{Allow: []string{"POST /search"}, Route: func(method, target string) string { return method + " " + target }}}
	for _, c := range []struct {
		method, header, value string
		sent                  bool
	}{
		{method: "GET", sent: true},
		{method: "POST", sent: true},
		{method: "PUT"},
		{method: "GET", header: "X-HTTP-Method-Override", value: "head", sent: true},
		{method: "GET", header: "X-HTTP-Method-Override", value: "DELETE"},
		{method: "POST", header: "X-HTTP-Method", value: " patch"},
		{method: "HEAD", header: "X-Method-Override", value: "Put"},
	} {
		r := httptest.NewRequest(c.method, "/search", http.NoBody)
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		_, sent := l.allows(Exchange{Route: c.method + " /search", Request: Request{Method: c.method, Target: "/search", Header: r.Header}})
		require.Equal(t, c.sent, sent, "%+v", c)
		require.Equal(t, c.sent, m.allowed(r), "%+v", c)
	}
}
