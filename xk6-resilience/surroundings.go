package xk6resilience

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// surroundings are the harness's settings in the form that is quick to use for
// each request. They never change; new settings make new ones.
type surroundings struct {
	source  string
	stream  plan.Stream
	kind    string
	profile plan.Profile
	names   measure.Series // phase, test and arm
	headers http.Header    // for the target alone
	byPlan  bool           // the plan says what is accepted, not the script
	accepts [600]bool      // by status
	places  map[endpoint]place
	addrs   map[string]bool // host:port that may be dialled; empty: all
	target  string          // host:port
	tenants []tenant
	byName  map[string]*tenant
	hide    *strings.Replacer
}

// endpoint is what a URL says about where it leads.
type endpoint struct{ scheme, host string }

// place is what we know about an endpoint.
type place struct{ allowed, target bool }

func newSurroundings(settings plan.Settings) *surroundings {
	st := settings.Stream
	s := &surroundings{
		source: settings.Source, stream: st, byPlan: len(st.Target.Accept) > 0 && st.Target.AcceptsSomething(), headers: http.Header{},
		names:  measure.Series{Phase: st.Phase, Test: st.Test.Name, Arm: st.Arm},
		places: map[endpoint]place{}, addrs: map[string]bool{},
	}
	s.kind, s.profile = st.Test.Kind()
	for status := range s.accepts {
		s.accepts[status] = status >= 200 && status < 400
		if s.byPlan {
			s.accepts[status] = plan.Accepts(st.Target, status)
		}
	}
	for name, value := range settings.Headers {
		s.headers.Set(name, value)
	}
	for _, id := range st.Tenants {
		s.tenants = append(s.tenants, newTenant(id))
	}
	s.byName = make(map[string]*tenant, len(s.tenants))
	for i := range s.tenants {
		s.byName[s.tenants[i].Name] = &s.tenants[i]
	}
	s.hide = hider(credentials(settings))
	if u, err := url.Parse(st.Target.URL); err == nil {
		s.target = address(u)
	}
	for _, host := range st.Hosts {
		s.addrs[strings.ToLower(host)] = true
	}
	for addr := range s.addrs {
		s.know(addr)
	}
	return s
}

// know remembers the ways in which URLs spell an address.
func (s *surroundings) know(addr string) {
	for scheme, port := range defaultPorts {
		p := place{allowed: true, target: addr == s.target}
		s.places[endpoint{scheme, addr}] = p
		if host, short := strings.CutSuffix(addr, ":"+port); short {
			s.places[endpoint{scheme, host}] = p
		}
	}
}

// place looks up where a URL leads.
func (s *surroundings) place(u *url.URL) place {
	if p, known := s.places[endpoint{u.Scheme, u.Host}]; known {
		return p
	}
	addr := address(u)
	return place{allowed: s.allows(addr), target: addr == s.target}
}

// allows reports whether the plan names an address. Without a plan (bare k6)
// every one is allowed.
func (s *surroundings) allows(addr string) bool {
	return len(s.addrs) == 0 || s.addrs[strings.ToLower(addr)]
}

// accepted reports whether the plan accepts a status; 2xx and 3xx where it does
// not say.
func (s *surroundings) accepted(status int) bool {
	return status >= 0 && status < len(s.accepts) && s.accepts[status]
}

// series gives a series of this process's test the names of its surroundings.
func (s *surroundings) series(series measure.Series) measure.Series {
	series.Phase, series.Test, series.Arm = s.names.Phase, s.names.Test, s.names.Arm
	return series
}

// offLimits is the error for an address that the plan does not name.
func offLimits(addr string) error {
	return fmt.Errorf("host %s is not among the plan's targets and dependencies; add it under targets to send traffic to it", addr)
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

// address is the host:port that a URL leads to, in lower case.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	return strings.ToLower(net.JoinHostPort(u.Hostname(), port))
}

// credentials are what must not be in any message: the headers for the target,
// the tokens of tenants, and the token of the control.
func credentials(settings plan.Settings) map[string]string {
	all := maps.Clone(settings.Headers)
	if all == nil {
		all = map[string]string{}
	}
	for _, id := range settings.Stream.Tenants {
		if id.Token != "" {
			all["token of the tenant "+id.Name] = id.Token
		}
	}
	if c := settings.Stream.Control; c != nil {
		all["token of the control"] = c.Token
	}
	return all
}
