package traffic

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"resilience/internal/measure"
)

// attempt is one request on its way.
type attempt struct {
	arrival
	route    *route
	trace    string    // trace id that the request carried
	deadline time.Time // of the request with its redirects and body

	mu  sync.Mutex
	err error // the first that was met, with its type
}

func (a *attempt) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
}

func (a *attempt) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// table holds the attempts under way by the fragment of their URL.
type table struct {
	mu       sync.Mutex
	attempts map[string]*attempt
}

func (t *table) put(fragment string, a *attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.attempts[fragment] = a
}

func (t *table) get(fragment string) *attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.attempts[fragment]
}

func (t *table) remove(fragment string) *attempt {
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.attempts[fragment]
	delete(t.attempts, fragment)
	return a
}

// tracer stands between vegeta and the client's transport. Vegeta knows no
// contexts, gives errors as text and adds headers of its own: the tracer ends
// what is under way at its deadline (a timeout of http.Client can not be told
// from being cancelled) or when cut ends, keeps each error with its type, and
// takes the headers away.
type tracer struct {
	next   http.RoundTripper
	table  *table
	cut    context.Context
	resent atomic.Uint64
}

// RoundTrip implements http.RoundTripper.
func (t *tracer) RoundTrip(req *http.Request) (*http.Response, error) {
	a := t.table.get(req.URL.Fragment)
	if a == nil {
		closeBody(req)
		return nil, errors.New("request of an unknown attempt")
	}
	ctx, cancel := context.WithDeadline(req.Context(), a.deadline)
	stop := context.AfterFunc(t.cut, cancel)
	end := func() { stop(); cancel() }
	var again measure.Resending
	req = req.Clone(again.Watch(ctx))
	req.Header.Del("X-Vegeta-Seq")
	if _, given := req.Header["User-Agent"]; !given {
		req.Header.Set("User-Agent", "resilience")
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		a.fail(reason(ctx, err))
		end()
		return nil, err
	}
	if again.Happened(resp) {
		t.resent.Add(1)
	}
	resp.Body = &tracedBody{ReadCloser: resp.Body, attempt: a, ctx: ctx, end: end}
	return resp, nil
}

// reason prefers why the context ended: transports word that in many ways.
func reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// tracedBody keeps errors while a body is read and frees what its request held.
type tracedBody struct {
	io.ReadCloser
	attempt *attempt
	ctx     context.Context
	end     func()
}

// Read implements io.Reader.
func (b *tracedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.attempt.fail(reason(b.ctx, err))
	}
	return n, err
}

// Close implements io.Closer.
func (b *tracedBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

const maxRedirects = 10

// redirect lets a redirected request stay its attempt's, and keeps the
// fragment by which we know it out of the Referer.
func (t *tracer) redirect(req *http.Request, via []*http.Request) error {
	fragment := via[0].URL.Fragment
	if len(via) > maxRedirects {
		if a := t.table.get(fragment); a != nil {
			a.fail(errRedirects)
		}
		return errRedirects
	}
	u := *req.URL
	u.Fragment, u.RawFragment = fragment, ""
	req.URL = &u
	if referer, _, found := strings.Cut(req.Header.Get("Referer"), "#"); found {
		req.Header.Set("Referer", referer)
	}
	return nil
}

// traceID takes the trace id out of a traceparent header (W3C Trace Context,
// section 3.2), "" when there is none.
func traceID(header http.Header) string {
	parts := strings.Split(header.Get("Traceparent"), "-")
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}

// fragmentOf gives what an attempt is known by.
func fragmentOf(url string) string {
	_, fragment, _ := strings.Cut(url, "#")
	return fragment
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
