package plan

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// maxSecret is the longest secret, in bytes.
const maxSecret = 64 << 10

// Secret reads the value of a secret from where the plan says it is kept. One
// line end at the end of a file is dropped. An unset, empty or too long one
// (more than 64 KiB) is an error, which never holds the value.
func (p Plan) Secret(name string, getenv func(string) (string, bool)) (string, error) {
	secret, known := p.Secrets[name]
	if !known {
		return "", fmt.Errorf("the plan has no secret %q", name)
	}
	value, from := "", "environment variable "+secret.Env
	if secret.File != "" {
		from = "file " + secret.File
		read, err := readSecret(Locate(p.Dir, secret.File))
		if err != nil {
			return "", fmt.Errorf("the secret %q: %w", name, err)
		}
		value = read
	} else if set, ok := getenv(secret.Env); ok {
		value = set
	}
	switch {
	case value == "":
		return "", fmt.Errorf("the secret %q is empty: put it into the %s", name, from)
	case len(value) > maxSecret:
		return "", fmt.Errorf("the secret %q is longer than 64 KiB: look at the %s", name, from)
	}
	return value, nil
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+3))
	return strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r"), err
}
