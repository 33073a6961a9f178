package shadow

import (
	"bytes"
	"html"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Beside fields of JSON, answers name things in the hidden fields of forms and in the
// queries of URLs: of the next page, or of where a login leads.

// htmlPairs notes what stands for the values of hidden fields in HTML: of those with the
// same name, the first for the first.
func (p *pairing) htmlPairs(recorded, own Body) {
	if !isHTML(recorded) || !isHTML(own) {
		return
	}
	was, is := hiddenIn(recorded.Data), hiddenIn(own.Data)
	for name, values := range was {
		for i, value := range values {
			if i >= len(is[name]) {
				break
			}
			after := is[name][i]
			if slices.Contains(is[name], value) || slices.Contains(values, after) {
				continue // it has moved
			}
			p.name(name, value, after)
		}
	}
}

// isHTML reports whether a body is HTML, whole and not too long.
func isHTML(b Body) bool {
	return !b.Cut && len(b.Data) <= carryBody && bytes.HasPrefix(bytes.TrimLeft(b.Data, " \t\r\n\xef\xbb\xbf"), []byte("<"))
}

// hiddenIn are the values of hidden fields, by their names.
func hiddenIn(data []byte) map[string][]string {
	found, n := map[string][]string{}, 0
	namedValues(data, func(v namedValue) bool {
		found[v.name] = append(found[v.name], html.UnescapeString(string(data[v.from:v.to])))
		n++
		return n < carryValues
	})
	return found
}

// name notes what stands for a value that has a name, if it looks like the name of
// something, and gives by what it is remembered.
func (p *pairing) name(field, before, after string) (key string) {
	if before == after || after == "" || len(p.found) >= carryValues || !namesSomething(field, before) && !hasPseudonym(before) {
		return ""
	}
	scope := scopeIfNumber(before, scopeOfField(field, p.collection))
	if isBareNumber(before) && (scope == "" || !isBareNumber(after)) {
		return ""
	}
	p.note(scope, before, after)
	return carryKey(scope, before)
}

// urls notes what stands for the values in the queries of two URLs, and gives by what it
// is remembered.
func (p *pairing) urls(before, after string) (keys []string) {
	was := queryOf(before)
	if was == nil {
		return nil
	}
	is := queryOf(after)
	for name, values := range was {
		if len(values) != 1 || len(is[name]) != 1 {
			continue
		}
		if key := p.name(name, values[0], is[name][0]); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// queryOf is the query of a URL, nil for a text that is none or has no query.
func queryOf(text string) url.Values {
	path, query, has := strings.Cut(text, "?")
	if !has || len(text) > 4096 || !strings.Contains(query, "=") || strings.ContainsAny(text, " \t\r\n<>\"") || path != "" && path[0] != '/' && !strings.Contains(path, "://") {
		return nil
	}
	query, _, _ = strings.Cut(query, "#")
	values, _ := url.ParseQuery(query) // as much of it as can be read
	return values
}

// linkURLs are the URLs in a Link header (RFC 8288, section 3), by their rel.
func linkURLs(values []string) map[string]string {
	found := map[string]string{}
	for _, rest := range values {
		for range carryValues {
			_, after, open := strings.Cut(rest, "<")
			link, after, closed := strings.Cut(after, ">")
			if !open || !closed {
				break
			}
			parameters, _, _ := strings.Cut(after, "<")
			_, rel, _ := strings.Cut(strings.ToLower(parameters), "rel=")
			rel, _, _ = strings.Cut(strings.TrimLeft(rel, `"`), `"`)
			rel = strings.Trim(rel[:before(rel, ";,")], " ")
			if _, known := found[rel]; !known {
				found[rel] = link
			}
			rest = after
		}
	}
	return found
}

// headerURLs notes what stands for the names in URLs in headers.
func (p *pairing) headerURLs(recorded, own Response) {
	for _, name := range []string{"Location", "Content-Location"} {
		if was, is := recorded.Header.Get(name), own.Header.Get(name); was != "" && is != "" && was != is {
			p.address(was, is, recorded.Status == http.StatusCreated || recorded.Status == http.StatusAccepted)
		}
	}
	was, is := recorded.Header["Link"], own.Header["Link"]
	if len(was) == 0 || len(is) == 0 {
		return
	}
	other := linkURLs(is)
	for rel, link := range linkURLs(was) {
		if after, ok := other[rel]; ok {
			p.urls(link, after)
			p.path(link, after, urlOfLink)
		}
	}
}

// address notes what stands for the names in the address that an answer gives, perhaps
// of what was made. A number at its end is the id of what the request was about, too.
func (p *pairing) address(was, is string, made bool) {
	p.urls(was, is)
	of := urlOfAddress
	if made {
		of = urlOfMade
	}
	p.path(was, is, of)
	before, after := lastSegment(was), lastSegment(is)
	if before == after || after == "" || safeMethod(p.asked.Method) {
		return
	}
	if isBareNumber(before) || !startsURL(was) && strings.ContainsAny(before, "0123456789") {
		p.note(scopeIfNumber(before, p.collection), before, after)
	}
}

// form replaces values in the body of a form, as those of a query.
func (c *carried) form(r Request) (own []byte, n int) {
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if !strings.HasSuffix(media, "/x-www-form-urlencoded") || r.Body.Cut || len(r.Body.Data) > carryBody {
		return nil, 0
	}
	text, n := c.query(string(r.Body.Data))
	return []byte(text), n
}
