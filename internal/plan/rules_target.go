package plan

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

func validTargets(c *checker, p *Plan) {
	for name, t := range p.Targets {
		at := c.under(`targets["%s"]`, name)
		at.url("url", t.URL, "http", "https")
		for i, entry := range t.Accept {
			if !validStatus(entry) {
				at.under(".accept[%d]", i).wrong("", "", "accept wants statuses such as 2xx or 404; got %q", shorten(entry))
			}
		}
		if at.given("accept") && len(t.Accept) == 0 {
			at.wrong("accept", "leave it out for 2xx and 3xx", "accept names no status: nothing could be available")
		}
		at.headers("headers", t.Headers)
		at.tls("tls", t.TLS)
		at.auth(t.Auth)
		at.version(t.Version)
	}
}

// listenOnce wants no address to be that of two proxies.
func listenOnce(c *checker, p *Plan) {
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Dependencies)) {
		listen := p.Dependencies[name].Listen
		if _, port, _ := net.SplitHostPort(listen); listen == "" || port == "0" {
			continue
		}
		if other := taken[listen]; other != "" {
			c.under(`dependencies["%s"]`, name).wrong("listen", "leave it out for a free port",
				"the dependencies %s and %s both listen on %s", other, name, shorten(listen))
		}
		taken[listen] = name
	}
}

// writeOnce wants no two proxies to write their authority's certificate to one
// file: services would trust the last of them alone.
func writeOnce(c *checker, p *Plan) {
	taken := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.Dependencies)) {
		serve := p.Dependencies[name].Serve
		if serve == nil || serve.WriteCA == "" {
			continue
		}
		file := filepath.Clean(serve.WriteCA)
		if other := taken[file]; other != "" {
			c.under(`dependencies["%s"].serve`, name).wrong("write_ca", "give each a file of its own",
				"the dependencies %s and %s both write %s", other, name, shorten(file))
		}
		taken[file] = name
	}
}

func validListen(listen string) bool {
	_, port, err := net.SplitHostPort(listen)
	return err == nil && validPort(port)
}

func validPort(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}

// standIns take the place of placeholders when a URL is checked.
func standIns(name string) (string, bool) {
	switch name[strings.LastIndex(name, ".")+1:] {
	case "url":
		return "http://127.0.0.1:1", true
	case "host":
		return "127.0.0.1", true
	case "port":
		return "1", true
	}
	return "x", true
}

// bound gives a URL with its placeholders replaced; nil when it is none.
func bound(text string) *url.URL {
	expanded, err := Expand(text, standIns)
	if err != nil {
		return nil // the placeholder has been reported
	}
	u, err := url.Parse(expanded)
	if err != nil {
		return &url.URL{}
	}
	return u
}

// url wants an absolute URL of one of the schemes to a host that traffic may
// go to.
func (c *checker) url(key, text string, schemes ...string) {
	if !c.given(key) || !c.clean(key) {
		return
	}
	u := bound(text)
	if u == nil {
		return
	}
	switch {
	case !slices.Contains(schemes, u.Scheme) || u.Hostname() == "":
		c.wrong(key, "", "%s wants an absolute URL such as http://127.0.0.1:8080 or https://shop.example.com; got %q", key, shorten(text))
	case u.Port() != "" && !validPort(u.Port()):
		c.wrong(key, "", "a port is 1 to 65535; got %s", u.Port())
	case u.User != nil && key == "upstream":
		c.wrong(key, "the system under test sends its own credentials", "%s can not hold a user or password", key)
	case u.User != nil && (key == "prometheus" || key == "influxdb"):
		c.wrong(key, "use token: or headers: and a secret", "%s can not hold a user or password", key)
	case u.User != nil:
		c.wrong(key, "use auth: and a secret", "%s can not hold a user or password", key)
	case u.RawQuery != "" || u.Fragment != "":
		c.wrong(key, "", "%s can not have a query or fragment: paths are appended to it", key)
	case !Private(u.Hostname()) && !allowed(c.plan.Allow, u.Hostname()):
		c.wrong(key, "add it if you may send traffic there: allow: ["+u.Hostname()+"]",
			"%s is a public host that the plan does not allow", shorten(u.Hostname()))
	}
}

