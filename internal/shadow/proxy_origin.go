package shadow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// proxyOrigin is a server that requests are sent to, and the connections to it. Nothing
// is shared between two of them.
type proxyOrigin struct {
	base      *url.URL // scheme http or https, no query
	transport *http.Transport
}

// newProxyOrigin reads an address: http://, https:// or, for HTTP/2 without TLS, h2c://
// HOST:PORT, and perhaps a path that all paths follow. There are at most conns
// connections to it; 0 is any number. Secured is for https.
func newProxyOrigin(raw string, conns int, secured Encryption) (proxyOrigin, error) {
	u, err := parseProxyOrigin(raw)
	if err != nil {
		return proxyOrigin{}, err
	}
	// It adds nothing of its own: no proxy of the environment, no compression.
	t := &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    1024, // there is but one host
		MaxConnsPerHost:        conns,
		MaxResponseHeaderBytes: 1 << 20,
		DisableCompression:     true,
		Protocols:              new(http.Protocols),
		TLSClientConfig:        secured.asking(u.Hostname()),
	}
	switch u.Scheme {
	case "h2c":
		u.Scheme = "http"
		t.Protocols.SetUnencryptedHTTP2(true)
	case "http":
		t.Protocols.SetHTTP1(true)
	case "https":
		t.Protocols.SetHTTP1(true)
		t.Protocols.SetHTTP2(true)
	}
	return proxyOrigin{base: u, transport: t}, nil
}

// CheckURL says what is wrong with the address of a service: it is written as
// http://, https:// or h2c://HOST:PORT, and perhaps a path.
func CheckURL(raw string) error {
	_, err := parseProxyOrigin(raw)
	return err
}

func parseProxyOrigin(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		var why *url.Error
		if errors.As(err, &why) {
			err = why.Err // without the address, which may hold a password
		}
		return nil, fmt.Errorf("the address can not be read: %w; write it as http://, https:// or h2c://HOST:PORT", err)
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "h2c":
		return nil, fmt.Errorf("%q: write it as http://, https:// or h2c://HOST:PORT", u.Redacted())
	case u.Hostname() == "":
		return nil, fmt.Errorf("%q has no host", u.Redacted())
	case u.User != nil:
		return nil, fmt.Errorf("%q: leave out the user and the password: users bring their own", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q: leave out everything after the path", raw)
	}
	return u, nil
}

// is tells whether an address (host:port) on which this machine listens is the
// origin's, as far as that can be told without asking for names.
func (o proxyOrigin) is(address string) bool {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != cmp.Or(o.base.Port(), map[string]string{"http": "80", "https": "443"}[o.base.Scheme]) {
		return false
	}
	name := o.base.Hostname()
	if name == "localhost" {
		name = "127.0.0.1"
	}
	listens, asked := net.ParseIP(host), net.ParseIP(name)
	here := asked.IsLoopback() || asked.IsUnspecified()
	return listens.Equal(asked) || listens.IsUnspecified() && here || listens.IsLoopback() && asked.IsUnspecified()
}

// at is where a target (path and query, as in a request line) is at the origin,
// encoded just as it came.
func (o proxyOrigin) at(target string) *url.URL {
	u := &url.URL{Scheme: o.base.Scheme, Host: o.base.Host}
	path, query, asked := strings.Cut(target, "?")
	u.RawQuery, u.ForceQuery = query, asked
	if path != "*" {
		path = strings.TrimSuffix(o.base.EscapedPath(), "/") + path
	}
	if strings.HasPrefix(path, "//") { // which an opaque URL can not say
		u.Path, u.RawPath = path, path
		if plain, err := url.PathUnescape(path); err == nil {
			u.Path = plain
		}
		return u
	}
	u.Opaque = path
	return u
}

// proxyTarget is the target of a request, also of one in absolute form.
func proxyTarget(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") || r.RequestURI == "*" {
		return r.RequestURI
	}
	return r.URL.RequestURI()
}

// readdress makes a request of a client one to the origin, and leaves the rest of
// it as it was: ReverseProxy removes what clients may not claim to a server that
// trusts its proxy, but this proxy is not meant to be seen.
func (o proxyOrigin) readdress(r *httputil.ProxyRequest) {
	r.Out.URL = o.at(proxyTarget(r.In))
	r.Out.Trailer = r.In.Trailer // the same map: its values come at the end of the body
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
}

// roundTrip sends a request over connections of the origin.
func (o proxyOrigin) roundTrip(ctx context.Context, r *http.Request) (*http.Response, error) {
	return o.transport.RoundTrip(r.WithContext(ctx))
}
