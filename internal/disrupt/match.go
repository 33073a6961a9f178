package disrupt

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"resilience/internal/plan"
)

// match tells which requests a fault may touch. What is empty matches all.
type match struct {
	path   string // decoded, as the client sent it to the proxy
	prefix bool   // path is only the beginning
	method string
	header http.Header // canonical names
}

func readMatch(m *plan.Match) (match, error) {
	if m == nil {
		return match{}, nil
	}
	path, prefix := strings.CutSuffix(m.Path, "*")
	switch {
	case strings.Contains(path, "*"):
		return match{}, fmt.Errorf("match: path %q has a * before its end: only a prefix can be matched", m.Path)
	case path != "" && !strings.HasPrefix(path, "/"):
		return match{}, fmt.Errorf("match: path %q does not begin with /", m.Path)
	}
	out := match{path: path, prefix: prefix, method: strings.ToUpper(m.Method), header: http.Header{}}
	for name, value := range m.Header {
		out.header.Add(name, value)
	}
	return out, nil
}

func (m match) matches(r *http.Request) bool {
	return (m.method == "" || m.method == r.Method) && m.matchesPath(r.URL.Path) && m.matchesHeader(r)
}

func (m match) matchesPath(path string) bool {
	if m.prefix || m.path == "" {
		return strings.HasPrefix(path, m.path)
	}
	return path == m.path
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
