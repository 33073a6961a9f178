package distribute

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"resilience/internal/plan"
)

// Check tells what of a phase can not be sent from a cluster, all of it, and
// what to do instead. Nothing has to be running for it.
func Check(p plan.Plan, phase plan.Phase) error {
	var problems []error
	wrong := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("phase "+phase.Name+": "+format, args...))
	}
	for _, t := range phase.Tests {
		_, profile := t.Kind()
		switch {
		case t.Canary != nil:
			wrong("test %s is a canary, whose schedule is kept by one process: send it with resilience run", t.Name)
		case t.Shadow != nil:
			wrong("test %s replays a recording, whose sessions are kept in order by one process: send it with resilience run", t.Name)
		case profile.Script == "":
			wrong("test %s has no script, and runners on a cluster are k6: write script: instead of requests:, or send it with resilience run", t.Name)
		case len(profile.Injects) > 0:
			wrong("test %s injects %s from its script, whose runners are not where the proxies are: write it as disruptions: of the phase", t.Name, strings.Join(profile.Injects, ", "))
		}
	}
	for _, name := range []string{phase.Candidate, phase.Baseline.Target} {
		if name == "" {
			continue
		}
		target := p.Targets[name]
		if where, here := onThisMachine(target.URL); here {
			wrong("target %s is %s, which a cluster can not reach: name an address that its pods can", name, where)
		}
		if target.TLS != nil && target.TLS.Cert != "" {
			wrong("target %s wants a client certificate, whose key would be readable on the cluster: leave out tls: cert, or send it with resilience run", name)
		}
	}
	return errors.Join(problems...)
}

// onThisMachine reports whether a URL, which may hold placeholders, leads to
// this machine, and says what is there.
func onThisMachine(text string) (where string, here bool) {
	for prefix, what := range map[string]string{"${services.": "a service of the plan on this machine", "${dependencies.": "a proxy on this machine"} {
		if strings.Contains(text, prefix) {
			return what, true
		}
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", false
	}
	ip := net.ParseIP(u.Hostname())
	if u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") || ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		return u.Host + " on this machine", true
	}
	return "", false
}
