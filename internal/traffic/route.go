package traffic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"resilience/internal/plan"
)

// route is one request of a test, ready to be filled with data and sent.
type route struct {
	name    string
	method  string
	base    string // the target's URL without a trailing slash
	path    template
	headers map[string]template
	body    template
	expect  *plan.Expectation
	weight  uint64
}

func newRoute(r plan.Request, target string) (*route, error) {
	path, err := parsePath(r.Path)
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	made := &route{
		name: r.Name, method: r.Method, base: strings.TrimRight(target, "/"),
		path: path, weight: uint64(r.Weight),
	}
	if made.headers, err = headerTemplates(r.Headers); err != nil {
		return nil, err
	}
	if err := made.setBody(r); err != nil {
		return nil, err
	}
	if r.Expect != nil {
		if made.expect, err = r.Expect.Compile(); err != nil {
			return nil, err
		}
	}
	return made, made.try()
}

func headerTemplates(headers map[string]string) (map[string]template, error) {
	made := make(map[string]template, len(headers))
	for name, value := range headers {
		t, err := parseTemplate(value, headerText)
		if err != nil {
			return nil, fmt.Errorf("headers: %s: %w", name, err)
		}
		made[http.CanonicalHeaderKey(name)] = t
	}
	return made, nil
}

// setBody takes body or json; json brings its content type along.
func (r *route) setBody(q plan.Request) (err error) {
	if q.JSON == nil {
		r.body, err = parseTemplate(q.Body, plain)
		return err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(q.JSON); err != nil {
		return fmt.Errorf("json: %w", err)
	}
	if _, given := r.headers["Content-Type"]; !given {
		r.headers["Content-Type"] = template{{text: "application/json"}}
	}
	r.body, err = parseTemplate(strings.TrimSuffix(text.String(), "\n"), inJSON)
	return err
}

// try makes the request once with no data, to find what can never be sent.
func (r *route) try() error {
	raw := r.url(nil)
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return fmt.Errorf("path: %w", err)
	case strings.Contains(raw, "#"):
		return errors.New("path: a fragment (#) is never sent; leave it out")
	case u.Host == "":
		return fmt.Errorf("target URL %q has no host", redactURL(r.base))
	}
	if _, err := http.NewRequest(r.method, raw, nil); err != nil {
		return err
	}
	return nil
}

func (r *route) columns() []string {
	names := slices.Concat(r.path.columns(), r.body.columns())
	for _, t := range r.headers {
		names = append(names, t.columns()...)
	}
	return names
}

func (r *route) url(row map[string]string) string { return r.base + r.path.fill(row) }

// fill makes vegeta's target for a row. The fragment of its URL, which is
// never sent, carries what the attempt is known by.
func (r *route) fill(t *vegeta.Target, row map[string]string, fragment string) {
	t.Method, t.URL = r.method, r.url(row)+"#"+fragment
	t.Body = []byte(r.body.fill(row))
	t.Header = make(http.Header, len(r.headers))
	for name, value := range r.headers {
		t.Header[name] = []string{value.fill(row)}
	}
}

// mix chooses among routes by weight.
type mix struct {
	routes []*route
	total  uint64
	seed   uint64
}

func newMix(requests []plan.Request, target string, seed int64) (*mix, error) {
	if len(requests) == 0 {
		return nil, errors.New("there are no requests")
	}
	m := &mix{seed: uint64(seed)}
	for i, q := range requests {
		r, err := newRoute(q, target)
		if err != nil {
			return nil, fmt.Errorf("request %d: %w", i+1, err)
		}
		m.routes = append(m.routes, r)
		m.total += r.weight
	}
	return m, nil
}

// pick gives the route of an arrival: the same one for the same seed and
// number, however fast the target answers.
func (m *mix) pick(seq uint64) *route {
	n := splitmix(m.seed^splitmix(seq)) % m.total
	for _, r := range m.routes {
		if n < r.weight {
			return r
		}
		n -= r.weight
	}
	return m.routes[0] // not reached: weights add up to total
}

// splitmix is the mixing step of SplitMix64 (Steele, Lea and Flood 2014).
func splitmix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// columns that any of the routes needs.
func (m *mix) columns() []string {
	var names []string
	for _, r := range m.routes {
		names = append(names, r.columns()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// maxBody is how much of an answer any of the routes needs to see, in bytes.
func (m *mix) maxBody() int64 {
	for _, r := range m.routes {
		if r.expect != nil {
			return plan.MaxBody
		}
	}
	return 0
}
