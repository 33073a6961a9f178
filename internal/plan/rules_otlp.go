package plan

// validOTLP wants an endpoint that can be told while nobody overhears the
// headers.
func validOTLP(c *checker, p *Plan) {
	if p.OTLP == nil {
		return
	}
	at := c.under("otlp")
	if u := bound(p.OTLP.URL); at.given("url") && u != nil && u.User != nil {
		at.wrong("url", "use headers: and a secret", "url can not hold a user or password")
	}
	at.url("url", p.OTLP.URL, "http", "https")
	at.headers("headers", p.OTLP.Headers)
	at.tls("tls", p.OTLP.TLS)
	at.token("url", p.OTLP.URL, Source{Headers: p.OTLP.Headers, TLS: p.OTLP.TLS})
}
