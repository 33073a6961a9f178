package traffic

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// tokenServer gives out tokens t1, t2, ... that are good for a number of
// seconds.
func tokenServer(t *testing.T, lifetime int, given *atomic.Int64) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		id, secret, _ := r.BasicAuth()
		if id+":"+secret != "me:s3cret" || r.Form.Get("grant_type") != "client_credentials" || r.Form.Get("audience") != "shop" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprint(w, `{"error":"invalid_client","error_description":"who?"}`)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"t%d","token_type":"bearer","expires_in":%d}`, given.Add(1), lifetime)
	}).URL + "/token?tenant=secret"
}

func oauth2Target(url, tokenURL, secret string) plan.Target {
	return plan.Target{URL: url, Auth: &plan.Auth{OAuth2: &plan.OAuth2{
		TokenURL: tokenURL, ClientID: "me", ClientSecret: secret, Params: map[string]string{"audience": "shop"},
	}}}
}

func TestTokensAreRenewedDuringATest(t *testing.T) {
	var given, refused atomic.Int64
	tokens := tokenServer(t, 1, &given)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer t") {
			refused.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	s := streamTo(t, server.URL, plan.Profile{Rate: 40, Duration: secs(1.7)})
	s.Target.Auth = oauth2Target(server.URL, tokens, "s3cret").Auth
	s.Hosts = append(s.Hosts, hostOf(t, tokens))
	out := drive(t, t.Context(), s)
	require.GreaterOrEqual(t, given.Load(), int64(2))
	require.Zero(t, refused.Load())
	require.Zero(t, out.sum(measure.MetricRequest, nil).Failed)
}

func TestNoToken(t *testing.T) {
	var given atomic.Int64
	tokens := tokenServer(t, 60, &given)
	for name, test := range map[string]struct {
		target plan.Target
		hosts  []string
		want   string
	}{
		"wrong secret": {
			oauth2Target("http://127.0.0.1:1", tokens, "hunter2"),
			[]string{hostOf(t, tokens)},
			"answered 401 Unauthorized (invalid_client: who?); check client_id, client_secret and scopes",
		},
		"host not in the plan": {oauth2Target("http://127.0.0.1:1", tokens, "s3cret"), nil, "is not in the plan"},
	} {
		t.Run(name, func(t *testing.T) {
			s := streamTo(t, "http://127.0.0.1:1", plan.Profile{Rate: 1, Duration: secs(1)})
			s.Target, s.Hosts = test.target, test.hosts
			engine, err := NewRequests(s)
			require.NoError(t, err)
			out := &sink{}
			err = engine.Run(t.Context(), out.emit)
			require.ErrorContains(t, err, "test t: auth: ")
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "tenant=secret")
			require.Zero(t, out.calls, "nothing was sent")
		})
	}
}

// fakeTokens is an Authorizer whose tokens live for a minute on virtual time.
func fakeTokens(fetches *int, fail *bool) *Authorizer {
	a := &Authorizer{idle: func() {}}
	a.life, a.end = context.WithCancel(context.Background())
	a.fetch = func(context.Context) (*oauth2.Token, error) {
		*fetches++
		if *fail {
			return nil, &TokenError{URL: "http://t", Err: errors.New("down")}
		}
		return &oauth2.Token{AccessToken: fmt.Sprint(*fetches), Expiry: time.Now().Add(time.Minute)}, nil
	}
	return a
}

func TestTokenIsRenewedBeforeItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fetches int
		var fail bool
		a := fakeTokens(&fetches, &fail)
		defer a.Close()
		bearer := func() string {
			headers, err := a.Headers(t.Context())
			require.NoError(t, err)
			synctest.Wait()
			return headers["Authorization"]
		}
		require.Equal(t, "Bearer 1", bearer())
		time.Sleep(47 * time.Second)
		require.Equal(t, "Bearer 1", bearer())
		require.Equal(t, 1, fetches)
		time.Sleep(2 * time.Second) // past four fifths of its life
		require.Equal(t, "Bearer 1", bearer(), "nobody waits for the new one")
		require.Equal(t, 2, fetches)
		require.Equal(t, "Bearer 2", bearer())

		fail = true
		time.Sleep(50 * time.Second)
		require.Equal(t, "Bearer 2", bearer(), "the old one is still good")
		require.Equal(t, 3, fetches)
		time.Sleep(11 * time.Second)
		_, err := a.Headers(t.Context())
		require.ErrorContains(t, err, "auth: no token from http://t: down")
	})
}

func TestAuthorizerOfNothing(t *testing.T) {
	a, err := NewAuthorizer(plan.Target{}, nil, "")
	require.NoError(t, err)
	require.Nil(t, a)
	headers, err := a.Headers(t.Context())
	require.NoError(t, err)
	require.Empty(t, headers)
	a.Close()
}
