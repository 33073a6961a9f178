package shadow

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testAuthority signs certificates of servers at 127.0.0.1 and of clients.
type testAuthority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	trusted     *x509.CertPool
}

func newTestAuthority(t testing.TB) *testAuthority {
	t.Helper()
	a := &testAuthority{trusted: x509.NewCertPool()}
	own := a.issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.certificate, a.key = own.Leaf, own.PrivateKey.(*ecdsa.PrivateKey)
	a.trusted.AddCert(a.certificate)
	return a
}

// issue signs a certificate; the first of all signs itself.
func (a *testAuthority) issue(t testing.TB, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := cmp.Or(a.certificate, template), cmp.Or(a.key, key)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (a *testAuthority) server(t testing.TB) *tls.Config {
	t.Helper()
	pair := a.issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

// securedPrimary is a primary that speaks TLS, and wants a certificate where clients
// are given.
func (a *testAuthority) securedPrimary(t testing.TB, clients *x509.CertPool) *httptest.Server {
	t.Helper()
	s := newPrimary()
	s.EnableHTTP2 = true
	s.TLS = a.server(t)
	if clients != nil {
		s.TLS.ClientAuth, s.TLS.ClientCAs = tls.RequireAndVerifyClientCert, clients
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// seenAnswer is all that a client can see of an answer.
type seenAnswer struct {
	Proto   string
	Status  int
	Header  http.Header
	Body    string
	Trailer http.Header
	Hints   []string
	Broken  bool
}

// see asks over a connection of its own, with a trailer where there is a body.
func (a *testAuthority) see(t *testing.T, http2 bool, method, url, sent string) (seen seenAnswer) {
	t.Helper()
	client := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.trusted}, DisableCompression: true, Protocols: new(http.Protocols)}
	client.Protocols.SetHTTP1(!http2)
	client.Protocols.SetHTTP2(http2)
	defer client.CloseIdleConnections()
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		seen.Hints = append(seen.Hints, fmt.Sprint(code, h))
		return nil
	}})
	var body io.Reader
	if sent != "" {
		body = io.NopCloser(strings.NewReader(sent)) // of unknown length, so that a trailer may follow
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	require.NoError(t, err)
	r.Host = "shop.test"
	if sent != "" {
		r.Trailer = http.Header{"X-Sum": {"42"}}
	}
	res, err := client.RoundTrip(r)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	seen.Proto, seen.Status, seen.Header, seen.Body, seen.Trailer, seen.Broken = res.Proto, res.StatusCode, res.Header, string(text), res.Trailer, err != nil
	if len(seen.Trailer) > 0 {
		seen.Header.Del("Content-Length") // which HTTP/2 may have, and HTTP/1 has not
	}
	return seen
}

// TestSecuredProxiesPassAnswersOn asks a primary directly, and through a recorder and
// a mirror that speak TLS on both sides, in HTTP/1.1 and HTTP/2: users see no
// difference.
func TestSecuredProxiesPassAnswersOn(t *testing.T) {
	a := newTestAuthority(t)
	web, plain := a.securedPrimary(t, nil), primary(t)
	secured := Encryption{Serve: a.server(t), Ask: &tls.Config{RootCAs: a.trusted}}
	m, _ := startMirror(t, MirrorOptions{Primary: web.URL, Candidate: web.URL, TLS: secured})
	proxies := map[string]string{
		"HTTP/2 upstream":   startRecorder(t, &kept{}, RecorderOptions{Upstream: web.URL, TLS: secured}).URL(),
		"HTTP/1.1 upstream": startRecorder(t, &kept{}, RecorderOptions{Upstream: plain.URL, TLS: secured}).URL(),
		"mirror":            m.URL(),
	}
	for _, http2 := range []bool{false, true} {
		for path := range primaryPaths {
			method, sent := http.MethodGet, ""
			if path == "/echo" || path == "/summed" || path == "/refuses" {
				method, sent = http.MethodPost, "hello"
			}
			want := a.see(t, http2, method, web.URL+path, sent)
			require.Equal(t, http2, want.Proto == "HTTP/2.0")
			require.Equal(t, path == "/trailers" || path == "/late", len(want.Trailer) > 0, path)
			require.Equal(t, path == "/hints", len(want.Hints) > 0, path)
			require.Equal(t, path == "/broken", want.Broken, path)
			for name, url := range proxies {
				got := a.see(t, http2, method, url+path, sent)
				if path == "/refuses" { // by HTTP/2 before the body was sent, or after: then the connection goes on
					got.Header.Del("Connection")
				}
				require.Equal(t, want, got, "%s of %s, %s", path, name, want.Proto)
			}
		}
	}
}

