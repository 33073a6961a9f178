package disrupt

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// maxAnswer is the longest answer of a control that is read, in bytes.
const maxAnswer = 32 << 20

// callWithin is how long one call of a control may take, unless it waits on
// purpose.
const callWithin = 2 * time.Second

// Controller gives orders to a [Control], and keeps alive what it ordered. Its
// methods may be called at the same time.
type Controller struct {
	// Warn is told what whoever reads the verdict should know: that a fault
	// could not be renewed, or that it is gone. Nil: nobody is told.
	Warn func(disruption, detail string)

	url    string
	token  string
	client *http.Client
}

// NewController makes a controller of the control at a URL (http or https),
// with its token. The settings of TLS may be nil. It connects to nothing yet.
func NewController(address, token string, config *tls.Config) (*Controller, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("a control has a URL such as https://10.1.2.3:9900; got %q", address)
	}
	return &Controller{
		url: strings.TrimRight(address, "/"), token: token,
		client: &http.Client{
			Transport: &http.Transport{
				TLSClientConfig: config, ForceAttemptHTTP2: false, MaxIdleConnsPerHost: 4,
				IdleConnTimeout: maxWait, MaxResponseHeaderBytes: 64 << 10, TLSHandshakeTimeout: callWithin,
			},
			// A token is for one place.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close ends idle connections. What was ordered stays as it is.
func (c *Controller) Close() { c.client.CloseIdleConnections() }

// refused is what a control that was reached said no to.
type refused struct {
	status int
	answer
}

func (e *refused) Error() string { return e.answer.Error }

// unsent is an error of a call that never left this machine.
type unsent struct{ error }

func (e unsent) Unwrap() error { return e.error }

// call makes one call and reads its answer. An error that is neither [refused]
// nor [unsent] means that nobody knows whether it was heard.
func (c *Controller) call(ctx context.Context, method, path string, body, to any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Store(true) }})
	r, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.client.Do(r)
	if err != nil {
		err = fmt.Errorf("the control can not be reached: %w", err)
		if !sent.Load() {
			err = unsent{err}
		}
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the control did not finish its answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return c.refusal(res.StatusCode, data)
	}
	if err := json.Unmarshal(data, to); err != nil {
		return fmt.Errorf("%s is not the control of a `resilience proxy`: its answer can not be read: %w", c.url, err)
	}
	return nil
}

// refusal tells what a control says no with from what somebody on the way, or
// something else at that address, says.
func (c *Controller) refusal(status int, data []byte) error {
	var a answer
	if json.Unmarshal(data, &a) != nil || a.Instance == "" || a.Error == "" {
		return fmt.Errorf("%s is not the control of a `resilience proxy`: it answered with status %d", c.url, status)
	}
	return &refused{status, a}
}

// Status asks how the control and its proxies are.
func (c *Controller) Status(ctx context.Context) (ControlStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	var s ControlStatus
	err := c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
	if err == nil && s.Instance == "" {
		err = fmt.Errorf("%s is not the control of a `resilience proxy`: it did not say which instance it is", c.url)
	}
	return s, err
}

// check asks whether a fault could be put on a proxy. Nothing is changed.
func (c *Controller) check(ctx context.Context, o Order) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	o.Disruption.Dependency = o.Proxy
	return c.call(ctx, http.MethodPost, "/v1/check", o, &answer{})
}

// Inject puts a fault on a proxy and returns once it is in effect. It is then
// renewed until it is lifted; lift is as [Disruption] wants it. When Inject
// fails nothing is in effect; should that be uncertain because answers are
// lost, the error says until when.
func (c *Controller) Inject(ctx context.Context, proxy string, d plan.Disruption, seed int64) (lift func(context.Context) (measure.Touch, error), err error) {
	h, err := c.order(ctx, Order{ID: newID(), Proxy: proxy, Disruption: d, Seed: seed, TTL: DefaultTTL})
	if err != nil {
		return nil, err
	}
	return h.lift, nil
}

// newID names a fault; no two are the same.
func newID() string { return rand.Text() }

func (c *Controller) order(ctx context.Context, o Order) (*leasehold, error) {
	o.Disruption.Dependency = o.Proxy
	var a answer
	within, cancel := context.WithTimeout(ctx, liftPatience)
	defer cancel()
	err := c.call(within, http.MethodPut, "/v1/faults/"+o.ID, o, &a)
	if err == nil && (a.Lease == nil || a.Lease.State != StateActive || a.Lease.TTL <= 0) {
		err = errors.New("the control's answer does not say that the fault is in effect")
	}
	var no *refused
	switch {
	case errors.As(err, &no):
		return nil, fmt.Errorf("not injected: %w", err)
	case err != nil:
		return nil, c.takeBack(ctx, o, err)
	}
	return c.keepAlive(o, a), nil
}

// takeBack lifts what may have been injected although the answer was lost.
func (c *Controller) takeBack(ctx context.Context, o Order, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), liftPatience)
	defer cancel()
	if err := c.liftUntil(ctx, o.ID); err != nil {
		return fmt.Errorf("not injected: %w; should the order have arrived all the same, the proxy lifts it within %s", why, o.TTL)
	}
	return fmt.Errorf("not injected: %w", why)
}

// liftUntil asks for a fault to be lifted until it is, or the context ends.
func (c *Controller) liftUntil(ctx context.Context, id string) error {
	for {
		_, err := c.liftOnce(ctx, id)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(liftAgain):
		}
	}
}

// liftOnce asks once for a fault to be lifted.
func (c *Controller) liftOnce(ctx context.Context, id string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	var a answer
	err := c.call(ctx, http.MethodDelete, "/v1/faults/"+id, nil, &a)
	if err == nil && (a.Lease == nil || !a.Lease.Over()) {
		err = errors.New("the control's answer does not say that the fault is gone")
	}
	return a, err
}

// renewOnce asks once for a fault to live on.
func (c *Controller) renewOnce(ctx context.Context, id string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	var a answer
	err := c.call(ctx, http.MethodPost, "/v1/faults/"+id+"/renew", nil, &a)
	if err == nil && a.Lease == nil {
		err = errors.New("the control's answer does not say how the fault is")
	}
	return a, err
}

// windows asks what a proxy measured after a cursor, and waits for something.
func (c *Controller) windows(ctx context.Context, proxy, instance string, cursor uint64, wait time.Duration) (measured, error) {
	ctx, cancel := context.WithTimeout(ctx, wait+callWithin)
	defer cancel()
	query := url.Values{"after": {strconv.FormatUint(cursor, 10)}, "instance": {instance}, "wait": {wait.String()}}
	var m measured
	err := c.call(ctx, http.MethodGet, "/v1/proxies/"+url.PathEscape(proxy)+"/windows?"+query.Encode(), nil, &m)
	return m, err
}
