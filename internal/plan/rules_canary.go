package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Limits of a canary.
const (
	maxCanaryVUs = 10_000
	maxTries     = 10
	maxBeat      = Duration(14 * 24 * time.Hour) // twice that is how long an incident may stay quiet
	minKeep      = Retention(time.Hour)
	maxPlanned   = 30 * 24 * time.Hour // a slip in a year must not silence a canary for one
)

// validCanary wants a canary that somebody can be paged by.
func validCanary(c *checker, p *Plan) {
	if p.Canary == nil {
		return
	}
	at := c.under("canary")
	at.canaryTarget(p)
	if c.opts.Scenarios == nil || !c.opts.Scenarios(p.Canary.Script) {
		at.file("script", p.Canary.Script)
	}
	if at.given("vus") && (p.Canary.VUs < 1 || p.Canary.VUs > maxCanaryVUs) {
		at.wrong("vus", "", "vus is 1 to %d; got %d", maxCanaryVUs, p.Canary.VUs)
	}
	at.variables("env", p.Canary.Env)
	at.canaryTenants("tenants", p.Canary.Tenants, nil)
	at.transactions(p.Canary)
	at.heartbeats(p.Canary)
	at.health(p.Canary.Health)
	at.rules(p.Canary)
	at.receivers(p.Canary)
	at.maintenance(p.Canary)
	at.location(p.Canary.Location)
	at.serve(p.Canary)
	at.keep(p.Canary.Keep)
}

func (c *checker) canaryTarget(p *Plan) {
	c.reference("target", p.Canary.Target, "target", "targets", named(p.Targets))
	if strings.Contains(p.Targets[p.Canary.Target].URL, "${dependencies.") {
		c.wrong("target", "name a target that is reached directly", "%s is reached through a proxy, and a canary has none", p.Canary.Target)
	}
}

// canaryTenants wants tenants that there are, also after others have confined
// them. It is for the canary, its transactions, and tests of its kind.
func (c *checker) canaryTenants(key string, words, confined Names) {
	if !c.given(key) {
		return
	}
	switch {
	case c.plan.Tenants == nil:
		c.wrongKey(key, "say where they are: tenants: {file: tenants.yaml}", "the plan has no tenants")
		return
	case len(words) == 0:
		c.wrong(key, "write all, or KEY=VALUE", "tenants is empty")
		return
	}
	if _, err := selections(words); err != nil {
		c.wrong(key, "", "%s", err)
		return
	}
	all, err := chosen(c.tenants, confined)
	if err == nil {
		_, err = chosen(all, words)
	}
	if err != nil && len(c.tenants) > 0 {
		c.wrong(key, "", "%s", among(err, confined))
	}
}

// among adds to an error about tenants which ones it is about.
func among(err error, confined Names) string {
	if len(confined) == 0 {
		return err.Error()
	}
	return fmt.Sprintf("%s among those of the canary, %s", err, strings.Join(confined, " and "))
}

// function is what an exported function of a script can be called.
var function = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)

func (c *checker) transactions(p *Canary) {
	if c.given("transactions") && len(p.Transactions) == 0 {
		c.wrong("transactions", "write for example: transactions: {order: {every: 1m}}", "a canary wants at least one transaction")
	}
	for _, name := range slices.Sorted(slices.Values(named(p.Transactions))) {
		task, at := p.Transactions[name], c.under(`.transactions["%s"]`, name)
		c.name(`transactions["`+name+`"]`, name)
		switch {
		case function.MatchString(task.Exec):
		case at.given("exec"):
			at.wrong("exec", "", "exec wants the name of a function such as order; got %q", shorten(task.Exec))
		default:
			at.wrong("", "say which one it is: exec: NAME", "no function of a script can be called %q", shorten(name))
		}
		at.interval(task.Every, Duration(24*time.Hour))
		at.triesOf(task)
		if at.given("tenants") && !c.given("tenants") && c.plan.Tenants != nil {
			at.wrongKey("tenants", "give it tenants: all, too", "the canary acts as nobody, and a transaction can only act as fewer")
			continue
		}
		at.canaryTenants("tenants", task.Tenants, p.Tenants)
	}
}

// name wants a key that can be the name of a series.
func (c *checker) name(key, name string) {
	if problem := wrongName(name); problem != "" {
		c.wrongKey(key, "", "%s", problem)
	}
}

