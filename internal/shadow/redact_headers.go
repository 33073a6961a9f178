package shadow

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// schemes of Authorization are kept, as it matters which was used. Anything else
// could be the secret.
var schemes = []string{
	"basic", "bearer", "digest", "negotiate", "ntlm", "token", "apikey", "dpop", "hawk", "hoba", "mutual", "oauth",
	"scram-sha-1", "scram-sha-256", "vapid", "gnap", "privatetoken", "aws4-hmac-sha256", "aws", "sharedkey", "concealed",
}

// keptAttributes of Set-Cookie hold nothing secret.
var keptAttributes = []string{"path", "domain", "expires", "max-age", "secure", "httponly", "samesite", "priority", "partitioned"}

func (w *redaction) headerValue(name, value string) string {
	switch strings.ToLower(name) {
	case "cookie", "cookie2":
		return w.cookies(value)
	case "set-cookie", "set-cookie2":
		return w.setCookie(value)
	case "sec-websocket-protocol":
		return w.protocols(value)
	}
	if w.r.secretHeader(name) {
		return w.credentials(value)
	}
	if strings.Contains(value, "://") || strings.ContainsAny(value, "?#;") {
		return w.url(value)
	}
	return value
}

// protocols redacts what browsers, which can set no other header of a websocket, send
// as protocols: "bearer.TOKEN", or "access_token, TOKEN".
func (w *redaction) protocols(value string) string {
	parts := strings.Split(value, ",")
	before := ""
	for i, part := range parts {
		name := strings.TrimSpace(part)
		begin := len(name)
		if at := strings.LastIndex(strings.ToLower(name), "bearer"); at >= 0 {
			begin = at + len("bearer")
			if after, is := strings.CutPrefix(name[begin:], ".authorization.k8s.io"); is {
				begin = len(name) - len(after)
			}
			begin = min(begin+1, len(name)) // what stands between them
		} else if before != "" && isSecretName(before) {
			begin = 0
		}
		if before = name; begin < len(name) {
			parts[i] = part[:strings.Index(part, name)] + name[:begin] + w.hide(name[begin:])
		}
	}
	return strings.Join(parts, ",")
}

// credentials keeps the scheme: "Bearer pn-...".
func (w *redaction) credentials(value string) string {
	if scheme, secret, ok := splitScheme(value); ok {
		if strings.EqualFold(scheme, "basic") {
			w.basic(secret)
		}
		return scheme + " " + w.hide(secret)
	}
	return w.hide(strings.TrimSpace(value))
}

// basic remembers the password that is in a secret, which an answer may repeat.
func (w *redaction) basic(secret string) {
	if plain, err := base64.StdEncoding.DecodeString(secret); err == nil {
		_, password, _ := strings.Cut(string(plain), ":")
		w.remember(password)
	}
}

func splitScheme(value string) (scheme, secret string, ok bool) {
	scheme, secret, _ = strings.Cut(strings.TrimSpace(value), " ")
	secret = strings.TrimSpace(secret)
	return scheme, secret, secret != "" && slices.Contains(schemes, strings.ToLower(scheme))
}

// cookies keeps their names.
func (w *redaction) cookies(value string) string {
	parts := strings.Split(value, ";")
	for i, part := range parts {
		parts[i] = w.cookie(strings.TrimSpace(part))
	}
	return strings.Join(parts, "; ")
}

func (w *redaction) cookie(pair string) string {
	name, value, found := strings.Cut(pair, "=")
	if !found {
		return w.hide(pair)
	}
	if slices.Contains(w.r.kept, name) {
		return pair
	}
	return name + "=" + w.hide(cookieText(value))
}

// cookieText is the value of a cookie as its pseudonym is made of it: the same in
// Cookie and in Set-Cookie, with quotes and without.
func cookieText(value string) string {
	value = strings.TrimSpace(value)
	if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
		return value[1 : len(value)-1]
	}
	return value
}

func (w *redaction) setCookie(value string) string {
	parts := strings.Split(value, ";")
	for i, part := range parts {
		part = strings.TrimSpace(part)
		name, _, _ := strings.Cut(part, "=")
		switch {
		case i == 0:
			part = w.cookie(part)
		case !slices.Contains(keptAttributes, strings.ToLower(strings.TrimSpace(name))):
			part = w.hide(part)
		}
		parts[i] = part
	}
	return strings.Join(parts, "; ")
}

// sessionOf gives the pseudonym of who asks.
func (r *Redactor) sessionOf(x *Exchange) string {
	if r.session.name != "" {
		if value := r.session.of(x); value != "" {
			return r.Pseudonym(value)
		}
		return r.Pseudonym(x.Session)
	}
	if value := cookieOf(x.Request.Header, isSessionName); value != "" {
		return r.Pseudonym(value)
	}
	if value := x.Request.Header.Get("Authorization"); value != "" {
		return r.Pseudonym(credentialText(value))
	}
	for _, line := range x.Response.Header.Values("Set-Cookie") { // a login belongs to what it begins
		pair, _, _ := strings.Cut(line, ";")
		if name, value, _ := strings.Cut(pair, "="); isSessionName(name) && cookieText(value) != "" {
			return r.Pseudonym(cookieText(value))
		}
	}
	return r.Pseudonym(x.Session)
}

func (r *Redactor) tenantOf(x *Exchange) string {
	if r.tenant.name == "" || r.tenant.raw(x) == "" {
		return x.Tenant
	}
	if r.tenant.kind == "cookie" || r.secretHeader(r.tenant.name) {
		return r.Pseudonym(r.tenant.of(x))
	}
	return r.tenant.raw(x)
}

// of gives a value as its pseudonym is made of it.
func (s source) of(x *Exchange) string {
	value := s.raw(x)
	if s.kind == "header" {
		return credentialText(value)
	}
	return value
}

func (s source) raw(x *Exchange) string {
	if s.kind == "header" {
		return x.Request.Header.Get(s.name)
	}
	return cookieOf(x.Request.Header, func(name string) bool { return name == s.name })
}

func credentialText(value string) string {
	if _, secret, ok := splitScheme(value); ok {
		return secret
	}
	return strings.TrimSpace(value)
}

// cookieOf is the value of the first cookie of a request that is wanted.
func cookieOf(h http.Header, wanted func(name string) bool) string {
	for _, line := range h.Values("Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if wanted(name) && cookieText(value) != "" {
				return cookieText(value)
			}
		}
	}
	return ""
}
