package disrupt

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"resilience/internal/plan"
)

// match tells which requests a fault may touch. What is empty matches all.
type match struct {
	path    route
	grpc    route
	method  string
	header  http.Header // canonical names
	tenant  string
	exclude []route // of paths, and of methods of gRPC, which are paths too
}

// route is a path, decoded, as the client sent it to the proxy.
type route struct {
	path   string
	prefix bool // path is only the beginning
}

func readMatch(m *plan.Match) (match, error) {
	if m == nil {
		return match{}, nil
	}
	out := match{method: strings.ToUpper(m.Method), header: http.Header{}, tenant: m.Tenant}
	out.path.path, out.path.prefix = strings.CutSuffix(m.Path, "*")
	switch {
	case strings.Contains(out.path.path, "*"):
		return match{}, fmt.Errorf("match: path %q has a * before its end: only a prefix can be matched", m.Path)
	case out.path.path != "" && !strings.HasPrefix(out.path.path, "/"):
		return match{}, fmt.Errorf("match: path %q does not begin with /", m.Path)
	case m.GRPC != "" && !plan.ValidMethod(m.GRPC):
		return match{}, fmt.Errorf("match: grpc %q is not of the form shop.Payments/Charge or shop.Payments/*", m.GRPC)
	case m.GRPC != "":
		out.grpc.path, out.grpc.prefix = strings.CutSuffix("/"+m.GRPC, "*")
	}
	for name, value := range m.Header {
		out.header.Add(name, value)
	}
	for _, name := range m.Exclude {
		out.exclude = append(out.exclude, readExcluded(name))
	}
	return out, nil
}

// readExcluded reads a path, or a service or method of gRPC.
func readExcluded(name string) route {
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
		if strings.Count(name, "/") == 1 {
			name += "/*" // a service: all of its methods
		}
	}
	path, prefix := strings.CutSuffix(name, "*")
	return route{path, prefix}
}

// all tells whether every request matches.
func (m match) all() bool {
	return (m.path.path == "" || m.path == route{"/", true}) && m.grpc.path == "" && m.method == "" && len(m.header) == 0 && m.tenant == "" && len(m.exclude) == 0
}

func (m match) matches(r *http.Request) bool {
	return (m.method == "" || m.method == r.Method) && m.path.matches(r.URL.Path) &&
		(m.grpc.path == "" || m.grpc.matches(r.URL.Path) && isGRPC(r.Header)) &&
		m.matchesHeader(r) && (m.tenant == "" || isTenant(r.Header, m.tenant)) &&
		!slices.ContainsFunc(m.exclude, func(t route) bool { return t.matches(r.URL.Path) })
}

func (t route) matches(path string) bool {
	if t.prefix || t.path == "" {
		return strings.HasPrefix(path, t.path)
	}
	return path == t.path
}

// matchesHeader is true when each named header has the value among its own.
func (m match) matchesHeader(r *http.Request) bool {
	for name, want := range m.header {
		have := r.Header[name]
		if name == "Host" { // net/http keeps it elsewhere
			have = []string{r.Host}
		}
		for _, value := range want {
			if !slices.Contains(have, value) {
				return false
			}
		}
	}
	return true
}

// isTenant tells whether a request is marked as a tenant's: by a header of its
// own, or by a member of the W3C's baggage, which travels on.
func isTenant(h http.Header, tenant string) bool {
	if slices.Contains(h["X-Resilience-Tenant"], tenant) {
		return true
	}
	for _, list := range h["Baggage"] {
		for member := range strings.SplitSeq(list, ",") {
			member, _, _ = strings.Cut(member, ";") // properties
			key, value, _ := strings.Cut(member, "=")
			if strings.TrimSpace(key) != "resilience.tenant" {
				continue
			}
			if name, err := url.PathUnescape(strings.TrimSpace(value)); err == nil && name == tenant {
				return true
			}
		}
	}
	return false
}
