package shadow

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRouteOf(t *testing.T) {
	routes, err := NewRoutes([]string{"GET /users/{name}", "/files/{path...}", "/orders/new"})
	require.NoError(t, err)
	for target, want := range map[string]string{
		"/":                        "GET /",
		"/orders/17?page=2":        "GET /orders/{id}",
		"/orders/17/":              "GET /orders/{id}/",
		"/orders/new":              "GET /orders/new",
		"/users/anna":              "GET /users/{name}",
		"/users/anna/cart":         "GET /users/anna/cart",
		"/files/a/b/c.txt":         "GET /files/{path...}",
		"http://shop:80/orders/3":  "GET /orders/{id}",
		"http://shop":              "GET /",
		"/go?to=http://other/1":    "GET /go",
		"/api/v2/items":            "GET /api/v2/items",
		"/web/2026-01-02/10.0.0.1": "GET /web/{id}/{id}",
		"/o/3f2a9c1e-12de-4f00-8a6b-0123456789ab": "GET /o/{id}",
		"/o/507f1f77bcf86cd799439011":             "GET /o/{id}",
		"/o/01ARZ3NDEKTSV4RRFFQ69G5FAV":           "GET /o/{id}",
		"/o/order-17":                             "GET /o/{id}",
		"/o/utf-8":                                "GET /o/{id}", // the price of order-17
		"/o/deadbeef":                             "GET /o/deadbeef",
		"/o/anna@example.com":                     "GET /o/{id}",
		"/o/%31%32":                               "GET /o/{id}",
		"/o/" + pseudonymMark + "abc":             "GET /o/{id}",
		"/app.3f2a9c1e.js":                        "GET /app.3f2a9c1e.js",
		"/a/b;jsessionid=x/c;v":                   "GET /a/b/c",
		"*":                                       "GET *",
		"":                                        "GET ",
		strings.Repeat("/a", 20):                  "GET " + strings.Repeat("/a", 16) + "/...",
	} {
		require.Equal(t, want, routes.RouteOf("GET", target), target)
	}
	require.Equal(t, "POST /users/{id}", routes.RouteOf("POST", "/users/7"), "the template is of another method")
	require.Equal(t, "- /", new(Routes).RouteOf("", "/"))
	require.LessOrEqual(t, len(routes.RouteOf("GET", "/"+strings.Repeat("ab-", 20)+strings.Repeat("/"+strings.Repeat("w", 60), 15))), maxRoute)
}

func TestNewRoutes(t *testing.T) {
	for text, want := range map[string]string{
		"orders/{id}":                       `write "/path/{id}" or "METHOD /path/{id}"`,
		"/orders?id={id}":                   "with no query",
		"GET  /orders":                      "write",
		"/orders/{id}.pdf":                  `"{id}.pdf" must be all of a part`,
		"/a/{b{c}}":                         "must be all of a part",
		"/{path...}/end":                    "{path...} must be the last part",
		"/" + strings.Repeat("x", maxRoute): "at most 512 bytes",
	} {
		_, err := NewRoutes([]string{text})
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, "route ")
	}
}
