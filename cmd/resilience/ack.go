package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"resilience/internal/store"
)

// socketExtension ends the name of the socket that a run listens on, beside
// its record.
const socketExtension = ".sock"

func ackCommand(s *streams) *cobra.Command {
	var by string
	cmd := &cobra.Command{
		Use:   "ack [RUN] [DISRUPTION|ALERT|INCIDENT]",
		Short: "Say that somebody noticed",
		Long: `ack tells a run that goes on that somebody knows that something is wrong, for
the gate "acknowledgement <= 5m during NAME". Without RUN it is the one that
goes on in this folder; without a disruption or alert it is whatever there is.
It tells a canary of this folder, too: of an incident by its id or its rule.`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				canary, is, err := ackIncident(cmd.Context(), strings.Join(args, ""), by)
				if err == nil && is {
					fmt.Fprintf(s.out, "acknowledged %s\n", canary)
				}
				if err != nil || is {
					return err
				}
			}
			socket, name, err := whatToAck(args)
			if err != nil {
				return err
			}
			if err := acknowledge(cmd.Context(), socket, name, by); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "acknowledged %s\n", strings.TrimSuffix(filepath.Base(socket), socketExtension))
			return nil
		},
	}
	cmd.Flags().StringVar(&by, "by", whoami(), "`NAME` of who noticed")
	return cmd
}

func whoami() string {
	if who, err := user.Current(); err == nil {
		return who.Username
	}
	return os.Getenv("USER")
}

// whatToAck finds the run and what is meant in it. A single argument is a run
// if one that goes on is called so, else a disruption or an alert.
func whatToAck(args []string) (socket, name string, err error) {
	going, err := filepath.Glob(filepath.Join(runsDir, "*"+socketExtension))
	if err != nil {
		return "", "", err
	}
	going = slices.DeleteFunc(going, func(path string) bool { return !answers(path) })
	if len(args) == 2 {
		socket, err = oneRun(going, args[0])
		return socket, args[1], err
	}
	if len(args) == 1 {
		if socket, err := oneRun(going, args[0]); err == nil {
			return socket, "", nil
		}
		name = args[0]
	}
	socket, err = oneRun(going, "")
	return socket, name, err
}

// oneRun finds the socket of a run by its id, a prefix of it, or last.
func oneRun(going []string, ref string) (string, error) {
	if len(going) == 0 {
		return "", &usageError{"no run goes on in this folder: nothing was acknowledged"}
	}
	if ref == "last" {
		return slices.Max(going), nil
	}
	fits := slices.DeleteFunc(slices.Clone(going), func(path string) bool { return !strings.HasPrefix(filepath.Base(path), ref) })
	switch len(fits) {
	case 1:
		return fits[0], nil
	case 0:
		return "", &usageError{fmt.Sprintf("no run called %s goes on in this folder: nothing was acknowledged", ref)}
	}
	var ids []string
	for _, path := range fits {
		ids = append(ids, strings.TrimSuffix(filepath.Base(path), socketExtension))
	}
	return "", &usageError{"several runs go on: say which of " + strings.Join(ids, ", ")}
}

// answers reports whether somebody listens on a socket; that of a run that was
// killed is only a file.
func answers(path string) bool {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// sweepSocket removes the socket of a run that was killed. One that is not
// surely nobody's is left: its run may only be slow.
func sweepSocket(path string) error {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return conn.Close()
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return nil //nolint:nilerr // there is none, or whose it is can not be known
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// sweepSockets does so for all runs of this folder.
func sweepSockets() error {
	paths, err := filepath.Glob(filepath.Join(runsDir, "*"+socketExtension))
	errs := []error{err}
	for _, path := range paths {
		errs = append(errs, sweepSocket(path))
	}
	return errors.Join(errs...)
}

// acknowledge tells a run.
func acknowledge(ctx context.Context, socket, name, by string) error {
	body, err := json.Marshal(map[string]string{"name": name, "by": by})
	if err != nil {
		return err
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://run/ack", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("the run does not answer, nothing was acknowledged: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // the status says enough
	if resp.StatusCode == http.StatusNotFound {
		return &usageError{strings.TrimSpace(string(text))}
	}
	return fmt.Errorf("the run answered %s: %s", resp.Status, strings.TrimSpace(string(text)))
}

// socketOf is where a run listens, by the path of its record.
func socketOf(record string) string {
	return strings.TrimSuffix(record, store.Extension) + socketExtension
}
