package traffic

import (
	"context"
	"net/http"

	"resilience/internal/plan"
)

// Link sends single requests to a target, for engines of other packages: to no
// host that the plan does not name, and with the target's headers and credentials.
// It follows no redirects. It is an [http.RoundTripper].
type Link struct {
	client *http.Client
	auth   *Authorizer
}

// NewLink makes the link to a target, and keeps so many idle connections. Nothing
// is sent yet.
func NewLink(target plan.Target, hosts []string, dir string, conns int) (*Link, error) {
	auth, err := NewAuthorizer(target, hosts, dir)
	if err != nil {
		return nil, err
	}
	client, err := newClient(target, hosts, dir, conns, auth)
	if err != nil {
		return nil, err
	}
	return &Link{client: client, auth: auth}, nil
}

// Ready fetches the credentials, or says why there are none.
func (l *Link) Ready(ctx context.Context) error {
	_, err := l.auth.Headers(ctx)
	return err
}

// RoundTrip implements [http.RoundTripper].
func (l *Link) RoundTrip(req *http.Request) (*http.Response, error) {
	return l.client.Transport.RoundTrip(req)
}

// Close closes what is kept open.
func (l *Link) Close() {
	l.client.CloseIdleConnections()
	l.auth.Close()
}

// Status is the word for why a request got no answer, as in [measure.Series].
func Status(err error) string { return classify(err) }

// WatchCPU gives a function that, called about once a second, tells evidence that
// this machine could not keep up, "" being none.
func WatchCPU() func() string {
	watch := cpuWatch{last: readCPU()}
	return func() string { return watch.see(readCPU()) }
}
