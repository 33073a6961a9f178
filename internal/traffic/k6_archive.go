package traffic

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"resilience/internal/plan"
)

// Archive is the script of a stream as a k6 archive, for k6 processes elsewhere:
// wrapped as for [K6], with the plan's profile in its options, the modules that
// it imports and the files that it opens. Command is what starts k6; script is the
// path of the script. The archive holds no variables and no times: they may be
// secret, and the same script gives the same archive. Its error is a *[PlanError]
// where the script does not load, or does not fit the plan.
//
// https://grafana.com/docs/k6/latest/misc/archive/
func Archive(ctx context.Context, s plan.Stream, command []string, script string) ([]byte, error) {
	absolute, err := filepath.Abs(script)
	if err != nil {
		return nil, err
	}
	entry, err := entryModule(s, absolute)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "resilience-archive-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "archive.tar")
	args := append(command[1:len(command):len(command)], "archive", "--quiet", "--no-color", "--log-format=json", "--include-system-env-vars", "-O", path, "-")
	cmd := exec.CommandContext(ctx, command[0], args...) //nolint:gosec // our own program
	cmd.Dir = filepath.Dir(absolute)
	cmd.Env = append(ownEnvironment(), pairs(Environment(s))...)
	cmd.Stdin = strings.NewReader(entry)
	log := &k6Log{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = stopGrace
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &PlanError{Test: s.Test.Name, Message: whyNoArchive(log, err)}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if data, err = cleaned(data); err != nil {
		return nil, fmt.Errorf("test %s: the archive of its script: %w", s.Test.Name, err)
	}
	return data, nil
}

func whyNoArchive(log *k6Log, err error) string {
	if message, wrong := log.planError(); wrong {
		return message
	}
	if message := log.lastError(); message != "" {
		return "k6: " + message
	}
	return "k6 made no archive of the script: " + err.Error()
}

// cleaned is an archive without the variables of this process and without
// times.
func cleaned(archive []byte) ([]byte, error) {
	var out bytes.Buffer
	from, to := tar.NewReader(bytes.NewReader(archive)), tar.NewWriter(&out)
	for {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			err = to.Close()
			return out.Bytes(), err
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(from)
		if err != nil {
			return nil, err
		}
		if header.Name == "metadata.json" {
			if data, err = withoutVariables(data); err != nil {
				return nil, err
			}
		}
		clean := tar.Header{Typeflag: header.Typeflag, Name: header.Name, Linkname: header.Linkname, Mode: header.Mode, Size: int64(len(data)), ModTime: time.Unix(0, 0)}
		if err := to.WriteHeader(&clean); err != nil {
			return nil, err
		}
		if _, err := to.Write(data); err != nil {
			return nil, err
		}
	}
}

func withoutVariables(metadata []byte) ([]byte, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(metadata, &all); err != nil {
		return nil, fmt.Errorf("metadata.json: %w", err)
	}
	all["env"] = json.RawMessage("{}")
	return json.MarshalIndent(all, "", "  ")
}

// Resolve gives what a k6 process elsewhere has to be told of a stream: its
// settings, with the credentials as they are now, and until when these are good;
// the zero time when they do not expire.
func Resolve(ctx context.Context, s plan.Stream) (settings plan.Settings, until time.Time, err error) {
	credentials, err := NewAuthorizer(s.Target, s.Hosts, s.Dir)
	if err != nil {
		return plan.Settings{}, time.Time{}, err
	}
	defer credentials.Close()
	headers, err := credentials.Headers(ctx)
	if err != nil {
		return plan.Settings{}, time.Time{}, err
	}
	return plan.Settings{Source: sourceOf("k6", s), Stream: s, Headers: merged(s.Target.Headers, headers)}, credentials.expires(), nil
}

// expires is when the token that there is now will not be good any more; the
// zero time when it always is.
func (a *Authorizer) expires() time.Time {
	if a == nil || a.fetch == nil {
		return time.Time{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == nil {
		return time.Time{}
	}
	return a.token.Expiry
}
