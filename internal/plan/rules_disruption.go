package plan

import (
	"fmt"
	"slices"
	"strings"
)

func validDisruption(c *checker, _ *Phase, d *Disruption) {
	if c.given("name") {
		if problem := wrongName(d.Name); problem != "" {
			c.wrong("name", "", "%s", problem)
		}
	}
	if _, exact := c.plan.Dependencies[d.Dependency]; !exact && !d.Sweep && isPattern(d.Dependency) {
		c.wrong("dependency", "name one, or add sweep: true to go through all that match", "a disruption acts on one dependency; %q is a pattern", shorten(d.Dependency))
	} else {
		c.reference("dependency", d.Dependency, "dependency", "dependencies", named(c.plan.Dependencies))
	}
	if c.given("share") && d.Share <= 0 {
		c.wrong("share", "", "share must be more than 0%%, or the disruption touches nothing")
	}
	if c.given("for") && d.For == 0 {
		c.wrong("for", "", "for must be more than 0s")
	}
}

func oneFault(c *checker, _ *Phase, _ *Disruption) { c.oneOf("a disruption", faults...) }

// places are the keys of a disruption that say what it acts on.
var places = []string{OnDependency, OnServices, OnProcess, OnContainer, OnKubernetes}

// onePlace wants a fault to act on something that it can act on.
func onePlace(c *checker, _ *Phase, d *Disruption) {
	var given []string
	for _, key := range places {
		if c.given(key) {
			given = append(given, key)
		}
	}
	fault, _ := d.Fault()
	if fault == "" || !c.clean(fault) {
		return
	}
	switch can := acts[fault]; {
	case len(given) > 1:
		c.wrongKey(given[1], "make a disruption of each", "a disruption can not have both %s: and %s:", given[0], given[1])
	case len(given) == 1 && !slices.Contains(can, given[0]):
		c.wrongKey(given[0], actsOn(can), "%s can not act on %s", fault, given[0])
	case len(given) == 0 && slices.Contains(places, can[0]):
		c.wrong("", "", "%s wants %s", fault, choice(colons(can)))
	}
}

// actsOn says where a fault belongs that can act on some kinds of things.
func actsOn(can []string) string {
	switch can[0] {
	case OnMachine:
		return "leave it out: it acts on the machine of the harness"
	case OnAnything:
		return "leave it out: what it acts on is its own business"
	}
	return "it acts on " + choice(can)
}

func colons(keys []string) []string {
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = key + ":"
	}
	return out
}

func validMatch(c *checker, _ *Phase, d *Disruption) {
	if d.Match == nil {
		return
	}
	at, m := c.under(".match"), *d.Match
	if m.Path == "" && m.Method == "" && len(m.Header) == 0 && m.GRPC == "" && m.Tenant == "" && len(m.Exclude) == 0 {
		at.wrong("", "leave it out to match every request", "match wants path:, method:, header:, grpc:, tenant: or exclude:")
	}
	if at.given("path") && !strings.HasPrefix(m.Path, "/") {
		at.wrong("path", "write for example /pay or /pay/*", "path begins with /; got %q", shorten(m.Path))
	} else if star := strings.Index(m.Path, "*"); star >= 0 && star < len(m.Path)-1 {
		at.wrong("path", "", "a * can only be the last character of path; got %q", shorten(m.Path))
	}
	at.method(m.Method)
	at.headers("header", m.Header)
	for i, left := range m.Exclude {
		key := "exclude"
		if at.given(fmt.Sprintf("exclude[%d]", i)) {
			key = fmt.Sprintf("exclude[%d]", i)
		}
		if star := strings.Index(left, "*"); left == "" || star >= 0 && star < len(left)-1 {
			at.wrong(key, "write for example /health, /internal/* or shop.Payments/Charge",
				"exclude wants a path or a method of gRPC, with a * as its last character only; got %q", shorten(left))
		}
	}
}

func validLatency(c *checker, _ *Phase, d *Disruption) {
	if d.Latency == nil {
		return
	}
	at, l := c.under(".latency"), *d.Latency
	if at.given("delay") && l.Delay == 0 {
		at.wrong("delay", "", "delay must be more than 0s")
	}
	if l.Delay > MaxDelay {
		at.wrong("delay", "no request lives that long", "delay can not be more than %s; got %s", MaxDelay, l.Delay)
	}
	if at.clean("delay") && l.Jitter > l.Delay {
		at.wrong("jitter", "", "jitter %s is more than the delay %s: a request can not leave before it came", l.Jitter, l.Delay)
	}
}

func validError(c *checker, _ *Phase, d *Disruption) {
	if d.Error == nil {
		return
	}
	at := c.under(".error")
	if s := d.Error.Status; at.given("status") && (s < 400 || s > 599) {
		at.wrong("status", "", "status is 400 to 599, or it is no error; got %d", s)
	}
}
