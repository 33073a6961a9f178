package telemetry

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
	"strings"
	"time"

	"resilience/internal/plan"
)

// answerTimeout is how long an answer may take.
const answerTimeout = 10 * time.Second

// client calls the HTTP API of one source. It follows no redirects, so that
// credentials go nowhere else.
type client struct {
	base    string
	headers http.Header
	http    *http.Client
	stamps  bool // the times of its values are by its own clock
}

// newClient makes a client. Its errors never hold what a header does.
func newClient(base string, s plan.Source, dir string) (*client, error) {
	config, err := s.TLS.Config(dir)
	if err != nil {
		return nil, err
	}
	c := &client{base: strings.TrimRight(base, "/"), headers: http.Header{}}
	for name, value := range s.Headers {
		c.headers.Set(name, value)
	}
	if s.Token != "" {
		scheme := "Bearer "
		if s.InfluxDB != "" {
			scheme = "Token "
		}
		c.headers.Set("Authorization", scheme+s.Token)
	}
	c.http = &http.Client{
		Timeout: answerTimeout,
		Transport: &http.Transport{
			DialContext:     (&net.Dialer{Timeout: answerTimeout / 2}).DialContext,
			TLSClientConfig: config, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: mostAtATime, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// close ends idle connections.
func (c *client) close() { c.http.CloseIdleConnections() }

// call sends form values and reads an answer in JSON, whatever its status. With
// GET they are in the URL.
func (c *client) call(ctx context.Context, method, path string, form url.Values, into any) (status int, err error) {
	address, body := c.base+path, io.Reader(strings.NewReader(form.Encode()))
	if method == http.MethodGet {
		address, body = address+"?"+form.Encode(), http.NoBody
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return 0, errors.New("its URL can not be called")
	}
	req.Header = c.headers.Clone()
	req.Header.Set("Accept", "application/json")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	sent := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, unreached(err)
	}
	defer resp.Body.Close()
	answered := time.Now()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, fmt.Errorf("broke off its answer: %w", err)
	case len(data) > maxAnswer:
		return 0, fmt.Errorf("answers with more than %d MiB: aggregate in the query", maxAnswer>>20)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return 0, fmt.Errorf("answers %d, a redirect, which is not followed: write its new URL into the plan", resp.StatusCode)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if err := decoder.Decode(into); err != nil && resp.StatusCode == http.StatusOK {
		return 0, fmt.Errorf("answers with what is not understood: %w", err)
	} else if err != nil {
		return 0, fmt.Errorf("answers %d: %s", resp.StatusCode, shorten(string(data)))
	}
	if c.stamps && resp.StatusCode == http.StatusOK {
		if err := apart(resp.Header.Get("Date"), sent, answered); err != nil {
			return 0, err
		}
	}
	return resp.StatusCode, nil
}

// unreached takes the URL, which holds the whole query, out of an error.
func unreached(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		if wrapped.Timeout() {
			return fmt.Errorf("did not answer within %s", answerTimeout)
		}
		err = wrapped.Err
	}
	return fmt.Errorf("can not be reached: %w", err)
}

// maxDetail is how much of what a source says about an error is told, in bytes.
const maxDetail = 300

// shorten keeps a text from outside fit for one line.
func shorten(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > maxDetail {
		text = strings.ToValidUTF8(text[:maxDetail], "") + "..."
	}
	return text
}
