package plan

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Address reads HOST:PORT, the upstream of a dependency that does not speak
// HTTP, and gives it in lower case. An IPv6 address is written in brackets.
func Address(text string) (string, error) {
	if strings.Contains(text, "://") {
		return "", fmt.Errorf("wants HOST:PORT such as 127.0.0.1:5432, not a URL; got %q", shorten(text))
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" || strings.ContainsAny(host, "/@ ") {
		return "", fmt.Errorf("wants HOST:PORT such as 127.0.0.1:5432; got %q", shorten(text))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("wants a port from 1 to 65535; got %q", shorten(port))
	}
	return net.JoinHostPort(strings.ToLower(host), port), nil
}

// Plain tells whether the upstream of a dependency is written as HOST:PORT and
// not as a URL.
func (d Dependency) Plain() bool { return d.Protocol == "tcp" || d.Protocol == "dns" }

// Host gives the host:port of the upstream; "" where there is none, because a
// proxy elsewhere knows it.
func (d Dependency) Host() (string, error) {
	switch {
	case d.Upstream == "":
		return "", nil
	case d.Plain():
		return Address(d.Upstream)
	}
	return Host(d.Upstream)
}

// AuthorityVariable names the environment variable in which services find the
// file of the authority that vouches for a dependency's proxy, where that
// serves TLS: RESILIENCE_DEP_PAYMENTS_CA for payments.
func AuthorityVariable(name string) string {
	return strings.TrimSuffix(DependencyVariable(name), "_URL") + "_CA"
}
