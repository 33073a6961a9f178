package disrupt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2/client"
)

// toxiproxyAPI calls the HTTP API of a Toxiproxy server, in the types of its
// client. The client's own calls know no context, wait for ever, and keep the
// status of an error to themselves.
type toxiproxyAPI struct {
	base   string // without a / at its end
	client *http.Client
}

// toxiproxyLimit bounds one call.
const toxiproxyLimit = 3 * time.Second

func newToxiproxyAPI(base string) (*toxiproxyAPI, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("toxiproxy: the url %q is not like http://127.0.0.1:8474", base)
	}
	transport := &http.Transport{DisableKeepAlives: true} // calls are few, and nothing is to stay behind
	return &toxiproxyAPI{base: strings.TrimRight(base, "/"), client: &http.Client{Transport: transport, Timeout: toxiproxyLimit}}, nil
}

// toxiproxyError is an answer that is not a success.
type toxiproxyError struct {
	status int
	text   string
}

func (e toxiproxyError) Error() string { return fmt.Sprintf("HTTP %d: %s", e.status, e.text) }

// absent tells whether the server answered that what was asked for is not
// there.
func absent(err error) bool {
	var e toxiproxyError
	return errors.As(err, &e) && e.status == http.StatusNotFound
}

// call sends a body and reads an answer; each may be nil.
func (a *toxiproxyAPI) call(ctx context.Context, method, path string, body, answer any) error {
	var send bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&send).Encode(body); err != nil {
			return err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, a.base+path, &send)
	if err != nil {
		return err
	}
	res, err := a.client.Do(r)
	if err != nil {
		return fmt.Errorf("the Toxiproxy server does not answer: %w", err)
	}
	defer res.Body.Close()
	const limit = 1 << 20
	text, err := io.ReadAll(io.LimitReader(res.Body, limit))
	switch {
	case err != nil:
		return fmt.Errorf("the answer of the Toxiproxy server at %s broke off: %w", a.base, err)
	case res.StatusCode/100 != 2:
		return toxiproxyError{res.StatusCode, wordsOf(text)}
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s%s does not answer like Toxiproxy: %w", a.base, path, err)
	}
	return nil
}

// wordsOf gives what a server says about an error.
func wordsOf(text []byte) string {
	var e toxiproxy.ApiError
	if json.Unmarshal(text, &e) == nil && e.Message != "" {
		return e.Message
	}
	return fmt.Sprintf("%.200s", bytes.TrimSpace(text))
}

func proxyPath(name string) string { return "/proxies/" + url.PathEscape(name) }

func (a *toxiproxyAPI) proxy(ctx context.Context, name string) (toxiproxy.Proxy, error) {
	var p toxiproxy.Proxy
	err := a.call(ctx, http.MethodGet, proxyPath(name), nil, &p)
	return p, err
}

func (a *toxiproxyAPI) create(ctx context.Context, name, listen, upstream string) (toxiproxy.Proxy, error) {
	var p toxiproxy.Proxy
	err := a.call(ctx, http.MethodPost, "/proxies", map[string]any{"name": name, "listen": listen, "upstream": upstream, "enabled": true}, &p)
	return p, err
}

func (a *toxiproxyAPI) delete(ctx context.Context, name string) error {
	return a.call(ctx, http.MethodDelete, proxyPath(name), nil, nil)
}

func (a *toxiproxyAPI) enable(ctx context.Context, name string, enabled bool) error {
	return a.call(ctx, http.MethodPost, proxyPath(name), map[string]bool{"enabled": enabled}, nil)
}

func (a *toxiproxyAPI) add(ctx context.Context, name string, t toxiproxy.Toxic) error {
	return a.call(ctx, http.MethodPost, proxyPath(name)+"/toxics", t, nil)
}

func (a *toxiproxyAPI) remove(ctx context.Context, name, toxic string) error {
	return a.call(ctx, http.MethodDelete, proxyPath(name)+"/toxics/"+url.PathEscape(toxic), nil, nil)
}
