package shadow

import (
	"fmt"
	"net/url"
	"strings"
)

// maxSegments is how many parts of a path a route has; what follows is "...".
const maxSegments = 16

// Routes tells what requests have in common, so that they can be counted and
// compared together. The zero value knows no templates.
type Routes struct {
	templates []routeTemplate
}

// routeTemplate is a route that was declared.
type routeTemplate struct {
	method   string // "" is any
	path     string
	segments []string
	rest     bool // the last part stands for all that follow
}

// NewRoutes takes templates such as "/orders/{id}", "GET /orders/{id}/items" and
// "/files/{path...}", whose last part stands for any number of parts. Of those that
// fit a request, the first one wins.
func NewRoutes(templates []string) (*Routes, error) {
	r := &Routes{}
	for _, text := range templates {
		t, err := readTemplate(text)
		if err != nil {
			return nil, fmt.Errorf("route %q: %w", text, err)
		}
		r.templates = append(r.templates, t)
	}
	return r, nil
}

func readTemplate(text string) (t routeTemplate, err error) {
	method, path, found := strings.Cut(text, " ")
	if !found {
		method, path = "", text
	}
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " ?#") || len(text) > maxRoute {
		return t, fmt.Errorf(`write "/path/{id}" or "METHOD /path/{id}", with no query and at most %d bytes`, maxRoute)
	}
	t = routeTemplate{method: method, path: path, segments: strings.Split(path[1:], "/")}
	for i, s := range t.segments {
		switch {
		case !strings.ContainsAny(s, "{}"):
		case !isPlaceholder(s) || strings.ContainsAny(s[1:len(s)-1], "{}"):
			return t, fmt.Errorf("%q must be all of a part: {id}", s)
		case strings.HasSuffix(s, "...}"):
			if t.rest = i == len(t.segments)-1; !t.rest {
				return t, fmt.Errorf("%s must be the last part", s)
			}
		}
	}
	return t, nil
}

func isPlaceholder(s string) bool {
	return len(s) > 2 && s[0] == '{' && s[len(s)-1] == '}'
}

func (t routeTemplate) fits(method string, segments []string) bool {
	if t.method != "" && t.method != method || len(segments) < len(t.segments) || len(segments) > len(t.segments) && !t.rest {
		return false
	}
	for i, s := range t.segments {
		if s != segments[i] && !isPlaceholder(s) {
			return false
		}
	}
	return true
}

// RouteOf gives the route of a request: its method, and its path as the first
// template that fits has it, or else with {id} in place of every part that looks
// like the name of one thing: a number, a UUID, hexadecimal, a date, a long mixture
// of letters and digits. The query is no part of it, nor are parameters within the
// path (";jsessionid=...").
func (r *Routes) RouteOf(method, target string) string {
	path := pathOf(target)
	if method == "" {
		method = "-"
	}
	if path == "" || path[0] != '/' { // OPTIONS *, CONNECT host:443
		return shortened(method+" "+path, maxRoute)
	}
	segments := segmentsOf(path)
	for _, t := range r.templates {
		if t.fits(method, segments) {
			return shortened(method+" "+t.path, maxRoute)
		}
	}
	var b strings.Builder
	b.WriteString(method + " ")
	for i, s := range segments {
		if i == maxSegments {
			b.WriteString("/...")
			break
		}
		if isID(s) {
			s = "{id}"
		}
		b.WriteString("/" + s)
	}
	return shortened(b.String(), maxRoute)
}

// segmentsOf are the parts of a path, without parameters.
func segmentsOf(path string) []string {
	segments := strings.Split(path[1:], "/")
	for i, s := range segments {
		segments[i] = s[:before(s, ";")]
	}
	return segments
}

// pathOf is the path of a target, which may be a whole URL.
func pathOf(target string) string {
	if end := strings.IndexAny(target, "?#"); end >= 0 {
		target = target[:end]
	}
	if _, after, absolute := strings.Cut(target, "://"); absolute && !strings.HasPrefix(target, "/") {
		if slash := strings.IndexByte(after, '/'); slash >= 0 {
			return after[slash:]
		}
		return "/"
	}
	return target
}

// isID reports whether a part of a path looks like the name of one thing, and not
// of a kind of things.
func isID(s string) bool {
	if strings.Contains(s, "%") {
		if plain, err := url.PathUnescape(s); err == nil {
			s = plain
		}
	}
	if len(s) > 64 || strings.Contains(s, "@") || strings.HasPrefix(s, pseudonymMark) {
		return true
	}
	digits, letters, hexes, marks := 0, 0, 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
			hexes++
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			letters++
			hexes++
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letters++
		case c == '-' || c == '_' || c == '.' || c == ':' || c == '+' || c == '~' || c == ',':
			marks++
		default:
			return false
		}
	}
	switch {
	case digits == 0:
		return false
	case letters == 0: // numbers, dates, times, addresses
		return true
	case hexes+marks == len(s) && len(s) >= 8: // UUIDs, digests, object ids
		return true
	case len(s) >= 16 && marks == 0: // ULIDs and the like
		return true
	}
	word := strings.TrimRight(s, "0123456789")
	return strings.HasSuffix(word, "-") && marks == 1 || strings.HasSuffix(word, "_") && marks == 1 // order-17
}
