package plan

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// protocols are what a dependency's proxy speaks, and the faults that it can do
// to it. What is not in the lists can not act on a dependency at all.
var protocols = map[string][]string{
	"http": dependencyFaults("dns"),
	"grpc": dependencyFaults("dns"),
	"tcp":  dependencyFaults("dns", "error", "clock"),
	"dns":  {"dns", "latency"},
}

// toxiproxyFaults are what a Toxiproxy server can do.
var toxiproxyFaults = []string{"bandwidth", "latency", "refuse", "reset", "slice", "slow_close", "timeout", "truncate"}

// dependencyFaults are all that act on dependencies, but for some.
func dependencyFaults(without ...string) []string {
	return slices.DeleteFunc(slices.Clone(faults), func(fault string) bool {
		return !slices.Contains(acts[fault], OnDependency) || slices.Contains(without, fault)
	})
}

func validDependencies(c *checker, p *Plan) {
	for name, d := range p.Dependencies {
		at := c.under(`dependencies["%s"]`, name)
		if protocols[d.Protocol] == nil {
			at.wrong("protocol", didYouMean(d.Protocol, named(protocols)), "there is no protocol %q", shorten(d.Protocol))
		}
		if at.given("listen") && !validListen(d.Listen) {
			at.wrong("listen", "leave it out for a free port", "listen wants host:port such as 127.0.0.1:9001; got %q", shorten(d.Listen))
		}
		if !at.given("upstream") && d.Proxy == nil && d.Toxiproxy == nil {
			at.wrong("", "", "a dependency wants its upstream:")
		}
		if at.clean("protocol") {
			at.upstream(d)
			at.served(d)
		}
		if d.Toxiproxy != nil {
			at.toxiproxy(d)
		}
	}
}

// upstream wants an address that the proxy can pass on to.
func (c *checker) upstream(d Dependency) {
	c.tls("tls", d.TLS)
	if d.Plain() {
		c.address("upstream", d.Upstream)
	} else {
		c.url("upstream", d.Upstream, "http", "https", "h2c")
	}
	expanded, err := Expand(d.Upstream, standIns)
	if err != nil || !c.given("upstream") || !c.clean("upstream") {
		return
	}
	switch {
	case d.TLS != nil && d.Protocol == "dns":
		c.wrongKey("tls", "leave it out", "dns is asked without TLS")
	case d.TLS != nil && !d.Plain() && !strings.HasPrefix(strings.ToLower(expanded), "https:"):
		c.wrongKey("tls", "leave it out, or write the upstream as https://", "tls: is given but the upstream is not https")
	}
	d.Upstream = expanded
	if host, err := d.Host(); err == nil && host == strings.ToLower(d.Listen) {
		c.wrong("listen", "leave it out for a free port", "listen is the upstream itself: the proxy would call itself")
	}
}

// address wants HOST:PORT of a host that traffic may go to.
func (c *checker) address(key, text string) {
	if !c.given(key) || !c.clean(key) {
		return
	}
	expanded, err := Expand(text, standIns)
	if err != nil {
		return // the placeholder has been reported
	}
	address, err := Address(expanded)
	if err != nil {
		c.wrong(key, "", "%s %s", key, err)
		return
	}
	host, _, _ := net.SplitHostPort(address)
	if !Private(host) && !allowed(c.plan.Allow, host) {
		c.wrong(key, "add it if you may send traffic there: allow: ["+host+"]", "%s is a public host that the plan does not allow", shorten(host))
	}
}

// served wants TLS towards those who call only where the proxy here can speak
// it, and names that can be in a certificate.
func (c *checker) served(d Dependency) {
	if d.Serve == nil {
		return
	}
	if d.Protocol == "dns" {
		c.wrongKey("serve", "leave it out", "dns is served without TLS")
	}
	if at := c.under(".serve"); at.given("write_ca") && d.Serve.WriteCA == "" {
		at.wrong("write_ca", "leave it out for a file of its own", "write_ca is empty")
	}
	for i, name := range d.Serve.Names {
		if name == "" || strings.ContainsAny(name, " /:@") && net.ParseIP(name) == nil {
			c.under(".serve.names[%d]", i).wrong("", "", "a certificate is for a host such as payments.local; got %q", shorten(name))
		}
	}
}