// TestSecuredProxiesPassBytesOn: what HTTP/1.1 is like on the wire.
func TestSecuredProxiesPassBytesOn(t *testing.T) {
	a := newTestAuthority(t)
	web := a.securedPrimary(t, nil)
	r := startRecorder(t, &kept{}, RecorderOptions{Upstream: web.URL, TLS: Encryption{Serve: a.server(t), Ask: &tls.Config{RootCAs: a.trusted}}})
	for name, request := range requestsOf() {
		t.Run(name, func(t *testing.T) {
			request := strings.ReplaceAll(request, "Upgrade: echo", "Upgrade: websocket") // the one for which clients leave HTTP/2
			want, got := rawAnswer(t, web.URL, request), rawAnswer(t, r.URL(), request)
			require.NotEmpty(t, got)
			require.Equal(t, inOrder(want), inOrder(got))
		})
	}
}

// lookedFor is the same trust, with authorities that could change.
func lookedFor(ask *tls.Config) Encryption {
	if ask == nil {
		return Encryption{Trust: func() *x509.CertPool { return nil }}
	}
	other := ask.Clone()
	other.RootCAs = x509.NewCertPool()
	return Encryption{Ask: other, Trust: func() *x509.CertPool { return ask.RootCAs }}
}

// TestUpstreamsAreTrustedAsTold: an authority of one's own, and a certificate to show.
func TestUpstreamsAreTrustedAsTold(t *testing.T) {
	a, clients := newTestAuthority(t), newTestAuthority(t)
	web := a.securedPrimary(t, clients.trusted)
	shown := clients.issue(t, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	get := "GET /plain HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n"
	byName := strings.Replace(web.URL, "127.0.0.1", "localhost", 1)
	for name, one := range map[string]struct {
		ask      *tls.Config
		says     string
		upstream string
	}{
		"all that is wanted":      {&tls.Config{RootCAs: a.trusted, Certificates: []tls.Certificate{shown}}, "200 OK", web.URL},
		"no certificate to show":  {&tls.Config{RootCAs: a.trusted}, "502 Bad Gateway", web.URL},
		"the system's":            {nil, "certificate signed by unknown authority", web.URL},
		"another name":            {&tls.Config{RootCAs: a.trusted, Certificates: []tls.Certificate{shown}, ServerName: "shop.test"}, "wanted to match shop.test", web.URL},
		"the name of an address":  {&tls.Config{RootCAs: a.trusted, Certificates: []tls.Certificate{shown}, ServerName: "127.0.0.1"}, "200 OK", byName},
		"another address":         {&tls.Config{RootCAs: a.trusted, Certificates: []tls.Certificate{shown}, ServerName: "127.0.0.2"}, "not 127.0.0.2", web.URL},
		"another host":            {&tls.Config{RootCAs: a.trusted, Certificates: []tls.Certificate{shown}}, "wanted to match localhost", byName},
		"an authority of another": {&tls.Config{RootCAs: clients.trusted, Certificates: []tls.Certificate{shown}}, "certificate signed by unknown authority", web.URL},
	} {
		for how, secured := range map[string]Encryption{"": {Ask: one.ask}, ", looked for each time": lookedFor(one.ask)} {
			t.Run(name+how, func(t *testing.T) {
				r := startRecorder(t, &kept{}, RecorderOptions{Upstream: one.upstream, TLS: secured})
				require.Contains(t, rawAnswer(t, r.URL(), get), one.says)
			})
		}
	}
	trusting := Encryption{Ask: &tls.Config{RootCAs: a.trusted, Certificates: []tls.Certificate{shown}}, Serve: a.server(t)}
	m, seen := startMirror(t, MirrorOptions{Baseline: web.URL, Candidate: web.URL, Noise: web.URL, TLS: trusting})
	require.Contains(t, rawAnswer(t, m.URL(), get), "204 No Content")
	m.Close(closing(t))
	require.Len(t, seen.all, 1)
	for _, answer := range []Response{seen.all[0].Response, seen.all[0].Candidate, *seen.all[0].Noise} {
		require.Equal(t, http.StatusOK, answer.Status, answer.Failure)
	}
}

// TestCandidateThatIsNotTrusted is a difference of its own, in few words.
func TestCandidateThatIsNotTrusted(t *testing.T) {
	a := newTestAuthority(t)
	m, seen := startMirror(t, MirrorOptions{Primary: primary(t).URL, Candidate: a.securedPrimary(t, nil).URL})
	require.Contains(t, rawAnswer(t, m.URL(), requestsOf()["/plain"]), "200 OK")
	m.Close(closing(t))
	require.Contains(t, seen.all[0].Candidate.Failure, "certificate signed by unknown authority")
}

// TestCertificatesAreAskedForAnew for each connection, so that they can rotate.
func TestCertificatesAreAskedForAnew(t *testing.T) {
	a := newTestAuthority(t)
	var given []*tls.Config
	next := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		given = append(given, a.server(t))
		return &given[len(given)-1].Certificates[0], nil
	}
	r := startRecorder(t, &kept{}, RecorderOptions{Upstream: primary(t).URL, TLS: Encryption{Serve: &tls.Config{GetCertificate: next}}})
	var serials []string
	for range 2 {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(r.URL(), "https://"), &tls.Config{RootCAs: a.trusted})
		require.NoError(t, err)
		serials = append(serials, conn.ConnectionState().PeerCertificates[0].SerialNumber.String())
		require.NoError(t, conn.Close())
	}
	require.Len(t, slices.Compact(serials), 2)
}

