package disrupt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
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

func TestWrongDependencies(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "empty.pem"), nil, 0o600))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	s := "https://localhost:1"
	for want, d := range map[string]plan.Dependency{
		`upstream "localhost:1": write it as http://`:                 {Upstream: "localhost:1"},
		`upstream "": write it as http://`:                            {},
		`upstream "http://" has no host`:                              {Upstream: "http://"},
		`belongs to the requests of the system`:                       {Upstream: "http://a:secret@localhost"},
		`leave out everything after the path`:                         {Upstream: "http://localhost/?x=1"},
		`protocol "smtp" is not one of http and grpc`:                 {Upstream: s, Protocol: "smtp"},
		`tls is given but upstream "http://localhost" is not`:         {Upstream: "http://localhost", TLS: &plan.TLS{}},
		`tls: ca: open ` + filepath.Join(dir, "none.pem"):             {Upstream: s, TLS: &plan.TLS{CA: "none.pem"}},
		`tls: ca: empty.pem holds no certificate in PEM`:              {Upstream: s, TLS: &plan.TLS{CA: "empty.pem"}},
		`tls: cert and key: give both or none`:                        {Upstream: s, TLS: &plan.TLS{Cert: "empty.pem"}},
		`tls: cert empty.pem with key empty.pem: tls: failed to find`: {Upstream: s, TLS: &plan.TLS{Cert: "empty.pem", Key: "empty.pem"}},
		taken.Addr().String() + `, another process does: stop it`:     {Upstream: s, Listen: taken.Addr().String()},
		`can not listen on 127.0.0.1:99999`:                           {Upstream: s, Listen: "127.0.0.1:99999"},
	} {
		_, err := NewProxy(t.Context(), "dep", d, "beta", dir, new(kept).emit)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, `dependency "dep": `)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestProxyInFrontOfItself(t *testing.T) {
	address := quietAddress(t)
	_, err := NewProxy(t.Context(), "dep", plan.Dependency{Upstream: "http://" + address, Listen: address}, "beta", "", new(kept).emit)
	require.ErrorContains(t, err, "is where its own proxy listens")
}

func TestListensOnLoopbackUnlessToldOtherwise(t *testing.T) {
	p, _ := front(t, plan.Dependency{Upstream: "http://localhost:1"})
	require.True(t, p.listener.Addr().(*net.TCPAddr).IP.IsLoopback())
	require.NotZero(t, p.Port())

	s := httptest.NewServer(http.HandlerFunc(ok))
	defer s.Close()
	p, _ = front(t, plan.Dependency{Upstream: s.URL, Listen: "0.0.0.0:0"})
	requireWell(t, get(t, newClient(t, http1), p.URL()))
}

func TestUpstreamsByProtocol(t *testing.T) {
	proto := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	plain := httptest.NewUnstartedServer(proto)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	secure := httptest.NewUnstartedServer(proto)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	old := httptest.NewTLSServer(proto)
	defer old.Close()
	insecure := &plan.TLS{Insecure: true}
	for want, d := range map[string]plan.Dependency{
		"HTTP/1.1":  {Upstream: plain.URL},
		"HTTP/2.0":  {Upstream: "h2c" + plain.URL[len("http"):]},
		"HTTP/2.0 ": {Upstream: secure.URL, TLS: insecure},
		"HTTP/1.1 ": {Upstream: old.URL, TLS: insecure},
	} {
		p, _ := front(t, d)
		eachProtocol(t, func(t *testing.T, client *http.Client) {
			answer := get(t, client, p.URL())
			require.NoError(t, answer.err)
			require.Equal(t, want[:8], answer.body)
		})
		require.NoError(t, p.Close())
	}
}

// identity writes a self-signed certificate and its key to a folder.
func identity(t *testing.T, dir string) (cert tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dep.test"}, DNSNames: []string{"dep.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret}} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	cert, err = tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	require.NoError(t, err)
	return cert
}

func TestCertificatesAreCheckedAndShown(t *testing.T) {
	dir := t.TempDir()
	cert := identity(t, dir)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			_, _ = io.WriteString(w, r.TLS.PeerCertificates[0].Subject.CommonName)
		}
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	defer s.Close()
	for name, c := range map[string]struct {
		tls    plan.TLS
		status int
		body   string
	}{
		"unknown authority": {plan.TLS{ServerName: "dep.test"}, 502, ""},
		"another name":      {plan.TLS{CA: "cert.pem"}, 502, ""},
		"known":             {plan.TLS{CA: "cert.pem", ServerName: "dep.test"}, 200, ""},
		"absolute path":     {plan.TLS{CA: filepath.Join(dir, "cert.pem"), ServerName: "dep.test"}, 200, ""},
		"client shown":      {plan.TLS{CA: "cert.pem", ServerName: "dep.test", Cert: "cert.pem", Key: "key.pem"}, 200, "dep.test"},
		"insecure":          {plan.TLS{Insecure: true}, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := NewProxy(t.Context(), "dep", plan.Dependency{Upstream: s.URL, TLS: &c.tls}, "beta", dir, new(kept).emit)
			require.NoError(t, err)
			defer p.Close()
			answer := get(t, newClient(t, http1), p.URL())
			require.NoError(t, answer.err)
			require.Equal(t, c.status, answer.StatusCode)
			if c.status == 200 {
				require.Equal(t, c.body, answer.body)
			}
		})
	}
}

func TestUpstreamGoesAndComesBack(t *testing.T) {
	address := quietAddress(t)
	serve := func() *httptest.Server {
		l, err := net.Listen("tcp", address)
		require.NoError(t, err)
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(ok)}}
		s.Start()
		return s
	}
	s := serve()
	p, k := front(t, plan.Dependency{Upstream: s.URL})
	client := newClient(t, http1)
	requireWell(t, get(t, client, p.URL()))
	s.Close()
	for _, method := range []string{"GET", "POST"} {
		answer := do(client, request(t, method, p.URL(), "body"))
		require.NoError(t, answer.err)
		require.Equal(t, 502, answer.StatusCode)
		require.Contains(t, answer.body, "resilience: no answer from dep: ")
	}
	defer serve().Close()
	requireWell(t, get(t, client, p.URL()))
	require.NoError(t, p.Close())
	require.EqualValues(t, 2, k.byStatus()["0"].Failed)
	require.EqualValues(t, 2, k.byStatus()["200"].Count)
	require.Zero(t, k.byStatus()["200"].Failed)
}
