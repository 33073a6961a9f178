package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"resilience/internal/plan"
)

// reread is what was read from files. They are read again when they have changed:
// certificates rotate, and who serves users is not restarted for that.
type reread[T any] struct {
	files  []string
	read   func() (T, error)
	failed func(err error) // told once of each change that can not be used

	mu   sync.Mutex
	held T
	was  []os.FileInfo // of the files when they were read last; nil where there was none
}

// readFirst reads the files for the first time.
func readFirst[T any](read func() (T, error), failed func(err error), files ...string) (r *reread[T], err error) {
	r = &reread[T]{files: files, read: read, failed: failed, was: statAll(files)}
	r.held, err = read()
	return r, err
}

// current gives what the files hold now. While they can not be used, as one of them
// may not be written yet, it is what they held before.
func (r *reread[T]) current() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := statAll(r.files)
	if slices.EqualFunc(now, r.was, sameFile) {
		return r.held
	}
	r.was = now
	held, err := r.read()
	if err != nil {
		have, they := "has", "it"
		if len(r.files) > 1 {
			have, they = "have", "they"
		}
		r.failed(fmt.Errorf("%s %s changed and can not be used, what %s held before is: %w", strings.Join(r.files, " and "), have, they, err))
		return r.held
	}
	r.held = held
	return r.held
}

func statAll(files []string) []os.FileInfo {
	infos := make([]os.FileInfo, len(files))
	for i, path := range files {
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

// keyPair is a certificate and its key.
type keyPair struct{ *reread[*tls.Certificate] }

// readKeyPair reads both files (PEM), which must fit together.
func readKeyPair(cert, key string, failed func(err error)) (*keyPair, error) {
	read := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(cert, key)
		return &pair, err
	}
	files, err := readFirst(read, failed, cert, key)
	return &keyPair{files}, err
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

// readAuthorities reads a file of authorities (PEM), and adds the system's.
func readAuthorities(file string, failed func(err error)) (*reread[*x509.CertPool], error) {
	read := func() (*x509.CertPool, error) {
		config, err := (&plan.TLS{CA: file}).Config(".")
		if err != nil {
			return nil, errors.Unwrap(err) // without where a plan says it
		}
		return config.RootCAs, nil
	}
	return readFirst(read, failed, file)
}
