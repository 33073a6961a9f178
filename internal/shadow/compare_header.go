package shadow

import (
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// ignoredHeaders are not compared: those of the connection, and those that tell of
// the moment, the machine or the way rather than of the answer.
var ignoredHeaders = map[string]string{
	"Connection":                    "of the connection",
	"Keep-Alive":                    "of the connection",
	"Proxy-Connection":              "of the connection",
	"Proxy-Authenticate":            "of the connection",
	"Te":                            "of the connection",
	"Trailer":                       "of the connection",
	"Transfer-Encoding":             "of the connection",
	"Upgrade":                       "of the connection",
	"Content-Length":                "the bodies are compared",
	"Date":                          "the moment",
	"Age":                           "the moment",
	"Server":                        "the machine",
	"Server-Timing":                 "the moment",
	"Via":                           "the way",
	"X-Powered-By":                  "the machine",
	"X-Served-By":                   "the machine",
	"X-Runtime":                     "the moment",
	"X-Response-Time":               "the moment",
	"X-Request-Id":                  "of one request",
	"X-Correlation-Id":              "of one request",
	"X-Amzn-Requestid":              "of one request",
	"X-Amzn-Trace-Id":               "of one request",
	"X-Amz-Request-Id":              "of one request",
	"X-Amz-Id-2":                    "of one request",
	"X-Cloud-Trace-Context":         "of one request",
	"X-Trace-Id":                    "of one request",
	"X-B3-Traceid":                  "of one request",
	"Traceparent":                   "of one request",
	"Tracestate":                    "of one request",
	"Cf-Ray":                        "of one request",
	"X-Envoy-Upstream-Service-Time": "the moment",
}

// IgnoredHeaders gives the names of the headers that are not compared unless a rule
// says so, with the reason.
func IgnoredHeaders() map[string]string { return maps.Clone(ignoredHeaders) }

// headerForms say how headers are compared that are more than their text; the
// others are compared as they are.
var headerForms = map[string]func(string) string{
	"Etag":                                presence, // what it is like is the system's own affair
	"Last-Modified":                       presence, // of files it is when they were deployed
	"Set-Cookie":                          cookieForm,
	"Content-Security-Policy":             policyForm,
	"Content-Security-Policy-Report-Only": policyForm,
	"Cache-Control":                       listForm,
	"Vary":                                listForm,
	"Allow":                               listForm,
	"Access-Control-Allow-Methods":        listForm,
	"Access-Control-Allow-Headers":        listForm,
	"Access-Control-Expose-Headers":       listForm,
	"Strict-Transport-Security":           directiveForm,
	"Content-Encoding":                    strings.ToLower,
}

func presence(string) string { return "present" }

// headerTable says which headers are compared.
type headerTable struct{ ignored map[string]bool }

func newHeaderTable(rules HeaderRules) headerTable {
	t := headerTable{ignored: map[string]bool{}}
	for name := range ignoredHeaders {
		t.ignored[name] = true
	}
	for _, name := range rules.Compare {
		delete(t.ignored, http.CanonicalHeaderKey(name))
	}
	for _, name := range rules.Ignore {
		t.ignored[http.CanonicalHeaderKey(name)] = true
	}
	return t
}

// allHeaders compares the headers, in the order of their names.
func (r *comparison) allHeaders(a, b Response) {
	var differing []string
	for name, values := range a.Header {
		if other, ok := b.Header[name]; !ok || !slices.Equal(values, other) {
			differing = append(differing, name)
		}
	}
	for name := range b.Header {
		if _, ok := a.Header[name]; !ok {
			differing = append(differing, name)
		}
	}
	for _, name := range []string{"Content-Encoding"} { // where only the body tells
		if a.Header.Get(name) == "" && b.Header.Get(name) == "" && a.Body.Encoding != b.Body.Encoding {
			differing = append(differing, name)
		}
	}
	slices.Sort(differing)
	for _, name := range differing {
		canonical := http.CanonicalHeaderKey(name)
		if !r.comparer.headers.ignored[canonical] || canonical == "Content-Length" && onlyHeads(a, b) {
			r.at("header ")
			r.place = append(r.place, strings.ToLower(name)...)
			r.headerOf(canonical, a, b)
		}
	}
}

// headless tells answers of which only the status is known, as from an access log:
// that no header is known then does not mean that there was none.
func (c *Comparer) headless(r Response) bool {
	if !r.Body.nothing() {
		return false
	}
	for name := range r.Header {
		if !c.headers.ignored[http.CanonicalHeaderKey(name)] {
			return false
		}
	}
	return true
}

// values gives all values of a header, and whether there are any.
func (r Response) values(name string) (values []string) {
	values = r.Header[name]
	if len(values) == 0 && name == "Content-Encoding" && r.Body.Encoding != "" {
		return []string{r.Body.Encoding}
	}
	return values
}

// onlyHeads reports whether both answers have no body, but say how long it would be, as
// those to HEAD do: nothing else tells of it then. How well it would be packed does not
// matter.
func onlyHeads(a, b Response) bool {
	for _, r := range []Response{a, b} {
		if len(r.Body.Data) > 0 || r.Body.Cut || r.Body.Damage != "" || r.Header.Get("Content-Length") == "" || r.Header.Get("Content-Encoding") != "" || r.Status == http.StatusNotModified {
			return false
		}
	}
	return true
}

// headerOf compares a header that two answers differ in.
func (r *comparison) headerOf(name string, a, b Response) {
	switch {
	case name == "Set-Cookie":
		r.cookies(a.values(name), b.values(name))
	case name == "Cache-Control" && r.directives(a.values(name), b.values(name)):
	case name == "Expires" && r.lifetime(a, b):
	default:
		r.header(name, a.values(name), b.values(name))
	}
}

// cookies compares each cookie for itself: header set-cookie.lang. One that comes and
// goes hides no other that is lost.
func (r *comparison) cookies(a, b []string) {
	these, those := cookieForms(a), cookieForms(b)
	names := slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, all := range []map[string][]string{these, those} {
			for name := range all {
				if !yield(name) {
					return
				}
			}
		}
	}))
	for _, name := range names {
		r.member([]byte(name), false, func() { r.header("", these[name], those[name]) })
	}
}

