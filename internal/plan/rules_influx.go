package plan

// validInflux wants an InfluxDB that can be written to while nobody overhears
// the token.
func validInflux(c *checker, p *Plan) {
	if p.Influx == nil {
		return
	}
	at := c.under("influx")
	if u := bound(p.Influx.URL); at.given("url") && u != nil && u.User != nil {
		at.wrong("url", "use token: and a secret", "url can not hold a user or password")
	}
	at.url("url", p.Influx.URL, "http", "https")
	at.tls("tls", p.Influx.TLS)
	at.token("url", p.Influx.URL, Source{Token: p.Influx.Token, TLS: p.Influx.TLS})
}
