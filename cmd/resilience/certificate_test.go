package main

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

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// testAuthority signs certificates of servers at 127.0.0.1, which may be clients too.
type testAuthority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// newTestAuthority writes ca.pem into a folder.
func newTestAuthority(dir string) (*testAuthority, error) {
	a := &testAuthority{dir: dir}
	var err error
	a.certificate, a.key, err = a.issue("ca")
	return a, err
}

// issue writes NAME.pem and NAME-key.pem. The first certificate of all signs itself.
func (a *testAuthority) issue(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := a.certificate, a.key
	if parent == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	for file, block := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: der}, name + "-key.pem": {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(a.dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, nil, err
		}
	}
	certificate, err := x509.ParseCertificate(der)
	return certificate, key, err
}

// makeCertificates is certificates NAME..., which writes NAME.pem and NAME-key.pem of
// certificates that ca.pem signs.
func makeCertificates(ts *testscript.TestScript, neg bool, names []string) {
	if neg || len(names) == 0 {
		ts.Fatalf("usage: certificates NAME...")
	}
	a, err := newTestAuthority(ts.MkAbs("."))
	ts.Check(err)
	for _, name := range names {
		_, _, err := a.issue(name)
		ts.Check(err)
	}
}

// serveSecurely is serve-tls ARGS..., which serves as serve does, with the certificate
// server.pem, to clients whose certificate ca.pem signed.
func serveSecurely(ts *testscript.TestScript, _ bool, args []string) {
	s, err := newServer(args)
	ts.Check(err)
	pair, err := tls.LoadX509KeyPair(ts.MkAbs("server.pem"), ts.MkAbs("server-key.pem"))
	ts.Check(err)
	web := httptest.NewUnstartedServer(s.routes())
	web.EnableHTTP2 = true
	web.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted(ts)}
	web.StartTLS()
	ts.Defer(web.Close)
	ts.Setenv("URL", web.URL)
}

// trusted has the certificate in ca.pem, if it is there.
func trusted(ts *testscript.TestScript) *x509.CertPool {
	pool := x509.NewCertPool()
	if text, err := os.ReadFile(ts.MkAbs("ca.pem")); err == nil {
		pool.AppendCertsFromPEM(text)
	}
	return pool
}

// trusting is a client of servers whose certificate ca.pem signed. It uses no
// connection twice.
func trusting(ts *testscript.TestScript) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trusted(ts)}, ForceAttemptHTTP2: true, DisableKeepAlives: true,
	}}
}

func TestKeyPairIsReadAgain(t *testing.T) {
	a, err := newTestAuthority(t.TempDir())
	require.NoError(t, err)
	in := func(name string) string { return filepath.Join(a.dir, name) }
	link := func(to string) { // as a secret of Kubernetes changes: both files at once
		require.NoError(t, os.Symlink(to, in("next")))
		require.NoError(t, os.Rename(in("next"), in("now")))
	}
	issued := func(folder string) *x509.Certificate {
		require.NoError(t, os.Mkdir(in(folder), 0o700))
		c, _, err := (&testAuthority{in(folder), a.certificate, a.key}).issue("tls")
		require.NoError(t, err)
		return c
	}
	first, second := issued("1"), issued("2")
	var told []error
	link("1")
	p, err := readKeyPair(in("now/tls.pem"), in("now/tls-key.pem"), func(err error) { told = append(told, err) })
	require.NoError(t, err)
	shown := func() []byte { return p.current().Certificate[0] }
	require.Equal(t, first.Raw, shown())

	link("2")
	require.Equal(t, second.Raw, shown())
	require.Empty(t, told)

	require.NoError(t, os.WriteFile(in("2/tls.pem"), []byte("half a certif"), 0o600))
	require.Equal(t, second.Raw, shown(), "what can not be used is not")
	require.Equal(t, second.Raw, shown())
	require.Len(t, told, 1, "and that is told once")
	require.ErrorContains(t, told[0], "have changed and can not be used, what they held before is: tls: failed to find any PEM data in certificate input")

	require.NoError(t, os.Remove(in("now")))
	require.Equal(t, second.Raw, shown(), "nor what is not there")
	link("1")
	require.Equal(t, first.Raw, shown())
}

func TestAuthoritiesAreReadAgain(t *testing.T) {
	first, err := newTestAuthority(t.TempDir())
	require.NoError(t, err)
	second, err := newTestAuthority(t.TempDir())
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "trusted.pem")
	put := func(from *testAuthority) { // in the place of what is there
		text, err := os.ReadFile(filepath.Join(from.dir, "ca.pem"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file+".next", text, 0o600))
		require.NoError(t, os.Rename(file+".next", file))
	}
	trusts := func(pool *x509.CertPool, a *testAuthority) bool {
		_, err := a.certificate.Verify(x509.VerifyOptions{Roots: pool})
		return err == nil
	}
	var told []error
	_, err = readAuthorities(file, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	put(first)
	r, err := readAuthorities(file, func(err error) { told = append(told, err) })
	require.NoError(t, err)
	require.True(t, trusts(r.current(), first))
	require.False(t, trusts(r.current(), second))
	require.Same(t, r.current(), r.current(), "it is not read each time")

	put(second)
	require.False(t, trusts(r.current(), first))
	require.True(t, trusts(r.current(), second))
	require.Empty(t, told)

	require.NoError(t, os.WriteFile(file, []byte("half a certif"), 0o600))
	require.True(t, trusts(r.current(), second), "what can not be used is not")
	require.Len(t, told, 1)
	require.ErrorContains(t, told[0], file+" has changed and can not be used, what it held before is: ")
}