// toxiproxy wants a server, and nothing of it that it can not do.
func (c *checker) toxiproxy(d Dependency) {
	at := c.under(".toxiproxy")
	if u, err := url.Parse(d.Toxiproxy.URL); at.given("url") {
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
			at.wrong("url", "", "url wants the API of a Toxiproxy server such as http://127.0.0.1:8474; got %q", shorten(d.Toxiproxy.URL))
		case u.User != nil:
			at.wrong("url", "", "url can not hold a user or password: Toxiproxy knows none")
		case !Private(u.Hostname()) && !allowed(c.plan.Allow, u.Hostname()):
			at.wrong("url", "add it if you may use it: allow: ["+u.Hostname()+"]", "%s is a public host that the plan does not allow", shorten(u.Hostname()))
		}
	}
	if at.given("name") && d.Toxiproxy.Name == "" {
		at.wrong("name", "leave it out for the dependency's own", "name is empty")
	}
	if d.Protocol == "dns" {
		c.wrong("protocol", "use tcp, or leave out toxiproxy:", "Toxiproxy can not do dns: it passes on TCP only")
	}
	for _, key := range []string{"tls", "serve"} {
		if c.given(key) {
			c.wrongKey(key, "leave it out", "Toxiproxy passes TLS on as it is: %s: has no meaning", key)
		}
	}
}

// validDependencyFault wants a fault that the dependency's proxy can do.
func validDependencyFault(c *checker, _ *Phase, d *Disruption) {
	on, known := c.plan.Dependencies[d.Dependency]
	fault, _ := d.Fault()
	if !known || fault == "" || !c.clean(fault) || !slices.Contains(acts[fault], OnDependency) {
		return
	}
	can, ok := protocols[on.Protocol]
	switch {
	case !ok: // reported already
	case !slices.Contains(can, fault):
		c.wrongKey(fault, "it can do "+choice(can), "%s can not be done to %s, a dependency of protocol %s", fault, d.Dependency, on.Protocol)
	case on.Toxiproxy != nil:
		c.withToxiproxy(fault, d)
	case fault == "certificate" && on.Serve == nil && on.Proxy == nil:
		c.wrongKey(fault, "add serve: {} to the dependency", "%s shows no certificate: it does not serve TLS", d.Dependency)
	case fault == "refuse" && on.Protocol == "tcp":
		c.wholePort(d)
	}
}

// withToxiproxy wants what a Toxiproxy server can do.
func (c *checker) withToxiproxy(fault string, d *Disruption) {
	if !slices.Contains(toxiproxyFaults, fault) {
		c.wrongKey(fault, "it can do "+choice(slices.Clone(toxiproxyFaults)), "Toxiproxy can not do %s", fault)
		return
	}
	for _, key := range []string{"match", "first", "flap"} {
		if c.given(key) {
			c.wrongKey(key, "leave it out, or let the harness have a proxy there", "Toxiproxy can not do %s:", key)
		}
	}
	if at := c.under(".latency"); at.given("distribution") && d.Latency.Distribution != "uniform" && at.clean("distribution") {
		at.wrong("distribution", "", "Toxiproxy can not do %s: its latency is uniform", shorten(d.Latency.Distribution))
	}
	if at := c.under(".bandwidth"); at.given("per_second") && d.Bandwidth.PerSecond < 1000 {
		at.wrong("per_second", "", "Toxiproxy counts in whole KB: per_second must be 1KB or more")
	}
	if fault == "refuse" {
		c.wholePort(d)
	}
}

// wholePort wants no limit to what is refused: a port is open or it is not.
func (c *checker) wholePort(d *Disruption) {
	if c.given("share") && d.Share < 1 {
		c.wrong("share", "leave it out, or use reset:", "refuse closes the port for everybody")
	}
	if c.given("first") {
		c.wrong("first", "leave it out, or use reset:", "refuse closes the port for everybody")
	}
}

var certificateKinds = []string{"expired", "not-yet-valid", "wrong-name", "untrusted", "rotate"}

func validCertificate(c *checker, _ *Phase, d *Disruption) {
	if d.Certificate == nil {
		return
	}
	at, kind := c.under(".certificate"), d.Certificate.Kind
	if at.given("kind") && !slices.Contains(certificateKinds, kind) {
		at.wrong("kind", didYouMean(kind, slices.Clone(certificateKinds)), "there is no kind %q of certificate", shorten(kind))
		return
	}
	if at.given("every") && kind != "rotate" {
		at.wrongKey("every", "leave it out", "every: is of rotate; %s stays the same", shorten(kind))
	}
	at.positive("every", uint64(d.Certificate.Every), "0s")
}

var dnsAnswers = []string{"nxdomain", "servfail", "refused", "empty", "none"}

func validDNS(c *checker, _ *Phase, d *Disruption) {
	if d.DNS == nil {
		return
	}
	at := c.under(".dns")
	if at.given("answer") && !slices.Contains(dnsAnswers, d.DNS.Answer) {
		at.wrong("answer", didYouMean(d.DNS.Answer, slices.Clone(dnsAnswers)), "there is no answer %q", shorten(d.DNS.Answer))
	}
	for i, name := range d.DNS.Names {
		if domain := strings.TrimPrefix(name, "*."); domain == "" || strings.ContainsAny(domain, "*/: ") {
			at.under(".names[%d]", i).wrong("", "", "names wants a host or *.domain; got %q", shorten(name))
		}
	}
}
