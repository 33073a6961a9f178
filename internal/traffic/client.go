package traffic

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"resilience/internal/plan"
)

// newClient makes a client for a target, without a timeout. It dials nothing
// but the hosts (host:port), uses no proxy from the environment, speaks HTTP/2
// where TLS negotiates it, and adds the target's headers and credentials to
// requests for the target itself, never to those for another host that a
// redirect led to. A header that a request sets itself stays. Conns is how many
// idle connections it keeps; paths in the target's TLS settings are relative
// to dir.
func newClient(target plan.Target, hosts []string, dir string, conns int, auth *Authorizer) (*http.Client, error) {
	base, err := url.Parse(target.URL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("target URL %q: want http://HOST or https://HOST", redactURL(target.URL))
	}
	transport, err := newTransport(target.TLS, hosts, dir, conns)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: &headerTransport{next: transport, host: base.Host, headers: target.Headers, auth: auth}}, nil
}

// newTransport makes the guarded transport below a client, without headers.
func newTransport(t *plan.TLS, hosts []string, dir string, conns int) (*http.Transport, error) {
	config, err := t.Config(dir)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		DialContext:         guard(hosts),
		TLSClientConfig:     config,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: conns,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 30 * time.Second,
	}, nil
}

// GuardError says that something wanted to dial a host that the plan does not
// name.
type GuardError struct{ Addr string }

func (e *GuardError) Error() string {
	return fmt.Sprintf("%s is not in the plan: traffic only goes to hosts under targets and dependencies; "+
		"add it there (a public address under allow as well)", e.Addr)
}

// guard dials only the hosts.
func guard(hosts []string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	allowed := make(map[string]bool, len(hosts))
	for _, h := range hosts {
		allowed[strings.ToLower(h)] = true
	}
	dialer := &net.Dialer{KeepAlive: 30 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if !allowed[strings.ToLower(addr)] {
			return nil, &GuardError{Addr: addr}
		}
		return dialer.DialContext(ctx, network, addr)
	}
}

// headerTransport adds what belongs to a target to each request for it.
type headerTransport struct {
	next    *http.Transport
	host    string
	headers map[string]string
	auth    *Authorizer
}

// RoundTrip implements http.RoundTripper.
func (t *headerTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.EqualFold(req.URL.Host, t.host) {
		return t.next.RoundTrip(req)
	}
	credentials, err := t.auth.Headers(req.Context())
	if err != nil {
		closeBody(req)
		return nil, err
	}
	req = req.Clone(req.Context())
	for name, value := range t.headers {
		addHeader(req, name, value)
	}
	for name, value := range credentials {
		addHeader(req, name, value)
	}
	return t.next.RoundTrip(req)
}

// CloseIdleConnections lets http.Client close what is kept open.
func (t *headerTransport) CloseIdleConnections() { t.next.CloseIdleConnections() }

func addHeader(req *http.Request, name, value string) {
	switch {
	case strings.EqualFold(name, "Host"):
		if req.Host == "" || req.Host == req.URL.Host {
			req.Host = value
		}
	case len(req.Header.Values(name)) == 0:
		req.Header.Set(name, value)
	}
}

// closeBody does what the contract of http.RoundTripper asks for on errors.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
