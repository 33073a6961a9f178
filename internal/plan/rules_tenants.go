package plan

import "errors"

// validTenants wants a file of tenants that can be read, and a header that marks
// what they send.
func validTenants(c *checker, p *Plan) {
	if p.Tenants == nil {
		return
	}
	at := c.under("tenants")
	if problem := wrongHeader(p.Tenants.Header, ""); at.given("header") && problem != "" {
		at.wrong("header", "", "%s", problem)
	}
	if problem := wrongName(p.Tenants.Prefix); at.given("prefix") && problem != "" {
		at.wrong("prefix", "", "%s", problem)
	}
	if !at.given("file") || !at.clean("file") || c.opts.Recorded {
		return
	}
	tenants, err := ReadTenants(Locate(c.plan.Dir, p.Tenants.File), p.Tenants.File)
	var places Errors
	var line *FeedError
	switch {
	case errors.As(err, &places):
		c.errs = append(c.errs, places...)
	case errors.As(err, &line) && line.Line > 0:
		c.errs = append(c.errs, &Problem{File: line.File, Line: line.Line, Column: 1, Message: line.Reason})
	case err != nil:
		at.wrong("file", "it is a list in YAML, or CSV with a header line", "%s", err)
	}
	if err == nil {
		c.tenants = tenants
	}
}

// actsAs wants a test to act as tenants that there are.
func actsAs(c *checker, p *Profile) {
	if !c.given("tenants") {
		return
	}
	switch {
	case c.plan.Tenants == nil:
		c.wrongKey("tenants", "say where they are: tenants: {file: tenants.yaml}", "the plan has no tenants")
		return
	case c.given("requests"):
		c.wrongKey("tenants", "use a script", "tenants: is for scripts")
		return
	case len(p.Tenants) == 0:
		c.wrong("tenants", "write all, or KEY=VALUE", "tenants is empty")
		return
	}
	_, err := selections(p.Tenants)
	if err == nil && len(c.tenants) > 0 {
		_, err = chosen(c.tenants, p.Tenants)
	}
	if err != nil {
		c.wrong("tenants", "", "%s", err)
	}
}
