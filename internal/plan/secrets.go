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
	return secret.value(p.Dir, fmt.Sprintf("the secret %q", name), getenv)
}

// value reads a secret, which messages call what; dir is where relative paths
// start.
func (s Secret) value(dir, what string, getenv func(string) (string, bool)) (string, error) {
	value, from := "", "environment variable "+s.Env
	if s.File != "" {
		from = "file " + s.File
		read, err := readSecret(Locate(dir, s.File))
		if err != nil {
			return "", fmt.Errorf("%s: %w", what, err)
		}
		value = read
	} else if set, ok := getenv(s.Env); ok {
		value = set
	}
	switch {
	case value == "":
		return "", fmt.Errorf("%s is empty: put it into the %s", what, from)
	case len(value) > maxSecret:
		return "", fmt.Errorf("%s is longer than 64 KiB: look at the %s", what, from)
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
