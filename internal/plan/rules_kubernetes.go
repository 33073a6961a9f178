package plan

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// podSelectors are the keys that say which pods are meant.
var podSelectors = []string{"select", "service", "workload"}

// workloadKinds are the workloads that can be named, in kubectl's short forms
// too.
var workloadKinds = []string{"deployment", "deploy", "statefulset", "sts", "daemonset", "ds"}

// objectName is what objects of Kubernetes are called.
var objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// validKubernetes wants what each fault needs, and nothing that it would not
// look at.
func validKubernetes(c *checker, _ *Phase, d *Disruption) {
	if d.Kubernetes == nil {
		return
	}
	fault, _ := d.Fault()
	at, k := c.under(".kubernetes"), *d.Kubernetes
	switch fault {
	case "":
		return
	case "drain":
		at.wants(fault, "node")
		at.only(fault, "node")
	case "restart", "scale":
		at.wants(fault, "workload")
		at.only(fault, "workload")
	case "kill":
		at.wants(fault, podSelectors...)
		at.only(fault, append([]string{"exclude"}, podSelectors...)...)
	case "drop":
		at.wants(fault, podSelectors...)
		at.only(fault, append([]string{"exclude", "image"}, podSelectors...)...)
		at.wants(fault, "image")
	default:
		at.wants(fault, podSelectors...)
		at.only(fault, append([]string{"exclude", "image", "port", "protocol"}, podSelectors...)...)
		at.wants(fault, "image")
	}
	at.objects(k)
	at.podPort(k)
}

// wants complains unless one of the keys is given, and just one.
func (c *checker) wants(fault string, keys ...string) {
	var given []string
	for _, key := range keys {
		if c.given(key) {
			given = append(given, key)
		}
	}
	switch {
	case len(given) == 0:
		c.wrong("", "", "%s on kubernetes wants %s", fault, strings.Join(colons(keys), " or "))
	case len(given) > 1:
		c.wrongKey(given[1], "make a disruption of each", "kubernetes can not have both %s: and %s:", given[0], given[1])
	}
}

// only complains of keys that a fault does not look at.
func (c *checker) only(fault string, keys ...string) {
	for _, key := range []string{"select", "exclude", "service", "workload", "node", "port", "protocol", "image"} {
		if c.given(key) && !slices.Contains(keys, key) {
			c.wrongKey(key, "leave it out", "%s on kubernetes does not look at %s", fault, key)
		}
	}
}

// objects wants names that objects can have.
func (c *checker) objects(k Kubernetes) {
	for _, named := range []struct{ key, name string }{{"namespace", k.Namespace}, {"service", k.Service}, {"node", k.Node}} {
		if c.given(named.key) && !objectName.MatchString(named.name) {
			c.wrong(named.key, "", "%q is no name of a %s", shorten(named.name), named.key)
		}
	}
	if c.given("select") && len(k.Select) == 0 {
		c.wrong("select", "", "select wants at least one label: no label selects every pod")
	}
	kind, name, _ := strings.Cut(k.Workload, "/")
	if c.given("workload") && (!slices.Contains(workloadKinds, kind) || !objectName.MatchString(name)) {
		c.wrong("workload", "", "workload wants deployment/NAME, statefulset/NAME or daemonset/NAME; got %q", shorten(k.Workload))
	}
}

// podPort wants a port that can be one, and a protocol that an agent speaks.
func (c *checker) podPort(k Kubernetes) {
	if n, err := strconv.Atoi(k.Port); c.given("port") && err == nil && (n < 1 || n > 65535) {
		c.wrong("port", "", "a port is 1 to 65535, or a name; got %q", shorten(k.Port))
	}
	if protocols := []string{"http", "grpc", "tcp"}; c.given("protocol") && !slices.Contains(protocols, k.Protocol) {
		c.wrong("protocol", didYouMean(k.Protocol, protocols), "protocol wants %s; got %q", choice(protocols), shorten(k.Protocol))
	}
}

// validDrop wants ports and protocols that packets can have.
func validDrop(c *checker, _ *Phase, d *Disruption) {
	if d.Drop == nil {
		return
	}
	at := c.under(".drop")
	for _, port := range d.Drop.Ports {
		if port < 1 || port > 65535 {
			at.wrong("ports", "", "a port is 1 to 65535; got %d", port)
		}
	}
	if at.given("protocol") && d.Drop.Protocol != "tcp" && d.Drop.Protocol != "udp" {
		at.wrong("protocol", "", "protocol wants tcp or udp; got %q", shorten(d.Drop.Protocol))
	}
	for _, key := range []string{"first", "flap", "match"} {
		if c.given(key) {
			c.wrongKey(key, "leave it out; share: says how many", "drop loses packets by chance: %s has no meaning", key)
		}
	}
}

// validPodLife wants of kill, restart and scale what pods can do.
func validPodLife(c *checker, _ *Phase, d *Disruption) {
	if d.Scale != nil && d.Scale.To < 0 {
		c.under(".scale").wrong("to", "", "to is 0 or more; got %d", d.Scale.To)
	}
	if d.Kubernetes == nil {
		return
	}
	if d.Kill != nil && c.given("kill.signal") {
		c.under(".kill").wrongKey("signal", "say grace: to give them time", "pods are deleted, not sent a signal")
	}
	if d.Restart != nil && c.given("restart.gap") {
		c.under(".restart").wrongKey("gap", "leave it out", "the workload's own strategy says how its pods restart")
	}
}
