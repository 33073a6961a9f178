package xk6resilience

import (
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"time"

	"resilience/internal/measure"
)

// flight is one request, from its start until k6's own measurement of it, its
// trail, has come. It travels in the place of the remote address of its
// connection, which k6 puts into the trail: that is how the two are matched.
// The lock of its VU guards it.
type flight struct {
	vu     *vu
	span   *span    // the innermost; nil in setup and teardown
	quiet  bool     // setup or teardown: not traffic
	tried  *span    // the transaction around it that may be tried again; nil for none
	try    int      // the number of that one's try
	probe  *probing // that it is a part of; nil for none
	look   bool     // at an outcome: it does not tell whether a transaction was accepted
	start  time.Time
	method string
	url    *url.URL
	req    *http.Request // until it has its answer: it is large, and trails take their time
	remote net.Addr

	call  *measure.Series             // of a gRPC call, which has no HTTP request
	got   func(httptrace.GotConnInfo) // k6's tracer
	again measure.Resending
	conn  marked
	body  body

	arrived  bool // answered, or given up
	settled  bool // counted
	end      time.Time
	status   int
	accepted bool // as far as the status tells
	followed bool // a redirect that was followed: the request goes on as the next flight

	refusal *measure.Example // of an answer that may not be accepted: k6's trail tells; the session's lock guards it
}

// Network implements [net.Addr].
func (f *flight) Network() string {
	if f.remote == nil {
		return ""
	}
	return f.remote.Network()
}

// String implements [net.Addr].
func (f *flight) String() string {
	if f.remote == nil {
		return ""
	}
	return f.vu.addressText(f.remote)
}

// addressOf is an address and its text.
type addressOf struct {
	tcp  *net.TCPAddr
	text string
}

// addressText is the text of an address. k6 asks for it twice for each request,
// and most go over the same connection, whose address is the same pointer.
func (v *vu) addressText(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return addr.String()
	}
	if last := v.lastAddress.Load(); last != nil && last.tcp == tcp {
		return last.text
	}
	text := tcp.String()
	v.lastAddress.Store(&addressOf{tcp, text})
	return text
}

// marked is a connection that says its remote address is a flight.
type marked struct {
	net.Conn
	flight *flight
}

// RemoteAddr implements [net.Conn].
func (m *marked) RemoteAddr() net.Addr { return m.flight }

// follow makes k6's tracer take the flight for the remote address. The trace
// belongs to this one request: k6 makes another for each.
func (f *flight) follow(trace *httptrace.ClientTrace) {
	f.conn.flight = f
	if trace != nil && trace.GotConn != nil {
		f.got = trace.GotConn
		trace.GotConn = f.connected
	}
}

func (f *flight) connected(info httptrace.GotConnInfo) {
	f.again.Connected(info)
	f.conn.Conn, f.remote = info.Conn, info.Conn.RemoteAddr()
	info.Conn = &f.conn
	f.got(info)
	f.conn.Conn = nil // the tracer keeps the address alone
}

// disconnected traces a request that has failed without ever getting a
// connection as if it had got one at its end.
func (f *flight) disconnected() {
	if f.got != nil && f.remote == nil {
		f.got(httptrace.GotConnInfo{Conn: &f.conn})
	}
}

// depart notes that a request is under way.
func (v *vu) depart(req *http.Request) *flight {
	f := &flight{vu: v, start: time.Now(), method: req.Method, url: req.URL, req: req}
	if before := redirecting(req); before != nil { // one request to whoever asked
		v.mu.Lock()
		before.followed, f.start = true, before.start
		v.mu.Unlock()
	}
	return v.launch(f)
}

// redirecting gives the flight whose answer led to this request; nil when it is
// the first of its chain.
func redirecting(req *http.Request) *flight {
	if req.Response == nil {
		return nil
	}
	if b, ok := req.Response.Body.(*body); ok {
		return b.flight
	}
	return nil
}

// mayGoOn reports whether the answer is a redirect that may be followed.
func (f *flight) mayGoOn() bool {
	return f.status >= 300 && f.status < 400 && f.status != http.StatusNotModified
}

// goesOn reports whether it was.
func (f *flight) goesOn() bool {
	f.vu.mu.Lock()
	defer f.vu.mu.Unlock()
	return f.followed
}

func (v *vu) launch(f *flight) *flight {
	v.mu.Lock()
	defer v.mu.Unlock()
	f.quiet, f.look = v.quiet, v.looks > 0
	f.span = v.innermost()
	for s := f.span; s != nil; s = s.parent {
		s.open++
		s.requests++
		if s.tries > 0 && f.tried == nil {
			f.tried, f.try = s, s.try
		}
		if s.probe != nil {
			f.probe = s.probe
		}
	}
	v.flights = append(v.flights, f)
	if v.pending++; v.pending == 1 {
		v.stalled, v.unheard = f.start, false
		v.wait()
	}
	return f
}

