package plan

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Config gives the settings of a TLS client: how certificates are checked and
// which one is shown. A file of authorities is trusted beside those of the
// system. Relative paths start at dir. Without settings (nil) the system's
// authorities are trusted and nothing is shown. The error begins with "tls: "
// and says which file can not be used.
func (t *TLS) Config(dir string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if t == nil {
		return config, nil
	}
	config.ServerName = t.ServerName
	config.InsecureSkipVerify = t.Insecure // only where the plan says so
	var err error
	if t.CA != "" {
		config.RootCAs, err = authorities(dir, t.CA)
	}
	if err != nil {
		return nil, fmt.Errorf("tls: ca: %w", err)
	}
	if t.Cert == "" && t.Key == "" {
		return config, nil
	}
	if t.Cert == "" || t.Key == "" {
		return nil, errors.New("tls: cert and key: give both or none")
	}
	pair, err := tls.LoadX509KeyPair(Locate(dir, t.Cert), Locate(dir, t.Key))
	if err != nil {
		return nil, fmt.Errorf("tls: cert %s with key %s: %w", t.Cert, t.Key, err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// authorities gives the system's and those in a file.
func authorities(dir, file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(Locate(dir, file))
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // a machine without any
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
}