// TestAuthoritiesAreLookedForAnew for each connection, so that they can rotate; what
// is not for servers, or not any more, is not trusted either.
func TestAuthoritiesAreLookedForAnew(t *testing.T) {
	before, after := newTestAuthority(t), newTestAuthority(t)
	trusted := before.trusted
	secured := Encryption{Trust: func() *x509.CertPool { return trusted }}
	client := func(s *httptest.Server) error {
		o, err := newProxyOrigin(s.URL, 0, secured)
		require.NoError(t, err)
		defer o.transport.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/plain", http.NoBody)
		require.NoError(t, err)
		res, err := o.roundTrip(t.Context(), r)
		if err == nil {
			require.NoError(t, res.Body.Close())
		}
		return err
	}
	first, second := before.securedPrimary(t, nil), after.securedPrimary(t, nil)
	require.NoError(t, client(first))
	require.ErrorContains(t, client(second), "certificate signed by unknown authority")
	trusted = after.trusted
	require.NoError(t, client(second))
	require.ErrorAs(t, client(first), new(*tls.CertificateVerificationError), "as crypto/tls says it")

	home := []net.IP{net.IPv4(127, 0, 0, 1)}
	between := after.issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	chain := &testAuthority{certificate: between.Leaf, key: between.PrivateKey.(*ecdsa.PrivateKey)}
	third := httptest.NewUnstartedServer(http.NotFoundHandler())
	third.TLS = chain.server(t)
	third.TLS.Certificates[0].Certificate = append(third.TLS.Certificates[0].Certificate, between.Certificate[0])
	third.StartTLS()
	t.Cleanup(third.Close)
	require.NoError(t, client(third), "by way of another authority")

	for says, template := range map[string]*x509.Certificate{
		"incompatible key usage": {IPAddresses: home, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		"not 127.0.0.1":          {IPAddresses: []net.IP{net.IPv4(127, 0, 0, 2)}},
	} {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ErrorLog = nowhere()
		s.TLS = &tls.Config{Certificates: []tls.Certificate{after.issue(t, template)}}
		s.StartTLS()
		t.Cleanup(s.Close)
		require.ErrorContains(t, client(s), says)
	}
}
