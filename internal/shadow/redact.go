package shadow

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// pseudonymMark begins what stands in the place of a secret. It is followed by 32
// hexadecimal digits.
const pseudonymMark = "pn-"

// RedactionRules say what must not be kept, beside what never is: the values of
// Authorization, Proxy-Authorization, Cookie and Set-Cookie, and of headers, query
// parameters, fields of forms and members of JSON whose names tell of a secret,
// such as X-Api-Key and access_token.
type RedactionRules struct {
	// Paths are fields of JSON bodies: "user.email", "cards[*].number", "[*].name",
	// with * for any member. All that is below one is redacted. One without dots is
	// the name of a field of a form and a query parameter, too.
	Paths   []string
	Headers []string // names of further headers
	Query   []string // names of further query parameters and fields of forms
	// KeepCookies are the names of cookies that hold no secret, such as the language:
	// their values are kept. One whose name tells of a secret is refused.
	KeepCookies []string
	// Session says what tells who asks: "cookie:NAME" or "header:NAME". Unless given,
	// a cookie whose name tells of a session, or else Authorization.
	Session string
	// Tenant says what names the customer: "header:NAME" or "cookie:NAME". A header
	// that is no secret is kept as it is. Unless given, or where a request has it not,
	// the tenant is the source's.
	Tenant string
	// Key makes the pseudonyms: the same secret has the same pseudonym in all
	// recordings with the same key. Random unless given; at least 16 bytes.
	Key []byte
}

// Redactor replaces secrets by pseudonyms. Several goroutines may use it.
type Redactor struct {
	macs    sync.Pool // of hash.Hash
	headers map[string]bool
	query   map[string]bool
	paths   *pathNode
	kept    []string // names of cookies
	strict  bool     // paths are declared
	session source
	tenant  source
	names   nameCache

	short, many atomic.Uint64 // see Unsought
}

// Unsought are secrets that were replaced where they were found, but not looked for in
// the rest of their exchange, which may repeat them.
type Unsought struct {
	Short uint64 // of fewer than 8 bytes: they could be part of anything
	Many  uint64 // beyond the first 64 of an exchange
}

// Unsought counts those up to now, each place where one was found.
func (r *Redactor) Unsought() Unsought { return Unsought{Short: r.short.Load(), Many: r.many.Load()} }

// String says how many there are and why; "" for none.
func (u Unsought) String() string {
	var why []string
	if u.Short > 0 {
		why = append(why, fmt.Sprintf("%d are shorter than %d bytes", u.Short, shortestEcho))
	}
	if u.Many > 0 {
		why = append(why, fmt.Sprintf("%d are beyond the first %d of an exchange", u.Many, mostEchoes))
	}
	if len(why) == 0 {
		return ""
	}
	return "secrets that were replaced, but not looked for in the rest of their exchange: " + strings.Join(why, ", ")
}

// source is where the name of a session or a tenant is.
type source struct{ kind, name string }

// NewRedactor checks the rules.
func NewRedactor(rules RedactionRules) (*Redactor, error) {
	r := &Redactor{headers: nameSet(rules.Headers), query: nameSet(rules.Query), kept: rules.KeepCookies, strict: len(rules.Paths) > 0}
	key := slices.Clone(rules.Key)
	if len(key) == 0 {
		key = make([]byte, sha256.Size)
		_, _ = rand.Read(key) // never fails
	}
	if len(key) < 16 {
		return nil, fmt.Errorf("a key for pseudonyms has at least 16 bytes; this one has %d", len(key))
	}
	r.macs.New = func() any { return hmac.New(sha256.New, key) }
	for _, name := range rules.KeepCookies {
		if name == "" || isSessionName(name) || isSecretName(name) {
			return nil, fmt.Errorf("the cookie %q can not be kept: its name is that of a secret; keep only what is none, such as lang", name)
		}
	}
	var err, errSession, errTenant error
	r.paths, err = readPaths(rules.Paths)
	for _, p := range rules.Paths {
		if !strings.ContainsAny(p, ".[*$") {
			r.query[strings.ToLower(p)] = true
		}
	}
	r.session, errSession = readSource("session", rules.Session)
	r.tenant, errTenant = readSource("tenant", rules.Tenant)
	return r, errors.Join(err, errSession, errTenant)
}

