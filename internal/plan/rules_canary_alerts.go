package plan

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"resilience/gates"
)

// evidenceBy are the words of by:.
var evidenceBy = []string{"transaction", "tenant", "class", "cell", "region"}

// minRemind keeps reminders from being noise.
const minRemind = Duration(time.Minute)

func (c *checker) rules(p *Canary) {
	for _, name := range slices.Sorted(slices.Values(named(p.Alerts))) {
		r, at := p.Alerts[name], c.under(`.alerts["%s"]`, name)
		c.name(`alerts["`+name+`"]`, name)
		at.watchedNames("of", r.Of, p)
		at.oneWord("by", r.By, evidenceBy)
		at.oneWord("severity", r.Severity, []string{SeverityPage, SeverityTicket})
		at.evidence(r, p)
		at.words("owner", r.Owner)
		at.runbook(r.Runbook)
		if at.given("to") && len(r.To) == 0 && at.clean("to") {
			at.wrong("to", "", "a rule wants somebody to tell: to: names receivers")
		}
		at.each("to", r.To, func(key, to string) {
			at.reference(key, to, "receiver", "canary.receivers", named(p.Receivers))
		})
		if at.given("remind") && r.Remind < minRemind {
			at.wrong("remind", "leave it out for never", "remind is %s or more; got %s", minRemind, r.Remind)
		}
	}
}

// oneWord wants one of some words.
func (c *checker) oneWord(key, word string, words []string) {
	if c.given(key) && !slices.Contains(words, word) {
		c.wrong(key, "", "%s is %s; got %q", key, choice(words), shorten(word))
	}
}

// evidence wants triggers that can open an incident, and one that can close it.
func (c *checker) evidence(r CanaryRule, p *Canary) {
	if len(r.Open) == 0 {
		c.wrong("open", "leave it out for 3 in a row", "open is empty: nothing would be an incident")
	}
	for i, t := range r.Open {
		if t.Burn == "" {
			continue
		}
		at := c.under(".open[%d]", i)
		if _, listed := c.values[at.path]; !listed {
			at = c.under(".open")
		}
		c.burn(at, t.Burn, r, p)
	}
	if c.given("close") && r.Close.Row == 0 && c.clean("close") {
		c.wrong("close", "write for example: close: 3 in a row", "an incident is closed by good attempts in a row; got %q", r.Close)
	}
}

// burn wants an objective whose attempts are those of the rule.
func (c *checker) burn(at *checker, name string, r CanaryRule, p *Canary) {
	o, known := c.plan.Objectives[name]
	of := r.Of
	if len(of) == 0 {
		of = p.watched()
	}
	switch {
	case !known:
		at.wrong("", didYouMean(name, named(c.plan.Objectives)), "the plan has no objective %q", shorten(name))
	case o.Queried():
		at.wrong("", "", "the events of %s are counted by queries: a canary burns the budget of what it tries itself", name)
	case o.Of != "" && !slices.Contains(of, o.Of):
		at.wrong("", didYouMean(o.Of, slices.Clone(of)), "the objective %s is about %q, which this rule is not about", name, shorten(o.Of))
	case o.Over > 0 && len(gates.Objective{Share: float64(o.Share), Over: time.Duration(o.Over)}.BurnRules(r.Severity)) == 0:
		at.wrong("", "promise more, or over more days, or count: 5 of 100", "%s of %s over %s leaves a budget that can not burn fast enough for a %s", o.Share, name, o.Over, r.Severity)
	}
}

func (c *checker) runbook(text string) {
	u, err := url.Parse(text)
	if c.given("runbook") && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil) {
		c.wrong("runbook", "", "runbook wants a URL such as https://wiki.example.com/orders; got %q", shorten(text))
	}
}

func (c *checker) receivers(p *Canary) {
	for name, r := range p.Receivers {
		c.name(`receivers["`+name+`"]`, name)
		at := c.under(`.receivers["%s"]`, name)
		if !at.oneOf("a receiver", "alertmanager", "slack", "pagerduty", "webhook") {
			continue
		}
		if r.Alertmanager != nil {
			at.under(".alertmanager").alertmanager(*r.Alertmanager)
		}
		if r.Slack != nil {
			at.under(".slack").secretOnly("url", r.Slack.URL)
		}
		if r.PagerDuty != nil {
			under := at.under(".pagerduty")
			under.secretOnly("key", r.PagerDuty.Key)
			if r.PagerDuty.URL != defaultPagerDuty {
				under.shown("url", r.PagerDuty.URL, nil)
			}
		}
		if r.Webhook != nil {
			at.under(".webhook").webhook(*r.Webhook)
		}
	}
}

func (c *checker) alertmanager(a Alertmanager) {
	c.secretOnly("token", a.Token)
	if c.given("token") || a.TLS != nil {
		c.shown("url", a.URL, a.TLS)
		return
	}
	c.url("url", a.URL, "http", "https")
}

// webhook wants an address that may be posted to, and a body that can be made.
func (c *checker) webhook(w Webhook) {
	secret := strings.Contains(w.URL, "${secrets.")
	for name, value := range w.Headers {
		c.webhookHeader(name, value)
		secret = secret || strings.Contains(value, "${secrets.")
	}
	c.tls("tls", w.TLS)
	if !secretOnly.MatchString(w.URL) {
		c.webhookURL(w.URL, secret, w.TLS)
	}
	if c.given("type") && !httpguts.ValidHeaderFieldValue(w.Type) || strings.TrimSpace(w.Type) == "" {
		c.wrong("type", "", "type wants a Content-Type such as application/json; got %q", shorten(w.Type))
	}
	if _, err := w.Template(); c.given("body") && err != nil {
		c.wrong("body", "it is Go's text/template over the notice", "%s", err)
	}
}

func (c *checker) webhookHeader(name, value string) {
	key := `headers["` + name + `"]`
	switch problem := wrongHeader(name, value); {
	case problem != "" && !httpguts.ValidHeaderFieldName(name):
		c.wrongKey(key, "", "%s", problem)
	case problem != "":
		c.wrong(key, "", "%s", problem)
	case (strings.EqualFold(name, "Authorization") || strings.EqualFold(name, "Cookie")) && !strings.Contains(value, "${secrets."):
		c.wrong(key, "write ${secrets.NAME} and define NAME under secrets:", "credentials are never written in a plan")
	}
}

// webhookURL is as [checker.url], but with a query where the URL has one.
func (c *checker) webhookURL(text string, secret bool, t *TLS) {
	u := bound(text)
	if u == nil || !c.given("url") || !c.clean("url") {
		return
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Port() != "" && !validPort(u.Port()):
		c.wrong("url", "", "url wants an absolute URL such as https://hooks.example.com/alerts; got %q", shorten(text))
	case u.User != nil:
		c.wrong("url", "use headers: and a secret", "url can not hold a user or password")
	case u.Fragment != "":
		c.wrong("url", "", "url can not have a fragment")
	case !Private(u.Hostname()) && !allowed(c.plan.Allow, u.Hostname()):
		c.wrong("url", "add it if you may send notices there: allow: ["+u.Hostname()+"]", "%s is a public host that the plan does not allow", shorten(u.Hostname()))
	case secret && u.Scheme == "http" && !loopbackHost(u.Hostname()):
		c.wrong("url", "write it as https://, with tls: {ca: FILE} for a certificate of your own", "the secret would go to %s unencrypted", shorten(u.Host))
	case t != nil && u.Scheme != "https":
		c.wrongKey("tls", "leave it out, or write the url as https://", "tls: is given but the url is not https")
	}
}
