package disrupt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"resilience/internal/plan"
)

// apiCalls is a fault of calls of an API.
type apiCalls struct {
	http   plan.HTTP
	client *http.Client

	values map[string]string // kept of the answer of the call that injects
}

// callLimit bounds one call; answerLimit is how long the answer of one that
// injects is waited for when it is given up, for what it says is worth more than
// none.
const (
	callLimit   = 30 * time.Second
	answerLimit = time.Second
)

func newCalls(h plan.HTTP) (*apiCalls, error) {
	for _, c := range []*plan.Call{&h.Inject, &h.Lift, h.Verify} {
		if c != nil && c.Expect != nil {
			if _, err := c.Expect.Compile(); err != nil {
				return nil, err
			}
		}
	}
	return &apiCalls{http: h, values: map[string]string{}, client: &http.Client{
		Timeout:   callLimit,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}, // nothing is left open
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a redirect could lead to a host that the plan does not allow
		},
	}}, nil
}

// inject keeps values of the answer before it is looked at: whatever else is
// wrong with the answer, lifting may need them. A call that was sent and not
// answered may be acted upon later, also by what is behind a gateway.
func (c *apiCalls) inject(ctx context.Context, keep func(any) error) error {
	c.values = map[string]string{}
	if err := keep(plan.Kept{Open: true}); err != nil {
		return err
	}
	var sent atomic.Bool
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(answerLimit, cancel) })()
	status, header, body, err := c.do(httptrace.WithClientTrace(late, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { sent.Store(true) },
	}), c.http.Inject)
	switch {
	case err != nil && sent.Load():
		return unsettled{err}
	case err != nil:
		return errors.Join(err, keep(plan.Kept{}))
	}
	open := status == http.StatusBadGateway || status == http.StatusGatewayTimeout
	missing := c.take(body)
	if err := keep(plan.Kept{Values: c.values, Open: open}); err != nil {
		return err
	}
	err = errors.Join(rightAnswer(c.http.Inject, status, header, body), missing)
	if open {
		err = unsettled{err}
	}
	return err
}

// take takes what is to be kept from an answer, as far as it is there.
func (c *apiCalls) take(body []byte) (missing error) {
	for name, path := range c.http.Inject.Keep {
		value, err := plan.JSONAt(body, path)
		if err != nil {
			missing = errors.Join(missing, fmt.Errorf("nothing to keep as %s: %w", name, err))
			continue
		}
		c.values[name] = value
	}
	return missing
}

func (c *apiCalls) lift(ctx context.Context) error {
	status, header, body, err := c.do(ctx, c.http.Lift)
	if err != nil {
		return err
	}
	return rightAnswer(c.http.Lift, status, header, body)
}

// verify trusts an answer only: no answer says nothing about the fault, nor
// does a server that says that it failed or is busy.
func (c *apiCalls) verify(ctx context.Context) (inEffect, known bool, err error) {
	if c.http.Verify == nil {
		return false, false, nil
	}
	status, header, body, err := c.do(ctx, *c.http.Verify)
	if err != nil {
		return false, true, fmt.Errorf("verify: %w", err)
	}
	if status >= 500 || status == http.StatusTooManyRequests {
		return false, true, fmt.Errorf("verify: answered %d", status)
	}
	return rightAnswer(*c.http.Verify, status, header, body) == nil, true, nil
}

func (c *apiCalls) remember(kept json.RawMessage) (open bool, err error) {
	var k plan.Kept
	err = json.Unmarshal(kept, &k)
	c.values = k.Values
	return k.Open, err
}

// do makes a call. Its errors leave out the query of the URL, which may hold
// what nobody should read.
func (c *apiCalls) do(ctx context.Context, call plan.Call) (status int, header http.Header, body []byte, err error) {
	req, err := c.request(ctx, call)
	if err != nil {
		return 0, nil, nil, err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return 0, nil, nil, fmt.Errorf("%s %s: %w", req.Method, bare(req.URL), err)
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, plan.MaxBody))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%s %s: read the answer: %w", req.Method, bare(req.URL), err)
	}
	return resp.StatusCode, resp.Header, body, nil
}

func bare(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }

// request puts what was kept into a call. In the URL it can only be one part of
// the path or of the query.
func (c *apiCalls) request(ctx context.Context, call plan.Call) (*http.Request, error) {
	address, err := plan.ExpandKept(call.URL, c.value(urlEscape))
	if err != nil {
		return nil, err
	}
	body := []byte(call.Body)
	if call.JSON != nil {
		if body, err = json.Marshal(call.JSON); err != nil {
			return nil, fmt.Errorf("json: %w", err)
		}
	}
	escape := plain
	if call.JSON != nil {
		escape = jsonEscape
	}
	text, err := plan.ExpandKept(string(body), c.value(escape))
	if err != nil {
		return nil, err
	}
	fallback := http.MethodGet
	if text != "" {
		fallback = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, cmp.Or(call.Method, fallback), address, strings.NewReader(text))
	if err != nil {
		return nil, errors.New("the call can not be made: its method or URL is wrong")
	}
	if call.JSON != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range call.Headers {
		if value, err = plan.ExpandKept(value, c.value(plain)); err != nil {
			return nil, err
		}
		req.Header.Set(name, value)
		if strings.EqualFold(name, "Host") {
			req.Host = value
		}
	}
	return req, nil
}

// value looks up what was kept, in the way its place wants it written.
func (c *apiCalls) value(write func(string) string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := c.values[name]
		return write(value), ok
	}
}

// urlEscape writes a text so that it can stand in a path and in a query.
func urlEscape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func plain(s string) string { return s }

// jsonEscape writes a text as it stands inside of quotes.
func jsonEscape(s string) string {
	text, _ := json.Marshal(s) // a string always can be
	return string(text[1 : len(text)-1])
}

// rightAnswer says what is wrong with an answer; nil when it is as the plan expects.
func rightAnswer(call plan.Call, status int, header http.Header, body []byte) error {
	if status/100 != 2 {
		return fmt.Errorf("answered %d: %.200q", status, bytes.TrimSpace(body))
	}
	if call.Expect == nil {
		return nil
	}
	x, err := call.Expect.Compile()
	if err != nil {
		return err
	}
	if wrong := x.Check(header, body); wrong != "" {
		return errors.New("the answer is wrong: " + wrong)
	}
	return nil
}
