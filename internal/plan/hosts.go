package plan

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// localSuffixes are the ends of names that only exist on private networks.
var localSuffixes = []string{".localhost", ".local", ".internal", ".svc"}

// Private reports whether a host can only be a machine of the user's own: a
// loopback, private, link-local or unspecified address, a name without dots,
// or one that ends like a private one. Numbers that a resolver may take for an
// address (2130706433, 0x7f.1) are not.
func Private(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if address, err := netip.ParseAddr(host); err == nil {
		address = address.Unmap()
		return address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast() || address.IsUnspecified()
	}
	for _, suffix := range localSuffixes {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return host != "" && !strings.Contains(host, ".") && (host[0] < '0' || host[0] > '9')
}

// allowed reports whether an entry of allow: covers a host. An entry *.domain
// covers every name below the domain, not the domain itself.
func allowed(allow []string, host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return slices.ContainsFunc(allow, func(entry string) bool {
		entry = strings.ToLower(entry)
		if domain, wild := strings.CutPrefix(entry, "*"); wild {
			return strings.HasSuffix(host, domain)
		}
		return host == entry
	})
}

// Host gives the host:port of a URL; the port is that of the scheme unless
// given.
func Host(rawURL string) (string, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "", fmt.Errorf("the URL %q: %w", rawURL, err)
	}
	ports := map[string]string{"http": "80", "h2c": "80", "https": "443", "ws": "80", "wss": "443"}
	port := u.Port()
	if port == "" {
		port = ports[strings.ToLower(u.Scheme)]
	}
	if u.Hostname() == "" || port == "" {
		return "", fmt.Errorf("the URL %q has no host to connect to", rawURL)
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port), nil
}

// Hosts gives every host:port that a plan may send traffic to, sorted: those of
// its targets, upstreams and token servers. Its placeholders must have been
// replaced.
func (p Plan) Hosts() ([]string, error) {
	var urls []string
	for _, t := range p.Targets {
		urls = append(urls, t.URL)
		if t.Auth != nil && t.Auth.OAuth2 != nil {
			urls = append(urls, t.Auth.OAuth2.TokenURL)
		}
	}
	var hosts []string
	for name, d := range p.Dependencies {
		switch host, err := d.Host(); {
		case err != nil:
			return nil, fmt.Errorf("upstream of %s: %w", name, err)
		case host != "":
			hosts = append(hosts, host)
		}
	}
	for _, u := range urls {
		host, err := Host(u)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), nil
}
