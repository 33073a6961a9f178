package shadow

import (
	"net/url"
	"strings"
)

// url replaces the user of URLs and secret parameters, in a URL or in a text that
// has some. All else stays as it is, byte by byte.
func (w *redaction) url(text string) string {
	text = w.userinfo(text)
	if !strings.ContainsAny(text, "?#;") {
		return text
	}
	var b strings.Builder
	code := hasCode(text)
	for len(text) > 0 {
		start := strings.IndexAny(text, "?#;&")
		if start < 0 {
			break
		}
		b.WriteString(text[:start+1])
		text = text[start+1:]
		end := before(text, "?#;& \t<>\"")
		b.WriteString(w.parameter(text[:end], code))
		text = text[end:]
	}
	b.WriteString(text)
	return b.String()
}

// hasCode reports whether a query or a form has parameters of OAuth beside which code is
// a secret (RFC 6749, section 4.1).
func hasCode(text string) bool {
	return strings.Contains(text, "code=") && (strings.Contains(text, "state=") || strings.Contains(text, "grant_type="))
}

// parameter redacts one of a query, a fragment, a form or a path: "name=value". One
// that is called code may be a secret.
func (w *redaction) parameter(pair string, code bool) string {
	name, value, found := strings.Cut(pair, "=")
	if !found || value == "" || !w.r.secretQuery(unescaped(name)) && !(code && name == "code") {
		if clean, is := w.jsonValue(value); is {
			return name + "=" + clean
		}
		if found && strings.Contains(value, "%3A%2F%2F") { // a URL as a parameter of another
			inner := unescaped(value)
			if clean := w.url(inner); clean != inner { // once: each URL may have another in it
				return name + "=" + url.QueryEscape(clean)
			}
		}
		return pair
	}
	slash := "" // after a parameter of a path comes the rest of it
	if i := strings.IndexByte(value, '/'); i >= 0 && !strings.ContainsAny(value, "+=") && strings.EqualFold(name, "jsessionid") {
		value, slash = value[:i], value[i:]
	}
	return name + "=" + w.hide(unescaped(value)) + slash
}

// jsonValue redacts JSON or a query of GraphQL that is the value of a parameter; false
// where it is none, or has no secret.
func (w *redaction) jsonValue(value string) (clean string, is bool) {
	inner := unescaped(value)
	var out []byte
	var err error
	switch {
	case mayBeJSON([]byte(inner)):
		out, err = w.json([]byte(inner))
	case strings.Contains(inner, "{"): // a query of GraphQL
		out = w.text([]byte(inner), textKind{})
	default:
		return "", false
	}
	if err != nil || string(out) == inner {
		return "", false
	}
	return url.QueryEscape(string(out)), true
}

func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// host replaces the user before a host.
func (w *redaction) host(host string) string {
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		return w.hide(host[:at]) + host[at:]
	}
	return host
}

// userinfo replaces the user and the password of URLs: "https://pn-...@host/".
func (w *redaction) userinfo(text string) string {
	if !strings.Contains(text, "@") || !strings.Contains(text, "//") {
		return text
	}
	var b strings.Builder
	for {
		start := strings.Index(text, "//")
		if start < 0 {
			break
		}
		b.WriteString(text[:start+2])
		text = text[start+2:]
		if at := userEnd(text); at >= 0 {
			b.WriteString(w.hide(text[:at]))
			text = text[at:]
		}
	}
	b.WriteString(text)
	return b.String()
}

// userEnd is the place of the @ after the user of a URL, -1 without one. A password
// may have a slash that somebody forgot to escape: then what looks like a port is
// none.
func userEnd(text string) int {
	authority := text[:before(text, "/?# \t<>\"")]
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		return at
	}
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || strings.Trim(authority[colon+1:], "0123456789") == "" || strings.HasSuffix(authority, "]") {
		return -1
	}
	return strings.LastIndexByte(text[:before(text, " \t<>\"")], '@')
}

// before is how much of a text stands before any of some characters.
func before(text, any string) int {
	if i := strings.IndexAny(text, any); i >= 0 {
		return i
	}
	return len(text)
}