// headers wants names and values that HTTP can carry.
func (c *checker) headers(key string, headers map[string]string) {
	for name, value := range headers {
		at := c.under(".%s[%q]", key, name)
		at.path = c.at(key) + `["` + name + `"]`
		switch problem := wrongHeader(name, value); {
		case problem == "":
		case !httpguts.ValidHeaderFieldName(name):
			at.wrongKey("", "", "%s", problem)
		default:
			at.wrong("", "", "%s", problem)
		}
	}
}

// wrongHeader says what HTTP can not carry of a header; "" when it can.
func wrongHeader(name, value string) string {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Sprintf("%q can not be the name of a header", shorten(name))
	case !httpguts.ValidHeaderFieldValue(value):
		return fmt.Sprintf("the value of the header %s holds a line end or another control character", name)
	}
	return ""
}

func (c *checker) tls(key string, t *TLS) {
	if t == nil {
		return
	}
	at := c.under(".%s", key)
	switch {
	case at.given("cert") && !at.given("key"):
		at.wrong("cert", "", "a certificate wants its key:")
	case at.given("key") && !at.given("cert"):
		at.wrong("key", "", "a key wants its cert:")
	}
	if t.Insecure && at.given("ca") {
		at.wrong("insecure", "keep one of the two", "ca: is of no use when insecure: true checks no certificate")
	}
	at.file("ca", t.CA)
	at.file("cert", t.Cert)
	at.file("key", t.Key)
	at.certificates(*t)
}

// certificates wants the files of a TLS client to hold what they should.
func (c *checker) certificates(t TLS) {
	if c.opts.Recorded || !c.clean("") {
		return
	}
	if _, err := (&TLS{CA: t.CA}).Config(c.plan.Dir); err != nil {
		c.wrong("ca", "", "%s", err)
	}
	if _, err := (&TLS{Cert: t.Cert, Key: t.Key}).Config(c.plan.Dir); err != nil {
		c.wrong("cert", "", "%s", err)
	}
}

// file wants a file that is there.
func (c *checker) file(key, path string) {
	if !c.given(key) || c.opts.Recorded {
		return
	}
	info, err := os.Stat(Locate(c.plan.Dir, path))
	switch {
	case path == "" || strings.ContainsRune(path, 0):
		c.wrong(key, "", "%s wants the path of a file; got %q", key, path)
	case err != nil:
		c.wrong(key, "its path is relative to the plan", "the file %s can not be read: %s", shorten(path), reason(err))
	case info.IsDir():
		c.wrong(key, "", "%s is a folder, not a file", shorten(path))
	}
}

var (
	secretOnly   = regexp.MustCompile(`^\$\{secrets\.[^{}]+\}$`)
	secretPrefix = regexp.MustCompile(`^[A-Za-z]*[ =]?\$\{secrets\.[^{}]+\}$`)
)

func (c *checker) auth(a *Auth) {
	if a == nil {
		return
	}
	at := c.under(".auth")
	at.oneOf("auth", "header", "oauth2")
	if h := a.Header; h != nil {
		under := at.under(".header")
		if !httpguts.ValidHeaderFieldName(h.Name) {
			under.wrong("name", "", "%q can not be the name of a header", shorten(h.Name))
		}
		if under.given("value") && !secretPrefix.MatchString(h.Value) {
			under.wrong("value", "write Bearer ${secrets.NAME} and define NAME under secrets:", "credentials are never written in a plan")
		}
	}
	if o := a.OAuth2; o != nil {
		under := at.under(".oauth2")
		under.url("token_url", o.TokenURL, "http", "https")
		if under.given("client_secret") && !secretOnly.MatchString(o.ClientSecret) {
			under.wrong("client_secret", "write ${secrets.NAME} and define NAME under secrets:", "credentials are never written in a plan")
		}
	}
}