func (c *checker) interval(every, most Duration) {
	if c.given("every") && (every < Duration(time.Second) || every > most) {
		c.wrong("every", "", "every is 1s to %s; got %s", Retention(most), every)
	}
}

// triesOf wants all tries of a transaction to have room before it is due again.
func (c *checker) triesOf(task CanaryTask) {
	switch {
	case task.Timeout <= 0 && c.given("timeout"):
		c.wrong("timeout", "", "timeout must be more than 0s")
	case task.Timeout > task.Every && c.clean("every"):
		c.wrong("timeout", "", "timeout (%s) is longer than every (%s): it would still be under way when it is due again", task.Timeout, task.Every)
	case task.Tries < 1 || task.Tries > maxTries:
		c.wrong("tries", "", "tries is 1 to %d; got %d", maxTries, task.Tries)
	case task.Tries > 1 && Duration(task.Tries-1)*task.Wait >= task.Timeout && c.clean("timeout") && c.clean("every"):
		c.wrong("tries", "raise timeout:, or lower wait:", "%d tries with %s between them do not fit into the timeout of %s", task.Tries, task.Wait, task.Timeout)
	}
	if c.given("slow") && (task.Slow <= 0 || task.Slow > task.Timeout) {
		c.wrong("slow", "", "slow is over 0s and at most the timeout (%s); got %s", task.Timeout, task.Slow)
	}
}

func (c *checker) heartbeats(p *Canary) {
	for _, name := range slices.Sorted(slices.Values(named(p.Heartbeats))) {
		beat, key := p.Heartbeats[name], `heartbeats["`+name+`"]`
		at := c.under(`.heartbeats["%s"]`, name)
		c.name(key, name)
		if _, taken := p.Transactions[name]; taken {
			c.wrongKey(key, "rename one", "there is a transaction %q as well", shorten(name))
		}
		at.interval(beat.Every, maxBeat)
		if at.given("grace") && (beat.Grace < Duration(time.Second) || beat.Grace > maxBeat) {
			at.wrong("grace", "", "grace is 1s to %s; got %s", Retention(maxBeat), beat.Grace)
		}
	}
	if len(p.Heartbeats) > 0 && (p.Serve == nil || p.Serve.Token == "") {
		c.wrongKey("heartbeats", "write for example: serve: {token: \"${secrets.NAME}\"}", "jobs report in with the token of serve:, and there is none")
	}
}

func (c *checker) health(h *CanaryHealth) {
	if h == nil {
		return
	}
	at := c.under(".health")
	if at.given("path") && (!strings.HasPrefix(h.Path, "/") || strings.ContainsAny(h.Path, " #\r\n")) {
		at.wrong("path", "", "path begins with /, such as /healthz; got %q", shorten(h.Path))
	}
	at.interval(h.Every, Duration(24*time.Hour))
}

func (c *checker) maintenance(p *Canary) {
	for i, m := range p.Maintenance {
		at := c.under(".maintenance[%d]", i)
		at.words("reason", m.Reason)
		at.watchedNames("of", m.Of, p)
		if at.given("cell") && len(c.tenants) > 0 && !slices.ContainsFunc(c.tenants, func(t Tenant) bool { return t.Cell == m.Cell }) {
			at.wrong("cell", didYouMean(m.Cell, cells(c.tenants)), "no tenant is in cell %q", shorten(m.Cell))
		}
		if !at.given("from") || !at.given("to") || !at.clean("from") || !at.clean("to") {
			continue
		}
		switch lasts := time.Time(m.To).Sub(time.Time(m.From)); {
		case lasts <= 0:
			at.wrong("to", "", "the maintenance ends before it begins")
		case lasts > maxPlanned:
			at.wrong("to", "is it the right month and year?", "the maintenance lasts longer than 30 days")
		}
	}
}

// cells are those of some tenants, each once.
func cells(tenants []Tenant) []string {
	seen := map[string]bool{}
	for _, t := range tenants {
		if t.Cell != "" {
			seen[t.Cell] = true
		}
	}
	return named(seen)
}

