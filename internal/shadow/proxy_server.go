package shadow

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Encryption is how a proxy speaks TLS.
type Encryption struct {
	Serve *tls.Config // to those who ask it: with a certificate; nil is plain HTTP
	Ask   *tls.Config // to https:// upstreams; nil trusts the system's authorities and shows nothing
	// Trust gives the authorities for one more connection to an upstream, instead of
	// those in Ask; nil where they never change.
	Trust func() *x509.CertPool
}

// asking gives the settings of who asks an upstream on a host.
func (e Encryption) asking(host string) *tls.Config {
	config := e.Ask.Clone()
	if e.Trust != nil {
		if config == nil {
			config = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		trustAnew(config, host, e.Trust)
	}
	return config
}

func proxyListen(ctx context.Context, address string) (net.Listener, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("can not listen on %s, another process does: stop it, or name another port: %w", address, err)
	case err != nil:
		return nil, fmt.Errorf("can not listen on %s: %w", address, err)
	}
	return l, nil
}

// proxyServer serves HTTP/1.1 and HTTP/2 on one port, all of it with TLS or without.
type proxyServer struct {
	http     http.Server
	listener net.Listener
	secured  bool
	done     chan struct{}
}

// serveProxy serves until it is closed. The context is that of all requests.
func serveProxy(ctx context.Context, handler http.Handler, l net.Listener, secured *tls.Config) *proxyServer {
	s := &proxyServer{listener: l, secured: secured != nil, done: make(chan struct{}), http: http.Server{
		Handler:                      handler,
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		DisableGeneralOptionsHandler: true, // OPTIONS * is for the upstream
		ReadHeaderTimeout:            time.Minute,
		ErrorLog:                     log.New(io.Discard, "", 0),
		Protocols:                    new(http.Protocols),
		TLSConfig:                    secured.Clone(),
	}}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetHTTP2(s.secured)
	s.http.Protocols.SetUnencryptedHTTP2(!s.secured)
	go func() {
		defer close(s.done)
		if s.secured {
			_ = s.http.ServeTLS(l, "", "") // with the certificate of the configuration
		} else {
			_ = s.http.Serve(l)
		}
	}()
	return s
}

// url is what clients on this machine call.
func (s *proxyServer) url() string {
	if s.secured {
		return "https://" + s.listener.Addr().String()
	}
	return "http://" + s.listener.Addr().String()
}

// close stops listening, lets what is under way come to its end until the context
// ends, and breaks off the rest.
func (s *proxyServer) close(ctx context.Context) {
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
	}
	<-s.done
}
