package shadow

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// substitute puts a lane's values into a request, and gives how many.
func (c *carried) substitute(r *Request, secrets http.Header) (n int) {
	path, query, has := strings.Cut(r.Target, "?")
	r.Target, n = c.path(path)
	if has {
		own, more := c.query(query)
		r.Target += "?" + own
		n += more
	}
	for name, values := range r.Header {
		for i, value := range values {
			if own, ok := c.word(value); ok {
				r.Header[name][i] = own
				n++
			}
		}
	}
	for name, values := range secrets {
		for _, value := range values {
			if own, ok := c.word(value); ok {
				r.Header.Add(name, own)
				n++
			}
		}
	}
	own, more := c.body(r.Body)
	if more == 0 {
		own, more = c.form(*r)
	}
	if more > 0 {
		r.Body.Data, r.Body.Size = own, int64(len(own))
		n += more
	}
	return n
}

// standsFor gives what stands for a value of a scope.
func (c *carried) standsFor(scope, value string) (own string, ok bool) {
	if own, ok = c.values[carryKey(scopeIfNumber(value, scope), value)]; ok || scope == "" {
		return own, ok
	}
	if len(value) < carryShort && strings.ContainsAny(value, "0123456789") { // out of a URL
		own, ok = c.values[carryKey(scope, value)]
	}
	return own, ok
}

// url replaces names in the path of a URL, and in its query if that is asked for, and
// gives how many. What it names is then asked of the host that has made it. A text that
// is no URL stays as it is.
func (c *carried) url(text string, query bool) (own string, n int) {
	start, end, ok := pathBounds(text)
	if !ok {
		return text, 0
	}
	base := text[:start]
	path, n := c.path(text[start:end])
	if own, ok := c.values[carryKey(baseScope, base)]; ok && n > 0 {
		base = own
	}
	rest := text[end:]
	if query && strings.HasPrefix(rest, "?") {
		stop := before(rest, "#")
		replaced, more := c.query(rest[1:stop])
		rest, n = "?"+replaced+rest[stop:], n+more
	}
	return base + path + rest, n
}

func (c *carried) path(path string) (own string, n int) {
	parts := strings.Split(path, "/")
	before := ""
	for i, part := range parts {
		plain, err := url.PathUnescape(part)
		if err != nil {
			plain = part
		}
		own, ok := c.standsFor(before, plain)
		before = plural(strings.ToLower(plain))
		if ok && isPathPart(own) {
			parts[i] = url.PathEscape(own)
			n++
		}
	}
	return strings.Join(parts, "/"), n
}

// isPathPart reports whether a value of an answer stays what it is in a path: dots,
// also behind a slash, which some servers unescape first, lead to another path than
// the one that the ladder allowed.
func isPathPart(value string) bool {
	slash := func(r rune) bool { return r == '/' || r == '\\' }
	dots := func(part string) bool { return strings.Trim(part, ".") == "" }
	parts := strings.FieldsFunc(value, slash)
	return len(parts) > 0 && !slices.ContainsFunc(parts, dots)
}

func (c *carried) query(query string) (own string, n int) {
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, has := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(value)
		if !has || err != nil {
			continue
		}
		if own, ok := c.standsFor(scopeOfField(name, ""), plain); ok {
			pairs[i] = name + "=" + url.QueryEscape(own)
			n++
		} else if own, more := c.url(plain, false); more > 0 {
			pairs[i] = name + "=" + url.QueryEscape(own)
			n += more
		}
	}
	return strings.Join(pairs, "&"), n
}

// word replaces the value of a header: all of it, or what follows the name of a
// scheme such as Bearer.
func (c *carried) word(value string) (string, bool) {
	if own, ok := c.values[value]; ok {
		return own, true
	}
	if own, n := c.url(value, true); n > 0 {
		return own, true
	}
	if scheme, rest, ok := strings.Cut(value, " "); ok {
		if own, ok := c.values[rest]; ok {
			return scheme + " " + own, true
		}
	}
	return value, false
}

// body replaces whole values of a JSON body, and leaves every other byte. It gives how
// many it replaced.
func (c *carried) body(b Body) (own []byte, n int) {
	if _, ok := jsonOf(b); !ok {
		return nil, 0
	}
	var out bytes.Buffer
	d := json.NewDecoder(bytes.NewReader(b.Data))
	d.UseNumber()
	copied, field := int64(0), ""
	for {
		token, err := d.Token()
		if err != nil {
			break
		}
		end := d.InputOffset()
		switch is := token.(type) {
		case string:
			if isKey(b.Data, end) {
				field = is
				continue
			}
			if own, more := c.text(field, is); more > 0 {
				copied = splice(&out, b.Data, copied, end, quotedJSON(own))
				n += more
			}
		case json.Number:
			if own, ok := c.values[carryKey(scopeOfField(field, ""), is.String())]; ok && isBareNumber(own) {
				copied = splice(&out, b.Data, copied, end, []byte(own))
				n++
			}
		}
	}
	if n == 0 {
		return nil, 0
	}
	out.Write(b.Data[copied:])
	return out.Bytes(), n
}

// text replaces a text in a field: all of it, or the names in the URL that it is.
func (c *carried) text(field, text string) (own string, n int) {
	if own, ok := c.standsFor(scopeOfField(field, ""), text); ok {
		return own, 1
	}
	return c.url(text, true)
}

// quotedJSON writes a text as JSON, the characters of HTML as they are.
func quotedJSON(text string) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string can always be written
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// isKey reports whether the string that ended there is the name of a field.
func isKey(data []byte, end int64) bool {
	rest := bytes.TrimLeft(data[end:], " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}

// splice copies up to a scalar that ends somewhere, and writes another one.
func splice(out *bytes.Buffer, data []byte, copied, end int64, own []byte) int64 {
	begin := end - 1
	if data[begin] == '"' {
		for begin--; data[begin] != '"' || escaped(data, begin); begin-- { //nolint:revive // looks for the opening quote
		}
	} else {
		for begin > copied && strings.IndexByte("0123456789+-.eE", data[begin-1]) >= 0 {
			begin--
		}
	}
	out.Write(data[copied:begin])
	out.Write(own)
	return end
}

// escaped reports whether a quote stands behind an odd number of backslashes.
func escaped(data []byte, at int64) bool {
	n := 0
	for at > 0 && data[at-1] == '\\' {
		at--
		n++
	}
	return n%2 == 1
}