// watchedNames wants the names of transactions and heartbeats.
func (c *checker) watchedNames(key string, names Names, p *Canary) {
	if c.given(key) && len(names) == 0 && c.clean(key) {
		c.wrong(key, "leave it out for all", "%s is empty", key)
	}
	c.each(key, names, func(at, name string) {
		if known := p.watched(); !slices.Contains(known, name) && c.clean("transactions") {
			c.wrong(at, didYouMean(name, known), "there is no transaction or heartbeat %q", shorten(name))
		}
	})
}

// each looks at names that are written as one or as a list.
func (c *checker) each(key string, names Names, look func(at, name string)) {
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", key, i)
		if !c.given(at) {
			at = key
		}
		look(at, name)
	}
}

func (c *checker) location(l *Location) {
	if l == nil {
		return
	}
	at := c.under(".location")
	if problem := wrongName(l.Name); at.given("name") && problem != "" {
		at.wrong("name", "", "%s", problem)
	}
	at.secretOnly("token", l.Token)
	if at.given("peers") && len(l.Peers) == 0 {
		at.wrong("peers", "leave location: out where there is one instance", "a location wants peers: the others, by name")
	}
	if all := len(l.Peers) + 1; at.given("quorum") && (l.Quorum < 1 || l.Quorum > all) {
		at.wrong("quorum", "", "quorum is 1 to %d, the number of locations; got %d", all, l.Quorum)
	}
	for name, peer := range l.Peers {
		key, under := `peers["`+name+`"]`, at.under(`.peers["%s"]`, name)
		at.name(key, name)
		if name == l.Name {
			at.wrongKey(key, "peers are the others; each has a name of its own", "%s is this location itself", name)
		}
		under.shown("url", peer.URL, peer.TLS)
	}
}

func (c *checker) serve(p *Canary) {
	if p.Serve == nil {
		return
	}
	at := c.under(".serve")
	at.secretOnly("token", p.Serve.Token)
	at.words("title", p.Serve.Title)
	if !p.Serve.Public && !at.given("token") {
		c.wrongKey("serve", "set public: true, or token:", "nobody could read what is served")
	}
}

func (c *checker) keep(k CanaryKeep) {
	at := c.under(".keep")
	switch {
	case k.Attempts < minKeep:
		at.wrong("attempts", "", "attempts are kept for 1h or more; got %s", k.Attempts)
	case k.Minutes < k.Attempts:
		at.wrong("minutes", "", "minutes (%s) are kept for no less than attempts (%s)", k.Minutes, k.Attempts)
	case k.Hours < k.Minutes:
		at.wrong("hours", "", "hours (%s) are kept for no less than minutes (%s)", k.Hours, k.Minutes)
	}
}

// secretOnly wants a value that is kept elsewhere.
func (c *checker) secretOnly(key, value string) {
	if c.given(key) && !secretOnly.MatchString(value) {
		c.wrong(key, "write ${secrets.NAME} and define NAME under secrets:", "credentials are never written in a plan")
	}
}

// shown wants a URL that a credential can be shown to without others hearing it.
func (c *checker) shown(key, text string, t *TLS) {
	c.url(key, text, "http", "https")
	c.tls("tls", t)
	u := bound(text)
	if u == nil || !c.given(key) || !c.clean(key) {
		return
	}
	if u.Scheme == "http" && !loopbackHost(u.Hostname()) {
		c.wrong(key, "write it as https://, with tls: {ca: FILE} for a certificate of your own", "the token would go to %s unencrypted", shorten(u.Host))
	}
	if t != nil && u.Scheme != "https" {
		c.wrongKey("tls", "leave it out, or write the url as https://", "tls: is given but the url is not https")
	}
}

// validCanaryTest wants a canary that the test can do what it does.
func validCanaryTest(c *checker, t *CanaryTest) {
	if c.plan.Canary == nil {
		c.wrong("", "say what it does under canary: at the top of the plan", "the plan has no canary")
		return
	}
	if c.given("duration") && t.Duration == 0 {
		c.wrong("duration", "", "duration must be more than 0s")
	} else if t.Warmup+t.Duration > maxDuration {
		c.wrong("", "", "canary would last %s, longer than 30 days", t.Warmup+t.Duration)
	}
	if c.given("tenants") && len(c.plan.Canary.Tenants) == 0 && c.plan.Tenants != nil {
		c.wrongKey("tenants", "", "the canary acts as nobody, and a test can only act as fewer")
		return
	}
	c.canaryTenants("tenants", t.Tenants, c.plan.Canary.Tenants)
}
