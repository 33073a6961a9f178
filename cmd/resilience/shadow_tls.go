package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"resilience/internal/plan"
	"resilience/internal/shadow"
)

// encryptionFlags say how a shadow proxy speaks TLS, in the words that plans have.
type encryptionFlags struct {
	cert, key             string // shown to those who ask
	ca, serverName        string // of upstreams
	clientCert, clientKey string // shown to upstreams
}

func (o *encryptionFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.cert, "tls-cert", "", "listen with TLS: a PEM `FILE` of the certificate, read again when it changes")
	f.StringVar(&o.key, "tls-key", "", "its key: a PEM `FILE`")
	f.StringVar(&o.ca, "ca", "", "a PEM `FILE` of authorities to trust beside the system's, for https:// upstreams")
	f.StringVar(&o.clientCert, "client-cert", "", "show a certificate to https:// upstreams that ask for one: a PEM `FILE`, read again when it changes")
	f.StringVar(&o.clientKey, "client-key", "", "its key: a PEM `FILE`")
	f.StringVar(&o.serverName, "server-name", "", "the `NAME` in the certificates of https:// upstreams, where it is not the host of their URLs")
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
	if e.Ask, err = (&plan.TLS{CA: o.ca, ServerName: o.serverName}).Config("."); err != nil {
		return e, &usageError{"--ca: " + strings.TrimPrefix(err.Error(), "tls: ca: ")}
	}
	if shown != nil {
		shown.showIn(e.Ask)
	}
	return e, o.fits(upstreams)
}

// fits wants somebody whom the settings are for.
func (o *encryptionFlags) fits(upstreams []string) error {
	if slices.ContainsFunc(upstreams, func(url string) bool { return strings.HasPrefix(strings.ToLower(url), "https:") }) {
		return nil
	}
	for flag, value := range map[string]string{"--ca": o.ca, "--client-cert": o.clientCert, "--server-name": o.serverName} {
		if value != "" {
			return &usageError{fmt.Sprintf("%s is given but no upstream is https://: leave it out, or write the URL as https://", flag)}
		}
	}
	return nil
}

// flaggedPair reads the certificate and the key that two flags name; nil where none
// does.
func flaggedPair(certFlag, cert, keyFlag, key string, failed func(error)) (*keyPair, error) {
	if (cert == "") != (key == "") {
		return nil, &usageError{fmt.Sprintf("%s and %s: give both or none", certFlag, keyFlag)}
	}
	if cert == "" {
		return nil, nil
	}
	pair, err := readKeyPair(cert, key, failed)
	if err != nil {
		return nil, &usageError{fmt.Sprintf("%s %s with %s %s: %v", certFlag, cert, keyFlag, key, err)}
	}
	return pair, nil
}
