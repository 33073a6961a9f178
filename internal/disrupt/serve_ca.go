package disrupt

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// authorityFile is the file with the certificate of a proxy's authority. The
// zero value is none.
type authorityFile struct {
	path string
	dir  string // a folder of its own; "" when the plan says where the file is
}

// putAuthority puts the certificate of an authority where any service may read
// it: into a file that the plan names, or a folder of its own.
func putAuthority(to string, certificate []byte) (f authorityFile, err error) {
	f.path = to
	if to == "" {
		if f.dir, err = os.MkdirTemp("", "resilience-ca-"); err != nil {
			return f, err
		}
		f.path = f.dir + "/ca.pem"
		err = os.Chmod(f.dir, 0o755) //nolint:gosec // it is public
	} else if err = replaceable(to); err != nil {
		return authorityFile{}, err
	}
	if err == nil {
		err = os.WriteFile(f.path, certificate, 0o644) //nolint:gosec // it is public
	}
	if err != nil {
		return authorityFile{}, errors.Join(fmt.Errorf("the certificate of the proxy's authority: %w", err), f.remove())
	}
	return f, nil
}

// replaceable wants nothing to be in the place of a file but what a proxy left
// there that was killed.
func replaceable(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write_ca: %w", err)
	}
	if block, _ := pem.Decode(text); block != nil {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && c.Subject.CommonName == authorityName {
			return nil
		}
	}
	return fmt.Errorf("write_ca: %s is something else and would be lost: name a file that is not there yet", path)
}

// remove removes the file, if there is one.
func (f authorityFile) remove() error {
	switch {
	case f.dir != "":
		return os.RemoveAll(f.dir)
	case f.path == "":
		return nil
	}
	if err := os.Remove(f.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
