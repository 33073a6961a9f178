package xk6resilience

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"sync/atomic"
	"syscall"

	"go.k6.io/k6/v2/lib"

	"resilience/internal/measure"
)

// transport wraps a VU's transport: it refuses hosts that the plan does not
// name, adds the target's headers and knows which requests are under way.
type transport struct {
	next http.RoundTripper
	vu   *vu
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	s := t.vu.session
	around := s.around.Load()
	f := t.vu.depart(req)
	f.follow(httptrace.ContextClientTrace(req.Context()))
	place := around.place(req.URL)
	if !place.allowed {
		f.disconnected()
		return nil, t.offLimits(f, offLimits(address(req.URL)))
	}
	bounded, free := f.within(req)
	resp, err := t.next.RoundTrip(authorised(bounded, place, around, t.vu.acting()))
	if err != nil {
		free()
		f.disconnected()
		t.failed(f, err)
		return nil, err
	}
	f.status, f.accepted = resp.StatusCode, around.accepted(resp.StatusCode)
	f.answered(req, resp)
	if f.again.Happened(resp) {
		s.keep(func() { s.resent++ })
	}
	if !f.accepted {
		s.refusing(f, resp)
	}
	f.body = body{ReadCloser: resp.Body, transport: t, flight: f, free: free}
	resp.Body = &f.body
	return resp, nil
}

// authorised adds the target's headers, and those of the tenant that the VU acts
// as, to a copy: what a redirect to another host takes along is the script's own
// request. The marks of a tenant go wherever the plan lets traffic go.
func authorised(req *http.Request, where place, around *surroundings, as *tenant) *http.Request {
	if as == nil && (!where.target || len(around.headers) == 0) {
		return req
	}
	req = req.WithContext(req.Context())
	req.Header = req.Header.Clone()
	if where.target {
		maps.Copy(req.Header, around.headers)
	}
	if as != nil {
		as.mark(req.Header, where.target)
	}
	return req
}

// offLimits ends a request to a host that the plan does not name.
func (t *transport) offLimits(f *flight, err error) error {
	f.heard(err.Error(), "")
	t.vu.session.keep(func() { t.vu.session.blame.note(t.vu.session, "host", err.Error()) })
	t.vu.arrive(f, true)
	return err
}

// failed accounts for a request that got no answer, or not all of it.
func (t *transport) failed(f *flight, err error) {
	s := t.vu.session
	f.accepted = false
	f.heard(errorKind(err)+": "+err.Error(), f.trace())
	if !interrupted(t.vu.Context()) && !f.quiet {
		s.keep(func() {
			s.blame.transportError(s, err)
			s.example(measure.Example{
				At: f.start.UnixNano(), Kind: errorKind(err), Request: f.describe(), TraceID: traceID(f.req.Header), Message: err.Error(),
			})
		})
	}
	t.vu.arrive(f, !timedOut(err))
}

// refusing notes an answer that was not accepted, as far as its status tells: it is
// an example of a failure unless the script turns out to expect it.
func (s *session) refusing(f *flight, resp *http.Response) {
	s.keep(func() {
		status := strconv.Itoa(resp.StatusCode)
		if f.quiet || f.look || !s.examples.wants("status "+status) {
			return
		}
		f.refusal = &measure.Example{
			At: f.start.UnixNano(), Kind: "status " + status, Request: f.describe(), Status: status, TraceID: traceOf(f.req, resp),
		}
	})
}

// refused keeps the example of an answer that was not accepted. The caller holds
// the session's lock.
func (s *session) refused(f *flight) {
	if f.refusal != nil {
		s.example(*f.refusal)
	}
}

// traceOf is the trace id of an exchange: what was sent, else what came back.
func traceOf(req *http.Request, resp *http.Response) string {
	if trace := traceID(req.Header); trace != "" {
		return trace
	}
	return traceID(resp.Header)
}

// body tells when an answer has been read or given up. It is part of its flight,
// which saves an allocation for each request.
type body struct {
	io.ReadCloser
	transport *transport
	flight    *flight
	free      context.CancelFunc // frees what bounded its time
	heard     atomic.Bool
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.done(err)
	}
	return n, err
}

// Close implements [io.Closer].
func (b *body) Close() error {
	b.done(io.EOF)
	return b.ReadCloser.Close()
}

func (b *body) done(err error) {
	if b.heard.Swap(true) {
		return
	}
	defer b.free()
	if errors.Is(err, io.EOF) {
		b.transport.vu.arrive(b.flight, true)
		return
	}
	b.transport.failed(b.flight, err)
}

// dialer refuses hosts that the plan does not name, for everything that is not
// HTTP: gRPC, WebSocket.
type dialer struct {
	lib.DialContexter
	vu *vu
}

// DialContext implements [lib.DialContexter].
func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	s := d.vu.session
	if !s.around.Load().allows(addr) {
		err := offLimits(addr)
		s.keep(func() { s.blame.note(s, "host", err.Error()) })
		return nil, err
	}
	return d.DialContexter.DialContext(ctx, network, addr)
}

// ResolveAddr implements [lib.AddrResolver], which k6/net/dns looks for.
func (d *dialer) ResolveAddr(addr string) (net.IP, int, error) {
	if resolver, ok := d.DialContexter.(lib.AddrResolver); ok {
		return resolver.ResolveAddr(addr)
	}
	return nil, 0, errors.New("this dialer does not resolve names")
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
