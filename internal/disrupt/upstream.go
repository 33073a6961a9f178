package disrupt

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"resilience/internal/plan"
)

// upstream is where a proxy sends requests to.
type upstream struct {
	url       *url.URL // scheme http or https, no query
	transport *http.Transport
}

// newUpstream reads a dependency's address and makes connections to it
// possible. Relative paths of files start at dir.
func newUpstream(d plan.Dependency, dir string) (upstream, error) {
	u, err := parseUpstream(d.Upstream)
	if err != nil {
		return upstream{}, err
	}
	t := newTransport()
	grpc := d.Protocol == "grpc" // which is HTTP/2, always
	if grpc || u.Scheme == "h2c" {
		t.DialContext = dialPacked
	}
	switch u.Scheme {
	case "h2c":
		u.Scheme = "http"
		t.Protocols.SetUnencryptedHTTP2(true)
	case "http":
		t.Protocols.SetHTTP1(!grpc)
		t.Protocols.SetUnencryptedHTTP2(grpc)
	case "https":
		t.Protocols.SetHTTP1(!grpc)
		t.Protocols.SetHTTP2(true)
	}
	if d.TLS != nil {
		if u.Scheme != "https" {
			return upstream{}, fmt.Errorf("tls is given but upstream %q is not https", d.Upstream)
		}
		if t.TLSClientConfig, err = d.TLS.Config(dir); err != nil {
			return upstream{}, err
		}
	}
	return upstream{url: u, transport: t}, nil
}

func parseUpstream(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("upstream: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c":
		return nil, fmt.Errorf("upstream %q: write it as http://, https:// or h2c://HOST:PORT", raw)
	case u.Hostname() == "":
		return nil, fmt.Errorf("upstream %q has no host", raw)
	case u.User != nil:
		return nil, fmt.Errorf("upstream %q: a user or password belongs to the requests of the system, not here", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("upstream %q: leave out everything after the path", raw)
	}
	return u, nil
}

// newTransport makes a transport that adds nothing of its own: no proxy from
// the environment, no compression, no limit to what waits or is kept open. Its
// Protocols are empty.
func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
		MaxIdleConnsPerHost:   1024, // there is but one host
		DisableCompression:    true,
		Protocols:             new(http.Protocols),
	}
}

var dialer = net.Dialer{Timeout: 30 * time.Second}

func dialPacked(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return pack(c), nil
}

// is tells whether an address (host:port) is literally the upstream's.
func (u upstream) is(address string) bool {
	port := cmp.Or(u.url.Port(), map[string]string{"http": "80", "https": "443"}[u.url.Scheme])
	return net.JoinHostPort(u.url.Hostname(), port) == address
}