// cookieForms gives the cookies by their names.
func cookieForms(values []string) map[string][]string {
	all := map[string][]string{}
	for _, value := range values {
		form := cookieForm(value)
		name, _, _ := strings.Cut(form, ";")
		all[name] = append(all[name], form)
	}
	for _, forms := range all {
		slices.Sort(forms)
	}
	return all
}

// directives compares the values of directives, each for itself, where both answers have
// the same ones: how long an answer may be kept may differ whenever one asks.
func (r *comparison) directives(a, b []string) bool {
	these, those := directiveValues(a), directiveValues(b)
	if !maps.EqualFunc(these, those, func(string, string) bool { return true }) {
		return false
	}
	for _, name := range slices.Sorted(maps.Keys(these)) {
		if these[name] != those[name] {
			r.member([]byte(name), false, func() { r.differ(Changed, []byte(these[name]), []byte(those[name])) })
		}
	}
	return true
}

// directiveValues gives the directives of a list, by their names.
func directiveValues(values []string) map[string]string {
	all := map[string]string{}
	for part := range strings.SplitSeq(strings.ToLower(strings.Join(values, ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		all[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return all
}

// header compares the values of one header.
func (r *comparison) header(name string, a, b []string) {
	x, y := joined(name, a), joined(name, b)
	switch {
	case x == y && len(a) > 0 == (len(b) > 0):
	case name == "Content-Encoding":
		r.differ(Encoding, []byte(x), []byte(y))
	case len(b) == 0:
		r.differ(Missing, []byte(x), nil)
	case len(a) == 0:
		r.differ(Added, nil, []byte(y))
	case name == "Content-Type":
		r.contentType(x, y)
	default:
		r.texts([]byte(x), []byte(y), []byte(x), []byte(y))
	}
}

// joined gives the values of a header as one text, in the form in which it is
// compared.
func joined(name string, values []string) string {
	form := headerForms[name]
	if form == nil {
		return strings.Join(values, ", ")
	}
	forms := make([]string, len(values))
	for i, v := range values {
		forms[i] = form(v)
	}
	slices.Sort(forms)
	return strings.Join(forms, ", ")
}

// contentType compares what bodies are said to be: the type, then the charset,
// then the rest.
func (r *comparison) contentType(a, b string) {
	kind, params, err := mime.ParseMediaType(a)
	kind2, params2, err2 := mime.ParseMediaType(b)
	delete(params, "boundary") // of parts; made up anew each time
	delete(params2, "boundary")
	switch {
	case err != nil || err2 != nil || kind != kind2:
		r.differ(Changed, []byte(a), []byte(b))
	case !strings.EqualFold(params["charset"], params2["charset"]):
		r.differ(Encoding, []byte(a), []byte(b))
	default:
		delete(params, "charset")
		delete(params2, "charset")
		if !maps.Equal(params, params2) {
			r.differ(Changed, []byte(a), []byte(b))
		}
	}
}

// listForm sorts a list with commas, whose order means nothing.
func listForm(value string) string { return sortedForm(value, ",") }

// directiveForm sorts a list with semicolons.
func directiveForm(value string) string { return sortedForm(value, ";") }

func sortedForm(value, separator string) string {
	parts := strings.Split(strings.ToLower(value), separator)
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	slices.Sort(parts)
	return strings.Join(parts, separator+" ")
}

// nonces are of one answer (https://www.w3.org/TR/CSP3/#grammardef-nonce-source).
var nonces = regexp.MustCompile(`'nonce-[^']*'`)

// policyForm sorts the directives of a policy, and leaves out what its nonces are.
func policyForm(value string) string {
	return directiveForm(nonces.ReplaceAllString(value, "'nonce'"))
}

// cookieForm leaves of a cookie its name and how it is kept: values are secret, and
// new for each session; when it ends depends on the moment.
func cookieForm(value string) string {
	cookie, attributes, _ := strings.Cut(value, ";")
	name, _, _ := strings.Cut(cookie, "=")
	kept := []string{}
	for part := range strings.SplitSeq(attributes, ";") {
		part = strings.ToLower(strings.TrimSpace(part))
		if part != "" && !strings.HasPrefix(part, "expires=") {
			kept = append(kept, part)
		}
	}
	slices.Sort(kept)
	return strings.Join(append([]string{strings.TrimSpace(name)}, kept...), "; ")
}
