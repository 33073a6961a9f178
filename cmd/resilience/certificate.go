package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
)

// keyPair is a certificate and its key. Their files are read again when they have
// changed: certificates rotate, and who serves users is not restarted for that.
type keyPair struct {
	cert, key string          // PEM files
	failed    func(err error) // told once of each change that can not be used

	mu   sync.Mutex
	pair *tls.Certificate
	was  [2]os.FileInfo // of the files when they were read last; nil where there was none
}

// readKeyPair reads both files, which must fit together.
func readKeyPair(cert, key string, failed func(err error)) (*keyPair, error) {
	p := &keyPair{cert: cert, key: key, failed: failed, was: statPair(cert, key)}
	pair, err := tls.LoadX509KeyPair(cert, key)
	p.pair = &pair
	return p, err
}

// current gives what the files hold now. While they can not be used, as one of them
// may not be written yet, it is what they held before.
func (p *keyPair) current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := statPair(p.cert, p.key)
	if sameFile(now[0], p.was[0]) && sameFile(now[1], p.was[1]) {
		return p.pair
	}
	p.was = now
	pair, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		p.failed(fmt.Errorf("%s and %s have changed and can not be used, what they held before is: %w", p.cert, p.key, err))
		return p.pair
	}
	p.pair = &pair
	return p.pair
}

func statPair(cert, key string) (infos [2]os.FileInfo) {
	for i, path := range []string{cert, key} {
		if info, err := os.Stat(path); err == nil { // of what a link points to, which is how secrets of Kubernetes change
			infos[i] = info
		}
	}
	return infos
}

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// server gives the settings of who shows the certificate to clients.
func (p *keyPair) server() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.current(), nil },
	}
}

// showIn makes a client show the certificate to servers that ask for one.
func (p *keyPair) showIn(config *tls.Config) {
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.current(), nil }
}
