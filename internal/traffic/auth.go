package traffic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"resilience/internal/plan"
)

const (
	tokenTimeout = 10 * time.Second // of one request for a token
	tokenRetry   = time.Second      // between attempts to renew a token that is still good
)

// Authorizer knows the credentials for a target. All engines share this one
// way to them. A nil Authorizer has none. It is safe for concurrent use.
type Authorizer struct {
	static map[string]string
	fetch  func(context.Context) (*oauth2.Token, error)
	idle   func() // closes kept connections to the token server
	life   context.Context
	end    context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex // held while a token is fetched that everybody waits for
	token    *oauth2.Token
	renewAt  time.Time // zero: never
	renewing bool
}

// NewAuthorizer makes the Authorizer of a target; nil when it needs no
// credentials. It fetches nothing yet: call Headers before a test starts and
// report its error. The token server's host:port must be in hosts too. It is
// reached with the target's TLS settings, its server name aside.
func NewAuthorizer(target plan.Target, hosts []string, dir string) (*Authorizer, error) {
	switch auth := target.Auth; {
	case auth == nil || (auth.Header == nil && auth.OAuth2 == nil):
		return nil, nil
	case auth.Header != nil:
		return &Authorizer{static: map[string]string{auth.Header.Name: auth.Header.Value}}, nil
	default:
		return newOAuth2(*auth.OAuth2, target.TLS, hosts, dir)
	}
}

func newOAuth2(o plan.OAuth2, t *plan.TLS, hosts []string, dir string) (*Authorizer, error) {
	where, err := url.Parse(o.TokenURL)
	if err != nil || where.Host == "" {
		return nil, fmt.Errorf("auth: oauth2: token_url %q is not a URL", redactURL(o.TokenURL))
	}
	transport, err := newTransport(t, hosts, dir, 1)
	if err != nil {
		return nil, err
	}
	transport.TLSClientConfig.ServerName = ""
	params := url.Values{}
	for name, value := range o.Params {
		params.Set(name, value)
	}
	config := clientcredentials.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, TokenURL: o.TokenURL,
		Scopes: o.Scopes, EndpointParams: params,
	}
	client := &http.Client{Transport: transport, Timeout: tokenTimeout}
	a := &Authorizer{idle: transport.CloseIdleConnections}
	a.life, a.end = context.WithCancel(context.Background())
	a.fetch = func(ctx context.Context) (*oauth2.Token, error) {
		token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
		if err != nil {
			return nil, &TokenError{URL: redactURL(o.TokenURL), Err: err}
		}
		return token, nil
	}
	return a, nil
}

// TokenError says why there is no access token.
type TokenError struct {
	URL string
	Err error
}

func (e *TokenError) Error() string {
	var refused *oauth2.RetrieveError
	if errors.As(e.Err, &refused) && refused.Response != nil {
		detail := refused.ErrorCode
		if refused.ErrorDescription != "" {
			detail += ": " + refused.ErrorDescription
		}
		if detail == "" {
			detail = "no error code in the answer"
		}
		return fmt.Sprintf("auth: the token server %s answered %s (%s); check client_id, client_secret and scopes",
			e.URL, refused.Response.Status, detail)
	}
	cause := e.Err
	var inner *url.Error
	if errors.As(cause, &inner) {
		cause = inner.Err // its text would hold the whole URL
	}
	return fmt.Sprintf("auth: no token from %s: %v", e.URL, cause)
}

// Unwrap gives the cause.
func (e *TokenError) Unwrap() error { return e.Err }

// Headers gives the headers that carry the credentials; do not change the
// map. A token is fetched by the first call, and renewed in the background before it
// expires, so that no request of a test waits for that; only when a token has
// run out do callers wait. The error is a [*TokenError].
func (a *Authorizer) Headers(ctx context.Context) (map[string]string, error) {
	if a == nil {
		return nil, nil
	}
	if a.static != nil {
		return a.static, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.usable() {
		token, err := a.fetch(ctx)
		if err != nil {
			return nil, err
		}
		a.keep(token)
	}
	if !a.renewAt.IsZero() && !a.renewing && !time.Now().Before(a.renewAt) && a.life.Err() == nil {
		a.renewing = true
		a.work.Go(a.renew)
	}
	return map[string]string{"Authorization": a.token.Type() + " " + a.token.AccessToken}, nil
}

// usable tells whether there is a token that is good for another moment.
func (a *Authorizer) usable() bool {
	return a.token != nil && (a.token.Expiry.IsZero() || time.Now().Before(a.token.Expiry))
}

// keep stores a token and when to replace it: after four fifths of its life,
// at the latest a minute before its end.
func (a *Authorizer) keep(token *oauth2.Token) {
	a.token, a.renewAt = token, time.Time{}
	if !token.Expiry.IsZero() {
		a.renewAt = token.Expiry.Add(-min(time.Minute, time.Until(token.Expiry)/5))
	}
}

func (a *Authorizer) renew() {
	token, err := a.fetch(a.life)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.renewing = false
	if err != nil { // the old token is still good; if it runs out, Headers reports why
		a.renewAt = time.Now().Add(tokenRetry)
		return
	}
	a.keep(token)
}

// Close ends what goes on in the background and waits for it.
func (a *Authorizer) Close() {
	if a == nil || a.end == nil {
		return
	}
	a.end()
	a.work.Wait()
	a.idle()
}
