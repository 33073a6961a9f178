package traffic

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// authority is a certificate authority of a test, with its files in a folder.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{dir: t.TempDir()}
	a.cert, a.key = a.issue(t, "ca", &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue writes NAME.pem and NAME-key.pem, signed by the authority or, for its
// own, by itself.
func (a *authority) issue(t *testing.T, name string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	secret, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	a.write(t, name+".pem", "CERTIFICATE", der)
	a.write(t, name+"-key.pem", "EC PRIVATE KEY", secret)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert, key
}

func (a *authority) write(t *testing.T, name, kind string, der []byte) {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	require.NoError(t, os.WriteFile(filepath.Join(a.dir, name), text, 0o600))
}

// server speaks HTTP/2 and wants a client certificate. It keeps to TLS 1.2: in
// 1.3 a client without a certificate may see a broken pipe before the alert.
func (a *authority) server(t *testing.T, template *x509.Certificate, handler http.HandlerFunc) *httptest.Server {
	a.issue(t, "server", template)
	pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, "server.pem"), filepath.Join(a.dir, "server-key.pem"))
	require.NoError(t, err)
	clients := x509.NewCertPool()
	clients.AddCert(a.cert)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = discardLog
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert, MaxVersion: tls.VersionTLS12}
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "client", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	server := a.server(t, &x509.Certificate{DNSNames: []string{"shop.test"}}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Proto+" "+r.TLS.PeerCertificates[0].Subject.CommonName)
	})
	get := func(settings *plan.TLS) (string, error) {
		client, err := newClient(plan.Target{URL: server.URL, TLS: settings}, []string{hostOf(t, server.URL)}, a.dir, 1, nil)
		require.NoError(t, err)
		defer client.CloseIdleConnections()
		resp, err := client.Get(server.URL)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		return resp.Header.Get("X-Seen"), nil
	}
	full := plan.TLS{CA: "ca.pem", Cert: "client.pem", Key: "client-key.pem", ServerName: "shop.test"}
	seen, err := get(&full)
	require.NoError(t, err)
	require.Equal(t, "HTTP/2.0 client", seen)

	insecure := plan.TLS{Insecure: true, Cert: "client.pem", Key: "client-key.pem"}
	_, err = get(&insecure)
	require.NoError(t, err)

	unnamed, stranger, nobody := full, full, full
	unnamed.ServerName, stranger.CA, nobody.Cert, nobody.Key = "", "", "", ""
	for want, settings := range map[string]*plan.TLS{"cannot validate": &unnamed, "unknown authority": &stranger, "remote error: tls": &nobody} {
		_, err = get(settings)
		require.ErrorContains(t, err, want)
		require.Equal(t, "tls", classify(err))
	}
}

func TestTLSSettingsThatAreWrong(t *testing.T) {
	a := newAuthority(t)
	a.write(t, "empty.pem", "NOTHING", nil)
	for want, settings := range map[string]plan.TLS{
		"tls: ca: open":                   {CA: "none.pem"},
		"holds no certificate in PEM":     {CA: "empty.pem"},
		"cert and key: give both or none": {Cert: "ca.pem"},
		"tls: cert ca.pem with key empty": {Cert: "ca.pem", Key: "empty.pem"},
	} {
		_, err := newClient(plan.Target{URL: "https://h", TLS: &settings}, nil, a.dir, 1, nil)
		require.ErrorContains(t, err, want)
	}
	_, err := newClient(plan.Target{URL: "shop:80"}, nil, "", 1, nil)
	require.ErrorContains(t, err, "want http://HOST")
}

func TestOnlyHostsOfThePlanAreDialled(t *testing.T) {
	inside := serve(t, func(http.ResponseWriter, *http.Request) {})
	outside := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("dialled") })
	client, err := newClient(plan.Target{URL: inside.URL}, []string{hostOf(t, inside.URL)}, "", 1, nil)
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	resp, err := client.Get(inside.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	_, err = client.Get(outside.URL)
	var refused *GuardError
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, hostOf(t, outside.URL)+" is not in the plan: traffic only goes to hosts under targets and dependencies")
}

func TestGuardKnowsWhatItAllows(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	conn, err := guard([]string{"LOCALHOST:" + port})(t.Context(), "tcp", "localhost:"+port)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	_, err = guard([]string{"localhost:" + port})(t.Context(), "tcp", "127.0.0.1:"+port)
	require.Error(t, err, "another name of the same machine is another host")
}

// Loopback never goes through a proxy, so only the setting can be looked at.
func TestNoProxyIsUsed(t *testing.T) {
	transport, err := newTransport(nil, nil, "", 1)
	require.NoError(t, err)
	require.Nil(t, transport.Proxy)
}

// What belongs to the target must not reach a host that it redirects to.
func TestHeadersStayWithTheirTarget(t *testing.T) {
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.Header.Get("X-Key")+r.Header.Get("X-Auth"))
	})
	var host, seen string
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		host, seen = r.Host, r.Header.Get("X-Key")+" "+r.Header.Get("X-Auth")
		http.Redirect(w, r, other.URL, http.StatusFound)
	})
	settings := plan.Target{
		URL: target.URL, Headers: map[string]string{"X-Key": "k", "Host": "shop.test"},
		Auth: &plan.Auth{Header: &plan.AuthHeader{Name: "X-Auth", Value: "a"}},
	}
	hosts := []string{hostOf(t, target.URL), hostOf(t, other.URL)}
	auth, err := NewAuthorizer(settings, hosts, "")
	require.NoError(t, err)
	client, err := newClient(settings, hosts, "", 1, auth)
	require.NoError(t, err)
	defer client.CloseIdleConnections()
	resp, err := client.Get(target.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, []string{"shop.test", "k a", ""}, []string{host, seen, resp.Header.Get("X-Seen")})

	req, err := http.NewRequest(http.MethodGet, target.URL, nil)
	require.NoError(t, err)
	req.Header.Set("X-Key", "own")
	resp, err = client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "own a", seen)
}
