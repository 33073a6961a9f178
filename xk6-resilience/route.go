package xk6resilience

import (
	"net/http"
	"net/url"
	"strings"
)

// route names what a request asks for: its method and the path, with segments
// that look like identifiers replaced by :id, so that a million orders are one
// route.
func route(method string, u *url.URL) string { return method + " " + routePath(u.Path) }

// routeOfName gives the route for k6's name tag, which is the URL unless the
// script chose a name.
func routeOfName(method, name string) string {
	if !strings.Contains(name, "://") {
		return name
	}
	u, err := url.Parse(strings.ReplaceAll(name, "${}", ":id"))
	if err != nil {
		return method + " " + name
	}
	return route(method, u)
}

func routePath(path string) string {
	if path == "" {
		return "/"
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if isIdentifier(s) {
			segments[i] = ":id"
		}
	}
	return strings.Join(segments, "/")
}

// isIdentifier reports whether a path segment was made by a machine: a number,
// a UUID, or something long with several digits in it.
func isIdentifier(s string) bool {
	digits, other := 0, 0
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r == '-' || r == '_' || r == '.':
		default:
			other++
		}
	}
	if digits == 0 {
		return false
	}
	return other == 0 || len(s) >= 16 && digits >= 4
}

// traceID takes the trace id from a W3C traceparent header.
func traceID(h http.Header) string {
	parts := strings.Split(h.Get("Traceparent"), "-")
	if len(parts) < 4 {
		return ""
	}
	return parts[1]
}
