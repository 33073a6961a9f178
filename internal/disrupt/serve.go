package disrupt

import (
	"crypto/tls"
	"net"
	"slices"
	"sync"

	"resilience/internal/plan"
)

// secure makes a listener speak TLS, with a certificate of an authority of its
// own. Sessions are never resumed: a client sees the certificate of now each
// time that it connects.
type secure struct {
	net.Listener
	authority *authority
	ca        authorityFile
	config    *tls.Config
	names     []string // of the good certificate
	good      *tls.Certificate

	mu       sync.Mutex
	open     map[*tracked]bool
	injected []*badCertificate
}

// newSecure makes an authority and a certificate for where the listener is, and
// for further names. A relative path starts at dir. Protocols are those of ALPN,
// the preferred first.
func newSecure(l net.Listener, s plan.Serve, dir string, protocols ...string) (*secure, error) {
	authority, err := newAuthority()
	if err != nil {
		return nil, err
	}
	names := append([]string{"localhost", "127.0.0.1", "::1"}, s.Names...)
	if host, _, err := net.SplitHostPort(l.Addr().String()); err == nil && !net.ParseIP(host).IsUnspecified() {
		names = append(names, host)
	}
	good, err := authority.issue(validNow, names)
	if err != nil {
		return nil, err
	}
	to := s.WriteCA
	if to != "" {
		to = plan.Locate(dir, to)
	}
	ca, err := putAuthority(to, authority.pem())
	if err != nil {
		return nil, err
	}
	out := &secure{Listener: l, authority: authority, ca: ca, names: names, good: good, open: map[*tracked]bool{}}
	out.config = &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: protocols, SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return out.certificate() },
	}
	return out, nil
}

// Accept waits for a connection. The handshake is the caller's: the first time
// that it reads or writes.
func (s *secure) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	plain, ok := conn.(*net.TCPConn)
	if !ok {
		return tls.Server(conn, s.config), nil
	}
	t := &tracked{TCPConn: plain, of: s}
	s.mu.Lock()
	s.open[t] = true
	s.mu.Unlock()
	return tls.Server(t, s.config), nil
}

// tracked is a connection that its listener can still close.
type tracked struct {
	*net.TCPConn
	of *secure
}

// Close closes the connection and lets the listener forget it.
func (t *tracked) Close() error {
	t.of.mu.Lock()
	delete(t.of.open, t)
	t.of.mu.Unlock()
	return t.TCPConn.Close()
}

// certificate is what the next client is shown.
func (s *secure) certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	faults := slices.Clone(s.injected)
	s.mu.Unlock()
	for _, f := range faults {
		if bad, err := f.next(); bad != nil || err != nil {
			return bad, err
		}
	}
	return s.good, nil
}

// file is where the authority's certificate is, "" without TLS.
func (s *secure) file() string {
	if s == nil {
		return ""
	}
	return s.ca.path
}

// pem is the authority's certificate, nil without TLS.
func (s *secure) pem() []byte {
	if s == nil {
		return nil
	}
	return s.authority.pem()
}

// close removes the authority's file.
func (s *secure) close() error {
	if s == nil {
		return nil
	}
	return s.ca.remove()
}
