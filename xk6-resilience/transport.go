package xk6resilience

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.k6.io/k6/v2/lib"

	"resilience/internal/measure"
)

// flight is a request under way.
type flight struct {
	start       time.Time
	transaction string
	route       string
	request     string // redacted
	trace       string
	closed      bool
}

// transport wraps a VU's transport: it refuses hosts that the plan does not
// name, adds the target's headers and knows which requests are under way.
type transport struct {
	next http.RoundTripper
	vu   *vu
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	s := t.vu.session
	settings := s.settings.Load()
	s.departed()
	if err := allowed(settings.Stream.Hosts, hostPort(req)); err != nil {
		s.offLimits(err)
		return nil, err
	}
	if len(settings.Headers) > 0 && sameHost(req, settings.Stream.Target.URL) {
		req = req.Clone(req.Context())
		for name, value := range settings.Headers {
			req.Header.Set(name, value)
		}
	}
	f := t.vu.depart(req)
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		t.failed(f, err)
		return nil, err
	}
	accepted := s.accepts(resp.StatusCode)
	if !accepted {
		s.refused(f, resp)
	}
	resp.Body = &body{ReadCloser: resp.Body, done: func(err error) { t.vu.arrive(f, accepted && err == nil, !timedOut(err)) }}
	return resp, nil
}

func (s *session) departed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.started++
}

// offLimits notes that the script asked for a host that the plan does not name.
func (s *session) offLimits(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples.noAnswer(0)
	s.blame.note(s, "host", err.Error())
}

// failed accounts for a request that got no answer.
func (t *transport) failed(f *flight, err error) {
	s := t.vu.session
	took := time.Since(f.start)
	if !interrupted(t.vu.Context()) {
		s.mu.Lock()
		s.samples.noAnswer(took)
		s.blame.transportError(s, err)
		s.example(measure.Example{At: f.start.UnixNano(), Kind: errorKind(err), Request: f.request, TraceID: f.trace, Message: err.Error()})
		s.mu.Unlock()
	}
	t.vu.arrive(f, false, !timedOut(err))
}

// refused keeps an example of an answer that was not accepted.
func (s *session) refused(f *flight, resp *http.Response) {
	status := strconv.Itoa(resp.StatusCode)
	s.mu.Lock()
	defer s.mu.Unlock()
	trace := f.trace
	if trace == "" {
		trace = traceID(resp.Header)
	}
	s.example(measure.Example{At: f.start.UnixNano(), Kind: "status " + status, Request: f.request, Status: status, TraceID: trace})
}

// body tells when an answer has been read or given up.
type body struct {
	io.ReadCloser
	once sync.Once
	done func(error)
	err  error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		if !errors.Is(err, io.EOF) {
			b.err = err
		}
		b.once.Do(func() { b.done(b.err) })
	}
	return n, err
}

func (b *body) Close() error {
	b.once.Do(func() { b.done(b.err) })
	return b.ReadCloser.Close()
}

// dialer refuses hosts that the plan does not name, for everything that is not
// HTTP: gRPC, WebSocket.
type dialer struct {
	lib.DialContexter
	vu *vu
}

// DialContext implements [lib.DialContexter].
func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := allowed(d.vu.session.settings.Load().Stream.Hosts, addr); err != nil {
		return nil, err
	}
	return d.DialContexter.DialContext(ctx, network, addr)
}

// allowed reports an error for a host that the plan does not name. Without a
// plan (bare k6) there is no list and every host is allowed.
func allowed(hosts []string, addr string) error {
	if len(hosts) == 0 {
		return nil
	}
	for _, h := range hosts {
		if strings.EqualFold(h, addr) {
			return nil
		}
	}
	return fmt.Errorf("host %s is not among the plan's targets and dependencies; add it under targets to send traffic to it", addr)
}

func hostPort(req *http.Request) string {
	if req.URL.Port() != "" {
		return req.URL.Host
	}
	if req.URL.Scheme == "https" {
		return net.JoinHostPort(req.URL.Hostname(), "443")
	}
	return net.JoinHostPort(req.URL.Hostname(), "80")
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// errorKind sorts failures by what their examples have in common.
func errorKind(err error) string {
	var dns *net.DNSError
	switch {
	case timedOut(err):
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "connection lost"
	case errors.As(err, &dns):
		return "name not found"
	}
	return "no answer"
}
