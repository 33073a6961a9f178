package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"resilience/internal/plan"
	"resilience/internal/shadow"
)

// trustFlags say how those that are asked are trusted, and what they are shown, in the
// words that plans have.
type trustFlags struct {
	ca, serverName        string // theirs
	clientCert, clientKey string // shown to them
}

// add adds the flags; asked is what those are called that are asked, and read is what
// there is to say of when files are read.
func (o *trustFlags) add(cmd *cobra.Command, asked, read string) {
	f := cmd.Flags()
	f.StringVar(&o.ca, "ca", "", "a PEM `FILE` of authorities to trust beside the system's, for https:// "+asked+read)
	f.StringVar(&o.clientCert, "client-cert", "", "show a certificate to https:// "+asked+" that ask for one: a PEM `FILE`"+read)
	f.StringVar(&o.clientKey, "client-key", "", "its key: a PEM `FILE`")
	f.StringVar(&o.serverName, "server-name", "", "the `NAME` in the certificates of https:// "+asked+", where it is not the host of their URLs")
}

// inPlan is what a plan says of it.
func (o *trustFlags) inPlan() plan.TLS {
	return plan.TLS{CA: o.ca, Cert: o.clientCert, Key: o.clientKey, ServerName: o.serverName}
}

// encryptionFlags say how a shadow proxy speaks TLS.
type encryptionFlags struct {
	cert, key string // shown to those who ask
	trustFlags
}

func (o *encryptionFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.cert, "tls-cert", "", "listen with TLS: a PEM `FILE` of the certificate, read again when it changes")
	f.StringVar(&o.key, "tls-key", "", "its key: a PEM `FILE`")
	o.trustFlags.add(cmd, "upstreams", ", read again when it changes")
}

// read reads the files. What becomes of them later is told.
func (o *encryptionFlags) read(told io.Writer, upstreams ...string) (e shadow.Encryption, err error) {
	failed := func(err error) { fmt.Fprintln(told, err) }
	served, err := flaggedPair("--tls-cert", o.cert, "--tls-key", o.key, failed)
	if err != nil {
		return e, err
	}
	if served != nil {
		e.Serve = served.server()
	}
	shown, err := flaggedPair("--client-cert", o.clientCert, "--client-key", o.clientKey, failed)
	if err != nil {
		return e, err
	}
	e.Ask = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.serverName}
	if shown != nil {
		shown.showIn(e.Ask)
	}
	if o.ca != "" {
		trusted, err := readAuthorities(o.ca, failed)
		if err != nil {
			return e, &usageError{"--ca: " + err.Error()}
		}
		e.Trust = trusted.current
	}
	return e, o.fits("upstream", upstreams)
}

// fits wants one of those that are asked to be one whom the settings are for; name is
// what one of them is called.
func (o *trustFlags) fits(name string, urls []string) error {
	if slices.ContainsFunc(urls, withTLS) {
		return nil
	}
	for flag, value := range map[string]string{"--ca": o.ca, "--client-cert": o.clientCert, "--server-name": o.serverName} {
		if value != "" {
			return &usageError{fmt.Sprintf("%s is given but no %s is https://: leave it out, or write the URL as https://", flag, name)}
		}
	}
	return nil
}

func withTLS(url string) bool { return strings.HasPrefix(strings.ToLower(url), "https:") }

// flaggedPair reads the certificate and the key that two flags name; nil where none
// does.
func flaggedPair(certFlag, cert, keyFlag, key string, failed func(error)) (*keyPair, error) {
	if err := bothOrNone(certFlag, cert, keyFlag, key); err != nil || cert == "" {
		return nil, err
	}
	pair, err := readKeyPair(cert, key, failed)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("%s %s with %s %s: %v", certFlag, cert, keyFlag, key, err)}
	}
	return pair, nil
}

func bothOrNone(certFlag, cert, keyFlag, key string) error {
	if (cert == "") != (key == "") {
		return &usageError{fmt.Sprintf("%s and %s: give both or none", certFlag, keyFlag)}
	}
	return nil
}
