package shadow

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
)

// trustAnew has a client look for each connection which authorities there are, where
// crypto/tls takes those that there were. What it checks instead of that is the same:
// the chain of certificates, their times, that they are for servers, and the name,
// which is the host's unless the settings have another.
func trustAnew(config *tls.Config, host string, authorities func() *x509.CertPool) {
	named := config.ServerName
	config.InsecureSkipVerify = true //nolint:gosec // by crypto/tls: it is done here
	config.VerifyConnection = func(c tls.ConnectionState) error {
		// The name in a connection is as it was sent, and addresses are not sent.
		how := x509.VerifyOptions{Roots: authorities(), DNSName: cmp.Or(named, c.ServerName, host), Intermediates: x509.NewCertPool()}
		for _, between := range c.PeerCertificates[1:] { // the first is the server's
			how.Intermediates.AddCert(between)
		}
		if _, err := c.PeerCertificates[0].Verify(how); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: c.PeerCertificates, Err: err}
		}
		return nil
	}
}
