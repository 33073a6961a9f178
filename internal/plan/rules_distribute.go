package plan

import (
	"regexp"
	"strings"
)

var (
	// quantity is a positive number as Kubernetes writes amounts of resources.
	// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
	quantity = regexp.MustCompile(`^(0*[1-9][0-9]*(\.[0-9]+)?|0*\.0*[1-9][0-9]*|0+\.0*[1-9][0-9]*)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$`)

	// labelKey and labelValue are what Kubernetes takes for labels.
	labelKey   = regexp.MustCompile(`^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)

	// namespaceName is a DNS label.
	namespaceName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
)

// validDistribute wants what a cluster would not refuse later.
func validDistribute(c *checker, p *Plan) {
	d := p.Distribute
	if d == nil {
		return
	}
	at := c.under("distribute")
	if at.given("image") && (d.Image == "" || strings.ContainsAny(d.Image, " \t\n")) {
		at.wrong("image", "", "image wants the name of an image such as registry.example.com/resilience:1; got %q", shorten(d.Image))
	}
	if at.given("namespace") && !namespaceName.MatchString(d.Namespace) {
		at.wrong("namespace", "", "%q is no name of a namespace", shorten(d.Namespace))
	}
	for _, named := range []struct{ key, name, what string }{
		{"pull_secret", d.PullSecret, "Secret"}, {"service_account", d.ServiceAccount, "service account"},
	} {
		if at.given(named.key) && !objectName.MatchString(named.name) {
			at.wrong(named.key, "", "%q is no name of a %s", shorten(named.name), named.what)
		}
	}
	if at.given("begin") && d.Begin <= 0 {
		at.wrong("begin", "", "begin must be more than 0s")
	}
	at.runnerLabels("node_selector", d.NodeSelector)
	at.runnerLabels("labels", d.Labels)
	at.annotations(d.Annotations)
	at.quantities(d.Resources)
	at.runnersInflux(d.Influx)
}

func (c *checker) runnerLabels(key string, labels map[string]string) {
	for name, value := range labels {
		at := key + `["` + name + `"]`
		if !labelKey.MatchString(name) {
			c.wrongKey(at, "", "%q is no key of a label", shorten(name))
		} else if !labelValue.MatchString(value) {
			c.wrong(at, "", "%q is no value of a label: letters, digits, - _ and . only, at most 63", shorten(value))
		}
	}
}

func (c *checker) annotations(all map[string]string) {
	for name := range all {
		if !labelKey.MatchString(name) {
			c.wrongKey(`annotations["`+name+`"]`, "", "%q is no key of an annotation", shorten(name))
		}
	}
}

func (c *checker) quantities(r *RunnerResources) {
	if r == nil {
		return
	}
	at := c.under(".resources")
	for _, q := range []struct{ key, text string }{
		{"cpu", r.CPU}, {"memory", r.Memory}, {"cpu_limit", r.CPULimit}, {"memory_limit", r.MemoryLimit},
	} {
		if at.given(q.key) && !quantity.MatchString(q.text) {
			at.wrong(q.key, "", "%s wants a quantity of Kubernetes such as 500m, 1 or 512Mi; got %q", q.key, shorten(q.text))
		}
	}
}

func (c *checker) runnersInflux(i *DistributedInflux) {
	if i == nil {
		return
	}
	at := c.under(".influx")
	if u := bound(i.URL); at.given("url") && u != nil {
		switch {
		case u.User != nil:
			at.wrong("url", "use secret:, or token: of the plan's influx:", "url can not hold a user or password")
		case loopbackHost(u.Hostname()):
			at.wrong("url", "name its address in the network of the cluster", "runners on a cluster can not reach %s of this machine", shorten(u.Host))
		}
	}
	at.url("url", i.URL, "http", "https")
	if at.given("secret") && !objectName.MatchString(i.Secret) {
		at.wrong("secret", "", "%q is no name of a Secret", shorten(i.Secret))
	}
}
