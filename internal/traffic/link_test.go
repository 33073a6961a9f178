package traffic

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// TestLink sends with the headers and credentials of the target, follows no
// redirect, and reaches no other host.
func TestLink(t *testing.T) {
	var seen http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer server.Close()
	target := plan.Target{URL: server.URL, Headers: map[string]string{"X-Team": "a"}, Auth: &plan.Auth{Header: &plan.AuthHeader{Name: "Authorization", Value: "Bearer t"}}}
	link, err := NewLink(target, []string{strings.TrimPrefix(server.URL, "http://")}, "", 4)
	require.NoError(t, err)
	defer link.Close()
	require.NoError(t, link.Ready(t.Context()))
	req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/", http.NoBody)
	require.NoError(t, err)
	resp, err := link.RoundTrip(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusFound, resp.StatusCode)
	require.Equal(t, []string{"a", "Bearer t"}, []string{seen.Get("X-Team"), seen.Get("Authorization")})

	req, err = http.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:1/", http.NoBody)
	require.NoError(t, err)
	_, err = link.RoundTrip(req)
	require.Equal(t, "guard", Status(err))

	_, err = NewLink(plan.Target{URL: "ftp://x"}, nil, "", 1)
	require.ErrorContains(t, err, "want http://HOST or https://HOST")
}
