package plan

import "strings"

// validRemotes wants what it takes to control a proxy elsewhere, and nothing
// that such a proxy has from whoever started it.
func validRemotes(c *checker, p *Plan) {
	for name, d := range p.Dependencies {
		if d.Proxy == nil {
			continue
		}
		at := c.under(`dependencies["%s"]`, name)
		for _, key := range []string{"upstream", "tls", "serve", "toxiproxy"} {
			at.notWithProxy(key)
		}
		at.under(".proxy").remote(*d.Proxy)
	}
}

func (c *checker) notWithProxy(key string) {
	if !c.given(key) {
		return
	}
	if key == "toxiproxy" {
		c.wrongKey(key, "keep one of the two", "a dependency can not have both proxy: and toxiproxy:")
		return
	}
	c.wrongKey(key, "leave it out: it is given to `resilience proxy`, where it runs", "a proxy that runs elsewhere has its own %s:", key)
}

func (c *checker) remote(r Remote) {
	c.url("url", r.URL, "http", "https")
	if problem := wrongName(r.Name); c.given("name") && problem != "" {
		c.wrong("name", "", "%s", problem)
	}
	if c.given("token") && !secretOnly.MatchString(r.Token) {
		c.wrong("token", "write ${secrets.NAME} and define NAME under secrets:", "credentials are never written in a plan")
	}
	if u := bound(r.URL); u != nil && c.given("token") && c.clean("url") && u.Scheme == "http" && !loopbackHost(u.Hostname()) {
		c.wrong("url", "write it as https://, with tls: {ca: FILE} for a certificate of your own", "the token would go to %s unencrypted", shorten(u.Host))
	}
	c.tls("tls", r.TLS)
	if r.TLS != nil && c.clean("url") && !strings.HasPrefix(r.URL, "https:") {
		c.wrongKey("tls", "leave it out, or write the url as https://", "tls: is given but the url is not https")
	}
}