func nameSet(names []string) map[string]bool {
	set := map[string]bool{}
	for _, n := range names {
		set[strings.ToLower(n)] = true
	}
	return set
}

func readSource(what, text string) (source, error) {
	if text == "" {
		return source{}, nil
	}
	kind, name, _ := strings.Cut(text, ":")
	if kind != "header" && kind != "cookie" || name == "" {
		return source{}, fmt.Errorf(`%s %q: write "header:NAME" or "cookie:NAME"`, what, text)
	}
	return source{kind: kind, name: name}, nil
}

// Redact gives the exchange without its secrets, with its session and its tenant.
// What it was given stays as it is.
func (r *Redactor) Redact(x Exchange) Exchange {
	w := redaction{r: r}
	x.Session, x.Tenant = r.sessionOf(&x), r.tenantOf(&x)
	x.Request.Header = w.header(x.Request.Header)
	x.Response.Header = w.header(x.Response.Header)
	x.Request.Target = w.url(x.Request.Target)
	x.Request.Host = w.host(x.Request.Host)
	x.Response.Failure, x.Route = w.url(x.Response.Failure), w.url(x.Route)
	x.Request.Body = w.body(x.Request.Body, x.Request.Header.Get("Content-Type"))
	x.Response.Body = w.body(x.Response.Body, x.Response.Header.Get("Content-Type"))
	w.shaped(&x)
	w.echoes(&x)
	return x
}

// Pseudonym is what stands in the place of a secret: always the same for the same
// secret and key, and nothing for nothing.
func (r *Redactor) Pseudonym(secret string) string {
	if secret == "" {
		return ""
	}
	return pseudonymMark + hex.EncodeToString(r.mac(secret))[:32]
}

// isPseudonym reports whether a text is one already.
func isPseudonym(text string) bool {
	digits, is := strings.CutPrefix(text, pseudonymMark)
	return is && len(digits) == 32 && strings.Trim(digits, "0123456789abcdef") == ""
}

func (r *Redactor) mac(secret string) []byte {
	m := r.macs.Get().(hash.Hash)
	defer r.macs.Put(m)
	m.Reset()
	_, _ = m.Write([]byte(secret)) // never fails
	return m.Sum(nil)
}

// redaction redacts one exchange, and remembers its secrets: a service that
// repeats them in an answer must not give them away.
type redaction struct {
	r       *Redactor
	secrets []string
	grant   bool // what is called code is one: it asks for a token (RFC 6749, section 4.1)
}

// hide gives the pseudonym of a secret.
func (w *redaction) hide(secret string) string {
	w.remember(secret)
	return w.r.Pseudonym(secret)
}

// hideNumber gives the pseudonym of a secret number, as JSON writes both.
func (w *redaction) hideNumber(number string) string {
	if plain := strings.TrimPrefix(number, "-"); isNumber(plain) {
		w.remember(plain)
	}
	return w.r.PseudonymOfNumber(number)
}

// echoed is what stands in the place of a secret that an exchange repeats: a number
// for a number, because that may be one in JSON.
func (w *redaction) echoed(secret string) string {
	if isNumber(secret) {
		return w.r.PseudonymOfNumber(secret)
	}
	return w.r.Pseudonym(secret)
}

func (w *redaction) remember(secret string) {
	switch {
	case secret == "":
	case len(secret) < shortestEcho:
		w.r.short.Add(1)
	case slices.Contains(w.secrets, secret):
	case len(w.secrets) >= mostEchoes:
		w.r.many.Add(1)
	default:
		w.secrets = append(w.secrets, secret)
	}
}

// A secret that is shorter could be part of anything, and is not looked for; nor
// are more of them than an exchange has that was not made to be slow. Both are counted.
const (
	shortestEcho = 8
	mostEchoes   = 64
)

// header gives a copy without secrets.
func (w *redaction) header(h http.Header) http.Header {
	if h == nil {
		return nil
	}
	clean := make(http.Header, len(h))
	for name, values := range h {
		list := make([]string, len(values))
		for i, v := range values {
			list[i] = w.headerValue(name, v)
		}
		clean[name] = list
	}
	return clean
}
