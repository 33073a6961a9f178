package plan

import "time"

// What a canary does where its plan says nothing.
const (
	defaultCanaryVUs     = 20
	defaultCanaryTimeout = Duration(30 * time.Second)
	defaultTries         = 1
	defaultWait          = Duration(time.Second)
	defaultHealthEvery   = Duration(15 * time.Second)
	defaultBy            = "cell"
	defaultSeverity      = SeverityPage
	defaultRow           = 3
	defaultPagerDuty     = "https://events.pagerduty.com"
	defaultWebhookType   = "application/json"
	defaultKeepAttempts  = Retention(6 * time.Hour)
	defaultKeepMinutes   = 14 * day
	defaultKeepHours     = 400 * day
)

// fillCanary puts in what the plan's canary leaves out.
func (d *decoder) fillCanary(p *Plan) {
	c := p.Canary
	fill(d, "canary.vus", &c.VUs, defaultCanaryVUs)
	for name, task := range c.Transactions {
		path := `canary.transactions["` + name + `"]`
		fill(d, path+".exec", &task.Exec, name)
		fill(d, path+".timeout", &task.Timeout, min(defaultCanaryTimeout, task.Every))
		fill(d, path+".tries", &task.Tries, defaultTries)
		fill(d, path+".wait", &task.Wait, defaultWait)
		c.Transactions[name] = task
	}
	if c.Health != nil {
		fill(d, "canary.health.every", &c.Health.Every, defaultHealthEvery)
	}
	for name, beat := range c.Heartbeats {
		fill(d, `canary.heartbeats["`+name+`"].grace`, &beat.Grace, max(beat.Every/10, Duration(time.Second)))
		c.Heartbeats[name] = beat
	}
	for name, rule := range c.Alerts {
		c.Alerts[name] = d.filledRule(rule, `canary.alerts["`+name+`"]`, c)
	}
	for name, r := range c.Receivers {
		path := `canary.receivers["` + name + `"]`
		if r.PagerDuty != nil {
			fill(d, path+".pagerduty.url", &r.PagerDuty.URL, defaultPagerDuty)
		}
		if r.Webhook != nil {
			fill(d, path+".webhook.type", &r.Webhook.Type, defaultWebhookType)
		}
	}
	if c.Location != nil {
		fill(d, "canary.location.quorum", &c.Location.Quorum, (len(c.Location.Peers)+1)/2+1)
	}
	if c.Serve != nil {
		fill(d, "canary.serve.title", &c.Serve.Title, p.Name)
	}
	fill(d, "canary.keep.attempts", &c.Keep.Attempts, defaultKeepAttempts)
	fill(d, "canary.keep.minutes", &c.Keep.Minutes, defaultKeepMinutes)
	fill(d, "canary.keep.hours", &c.Keep.Hours, defaultKeepHours)
}

func (d *decoder) filledRule(rule CanaryRule, path string, c *Canary) CanaryRule {
	fill(d, path+".by", &rule.By, defaultBy)
	fill(d, path+".open", &rule.Open, Triggers{{Row: defaultRow}})
	fill(d, path+".close", &rule.Close, Trigger{Row: defaultRow})
	fill(d, path+".severity", &rule.Severity, defaultSeverity)
	fill(d, path+".quiet", &rule.Quiet, min(2*c.longest(rule.Of), maxDuration))
	return rule
}

// longest is the longest interval of some transactions and heartbeats, of all
// when none is named.
func (c *Canary) longest(of Names) (every Duration) {
	names := of
	if len(names) == 0 {
		names = c.watched()
	}
	for _, name := range names {
		every = max(every, c.Transactions[name].Every, c.Heartbeats[name].Every)
	}
	return every
}

// watched are the names of all transactions and heartbeats.
func (c *Canary) watched() Names { return append(named(c.Transactions), named(c.Heartbeats)...) }
