package disrupt

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
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
	config    *tls.Config
	names     []string // of the good certificate
	good      *tls.Certificate

	mu       sync.Mutex
	open     map[*tracked]bool
	injected []*badCertificate
}

// newSecure makes an authority and a certificate for where the listener is, and
// for further names. Protocols are those of ALPN, the preferred first.
func newSecure(l net.Listener, s plan.Serve, protocols ...string) (*secure, error) {
	authority, err := newAuthority()
	if err != nil {
		return nil, err
	}
	names := append([]string{"localhost", "127.0.0.1", "::1"}, s.Names...)
	if host, _, err := net.SplitHostPort(l.Addr().String()); err == nil && !net.ParseIP(host).IsUnspecified() {
		names = append(names, host)
	}
	good, err := authority.issue(validNow, names)
	if err == nil {
		err = authority.write()
	}
	if err != nil {
		return nil, errors.Join(err, authority.remove())
	}
	out := &secure{Listener: l, authority: authority, names: names, good: good, open: map[*tracked]bool{}}
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
	return s.authority.file
}

// close removes the authority's file.
func (s *secure) close() error {
	if s == nil {
		return nil
	}
	return s.authority.remove()
}

// write puts the certificate of the authority into a folder of its own, where
// any service may read it.
func (a *authority) write() (err error) {
	if a.dir, err = os.MkdirTemp("", "resilience-ca-"); err != nil {
		return err
	}
	a.file = a.dir + "/ca.pem"
	if err := os.Chmod(a.dir, 0o755); err != nil { //nolint:gosec // it is public
		return err
	}
	return os.WriteFile(a.file, a.pem(), 0o644) //nolint:gosec // it is public
}

func (a *authority) remove() error {
	if a.dir == "" {
		return nil
	}
	return os.RemoveAll(a.dir)
}