// arrive notes that a request has its answer, or will not get one.
func (v *vu) arrive(f *flight, answered bool) {
	now, stopped := time.Now(), interrupted(v.Context())
	v.mu.Lock()
	if f.arrived {
		v.mu.Unlock()
		return
	}
	f.arrived, f.end = true, now
	if t := f.tried; t != nil && f.try == t.try && !f.accepted && !f.look {
		t.refused++
	}
	v.pending--
	v.unheard = v.unheard || !answered || stopped
	if stopped {
		v.stop(now)
	} else {
		f.req = nil
	}
	last, from, lost := v.pending == 0, v.stalled, v.unheard && v.loops()
	if last && !stopped {
		v.unwait() // a VU that was stopped while it waited counts as waiting until it is used again
	}
	v.mu.Unlock()
	if last && lost {
		v.session.missing(from, now)
	}
	switch {
	case stopped:
		v.unanswered(f, now)
	case !v.session.attached.Load(): // no trail will come by
		v.settle(f, f.accepted)
	}
}

// settle counts a request for the spans that it was part of and returns those
// of them that are complete now, the innermost first.
func (v *vu) settle(f *flight, accepted bool) (complete []*span) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.settled {
		return nil
	}
	f.settled = true
	if i := slices.Index(v.flights, f); i >= 0 {
		v.flights = slices.Delete(v.flights, i, i+1)
	}
	failed := !accepted && !f.look
	for s := f.span; s != nil; s = s.parent {
		s.open--
		if failed = failed && !f.superseded(s); failed {
			s.failures++
		}
		if s.complete() {
			complete = append(complete, s)
		}
	}
	return complete
}

// superseded reports whether a span is the transaction of which this request
// belongs to an earlier try: what came of that does not count any more, there and
// above.
func (f *flight) superseded(s *span) bool { return s == f.tried && f.try < s.try }

// wentWell remembers an accepted request for its iteration, in case an exception
// follows. The caller holds the session's lock.
func (f *flight) wentWell(ref *measure.Ref, fate measure.Fate) {
	if f.span != nil && fate == measure.OK {
		root := f.span.root()
		root.lastRef, root.lastStart = ref, f.start.UnixNano()
	}
}

// unanswered counts a request that was still waiting for its answer when its
// VU was stopped.
func (v *vu) unanswered(f *flight, end time.Time) {
	if f.quiet {
		v.settle(f, false)
		return
	}
	v.session.keep(func() {
		waited := end.Sub(f.start)
		s := v.session
		if s.starvation.spoils(f.start, end) {
			s.closeAll(v.settle(f, false))
			return
		}
		s.agg.Ref(v.routeSeries(f, "unfinished")).Add(f.start.UnixNano(), milliseconds(waited), measure.Unfinished)
		s.example(measure.Example{
			At: f.start.UnixNano(), Kind: "unfinished", Request: f.describe(), TraceID: f.trace(),
			Message: "no answer after " + waited.Round(time.Millisecond).String(),
		})
		s.closeAll(v.settle(f, false))
	})
}

// unmeasured counts a request that was answered, but whose sample k6 threw away
// because it came in the moment of stopping.
func (v *vu) unmeasured(f *flight) {
	v.session.keep(func() {
		status, fate := strconv.Itoa(f.status), measure.OK
		if !f.accepted {
			fate = measure.Failed
			v.session.refused(f)
		}
		if !f.quiet {
			v.session.agg.Ref(v.routeSeries(f, status)).Add(f.start.UnixNano(), milliseconds(f.end.Sub(f.start)), fate)
		}
		v.session.closeAll(v.settle(f, f.accepted))
	})
}

// routeSeries is the series of a request that k6 has no tags for.
func (v *vu) routeSeries(f *flight, status string) measure.Series {
	if f.call != nil {
		series := v.session.around.Load().series(*f.call)
		series.Status = status
		return series
	}
	series := v.session.around.Load().series(measure.Series{
		Metric: measure.MetricRequest, Step: route(f.method, f.url), Status: status,
	})
	for s := f.span; s != nil; s = s.parent {
		if s.series.Transaction != "" {
			series.Transaction, series.Tenant, series.Class = s.series.Transaction, s.series.Tenant, s.series.Class
			series.Cell, series.Region, series.Instance = s.series.Cell, s.series.Region, s.series.Instance
			return series
		}
	}
	return labelled(series, v.State().Tags.GetCurrentValues().Tags)
}

// describe is the request as an example shows it.
func (f *flight) describe() string {
	if f.call != nil {
		return f.call.Step
	}
	return f.method + " " + redacted(f.url)
}

// trace is the trace id of a request under way.
func (f *flight) trace() string {
	if f.req == nil {
		return ""
	}
	return traceID(f.req.Header)
}
