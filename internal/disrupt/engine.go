package disrupt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// engine speaks the part of the Docker Engine API that harms containers, over
// a Unix socket. Podman answers the same calls. Paths carry no version: each
// engine then uses its own.
// https://docs.docker.com/reference/api/engine/
type engine struct {
	socket string
	client *http.Client
}

func newEngine(socket string) *engine {
	var dialer net.Dialer
	return &engine{socket: socket, client: &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			DisableKeepAlives: true, // nothing is left open between two calls
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", socket)
			},
		},
	}}
}

// findEngine gives the engine that answers: the one that the plan names, or the
// first of DOCKER_HOST, CONTAINER_HOST and the usual places. An error tells
// what was tried.
func findEngine(ctx context.Context, named string, getenv func(string) string) (*engine, error) {
	var tried []string
	for _, address := range engineAddresses(named, getenv) {
		socket, ok := strings.CutPrefix(address, "unix://")
		if !ok {
			tried = append(tried, address+": only unix:// sockets can be used")
			continue
		}
		e := newEngine(socket)
		if _, err := e.call(ctx, http.MethodGet, "/_ping", nil, http.StatusOK); err != nil {
			tried = append(tried, address+": "+shortCause(err))
			continue
		}
		return e, nil
	}
	return nil, fmt.Errorf("no container engine answers: start one, or say where it is with engine: unix:///path; tried %s", strings.Join(tried, "; "))
}

// shortCause leaves out what the reader sees already.
func shortCause(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// engineAddresses are where an engine may be; one that is named is the only.
func engineAddresses(named string, getenv func(string) string) []string {
	for _, address := range []string{named, getenv("DOCKER_HOST"), getenv("CONTAINER_HOST")} {
		if address != "" {
			return []string{address}
		}
	}
	paths := []string{"/var/run/docker.sock", "/run/podman/podman.sock"}
	if dir := getenv("XDG_RUNTIME_DIR"); dir != "" {
		paths = append(paths, filepath.Join(dir, "docker.sock"), filepath.Join(dir, "podman/podman.sock"))
	} else {
		dir := "/run/user/" + strconv.Itoa(os.Getuid())
		paths = append(paths, dir+"/docker.sock", dir+"/podman/podman.sock")
	}
	for i, path := range paths {
		paths[i] = "unix://" + path
	}
	return paths
}

// engineError is an answer that was not wanted.
type engineError struct {
	status  int
	message string
}

func (e *engineError) Error() string {
	return fmt.Sprintf("the engine answered %d: %s", e.status, e.message)
}

// unknown tells whether the engine said that there is no such container.
func unknown(err error) bool {
	var e *engineError
	return errors.As(err, &e) && e.status == http.StatusNotFound
}

// call makes one call and gives its answer; a status that is not among those
// wanted is an [engineError].
func (e *engine) call(ctx context.Context, method, path string, query url.Values, wanted ...int) ([]byte, error) {
	u := url.URL{Scheme: "http", Host: "engine", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call the container engine: %w", err)
	}
	defer resp.Body.Close()
	const most = 16 << 20
	body, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return nil, fmt.Errorf("read what the container engine says: %w", err)
	}
	for _, status := range wanted {
		if resp.StatusCode == status {
			return body, nil
		}
	}
	var said struct{ Message string }
	if json.Unmarshal(body, &said) != nil || said.Message == "" {
		said.Message = string(bytes.TrimSpace(body[:min(len(body), 200)]))
	}
	return nil, &engineError{resp.StatusCode, said.Message}
}

// listed is a container as a list of them tells of it.
type listed struct {
	ID    string `json:"Id"`
	Names []string
	State string // running, paused, exited and others
}

// list gives all containers; with a label only those that have it.
func (e *engine) list(ctx context.Context, label string) ([]listed, error) {
	query := url.Values{"all": {"1"}}
	if label != "" {
		filters, err := json.Marshal(map[string][]string{"label": {label}})
		if err != nil {
			return nil, err
		}
		query.Set("filters", string(filters))
	}
	body, err := e.call(ctx, http.MethodGet, "/containers/json", query, http.StatusOK)
	if err != nil {
		return nil, err
	}
	var all []listed
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, fmt.Errorf("the container engine's list: %w", err)
	}
	return all, nil
}

// inspected is how a container is.
type inspected struct {
	State struct {
		Running   bool // also while it is paused
		Paused    bool
		Pid       int
		StartedAt string
	}
	HostConfig struct{ AutoRemove bool }
	Image      string // its digest
}

func (e *engine) inspect(ctx context.Context, id string) (inspected, error) {
	var is inspected
	body, err := e.call(ctx, http.MethodGet, "/containers/"+id+"/json", nil, http.StatusOK)
	if err == nil {
		err = json.Unmarshal(body, &is)
	}
	return is, err
}

// tell makes a container do something: kill, pause, unpause, stop or start. A
// 304 says that it is so already.
func (e *engine) tell(ctx context.Context, id, what string, query url.Values) error {
	_, err := e.call(ctx, http.MethodPost, "/containers/"+id+"/"+what, query, http.StatusNoContent, http.StatusOK, http.StatusNotModified)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
