package plan

import (
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/net/http/httpguts"
)

func validRequest(c *checker, r *Request) {
	c.method(r.Method)
	c.headers("headers", r.Headers)
	if c.given("path") {
		bound, err := Expand(r.Path, standIns)
		if err == nil {
			bound, err = ExpandData(bound, standIns)
		}
		if _, parse := url.Parse(bound); !strings.HasPrefix(r.Path, "/") || parse != nil || err != nil {
			c.wrong("path", "write for example /cart?user=1", "path begins with / and is a part of a URL; got %q", shorten(r.Path))
		}
	}
	if c.given("weight") && (r.Weight < 1 || r.Weight > maxWeight) {
		c.wrong("weight", "", "weight is 1 to %d; got %d", maxWeight, r.Weight)
	}
	if c.given("body") && c.given("json") {
		c.wrongKey("json", "keep one of the two", "a request can not have both body: and json:")
	}
	if c.given("name") && strings.TrimSpace(r.Name) == "" {
		c.wrong("name", "", "the name is empty")
	}
}

// method wants what HTTP allows as a method, in capitals.
func (c *checker) method(method string) {
	if c.given("method") && (!httpguts.ValidHeaderFieldName(method) || method != strings.ToUpper(method)) {
		c.wrong("method", "", "method wants a word in capitals such as GET; got %q", shorten(method))
	}
}

func validExpect(c *checker, r *Request) {
	if r.Expect == nil {
		return
	}
	at := c.under(".expect")
	e := *r.Expect
	if e.Contains == "" && e.Matches == "" && len(e.JSON) == 0 && len(e.Headers) == 0 {
		at.wrong("", "", "expect wants contains:, matches:, json: or headers:")
	}
	if _, err := regexp.Compile(e.Matches); err != nil {
		at.wrong("matches", "", "matches wants a regular expression (RE2): %s", err)
	}
	for name := range e.JSON {
		if strings.Trim(name, ".") != name || name == "" || strings.Contains(name, "..") {
			at.wrongKey(`json["`+name+`"]`, "", "json wants dotted paths such as order.state; got %q", shorten(name))
		}
	}
	at.headers("headers", e.Headers)
}
