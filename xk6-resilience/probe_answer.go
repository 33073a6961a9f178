package xk6resilience

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"resilience/internal/measure"
)

// answer tells the harness, once, what became of a probe. The caller holds the
// session's lock.
func (p *probing) answer(a measure.Attempt, end time.Time) {
	v := p.vu
	v.mu.Lock()
	defer v.mu.Unlock()
	if p.answered {
		return
	}
	p.answered = true
	of := p.span.series
	a.Series = measure.Series{
		Metric: measure.MetricTransaction, Transaction: of.Transaction, Tenant: of.Tenant, Class: of.Class, Cell: of.Cell, Region: of.Region,
	}
	a.At, a.Took, a.Tries = p.span.start.UnixNano(), milliseconds(end.Sub(p.span.start)), p.span.try+1
	a.Message = v.session.around.Load().said(a.Message)
	if a.TraceID = p.failed; a.TraceID == "" {
		a.TraceID = p.last
	}
	v.session.desk.post(measure.FrameProbed, measure.Probed{Seq: p.Seq, Attempt: a})
}

// cutOff answers a probe that had no end in its time; when k6 itself had no CPU,
// that says nothing about the target. The caller holds the session's lock.
func (p *probing) cutOff(now time.Time) {
	v := p.vu
	if v.session.starvation.spoiled(p.span.start, now) {
		v.mu.Lock()
		if !p.answered {
			p.answered = true
			v.session.desk.lose(p.Probe, "k6 had no CPU left while it was under way")
		}
		v.mu.Unlock()
		return
	}
	v.mu.Lock()
	message := p.waited()
	v.mu.Unlock()
	p.answer(measure.Attempt{Found: measure.CutOff, Message: message}, now)
}

// waits notes the request that a probe still waits for at its end. The caller
// holds the VU's lock.
func (p *probing) waits(now time.Time) {
	for _, f := range p.vu.flights {
		if !f.arrived && f.probe == p {
			p.waitsFor(f, now)
		}
	}
}

// waitsFor notes a request that got no answer for most of the time. One that was
// sent late only happened to be under way.
func (p *probing) waitsFor(f *flight, now time.Time) {
	if p.hung == "" && 2*now.Sub(f.start) >= p.Timeout {
		p.hung = f.describe()
	}
}

// waited says what a probe waited for when its time was over. The caller holds
// the VU's lock.
func (p *probing) waited() string {
	switch {
	case p.hung != "":
		return "no answer after " + p.Timeout.String() + ": " + p.hung
	case p.message != "":
		return "no end after " + p.Timeout.String() + ": " + p.message
	}
	return "no end after " + p.Timeout.String()
}

// probed answers the probe whose transaction can be counted. The caller holds the
// session's lock.
func (s *session) probed(x *span) {
	p := x.probe
	if !x.end.Before(p.until) {
		p.cutOff(x.end)
		return
	}
	var a measure.Attempt
	if x.fate() == measure.OK {
		a.Found |= measure.Accepted
	}
	switch outcome := x.outcome(); {
	case outcome == nil:
	case *outcome:
		a.Found |= measure.Completed
	default:
		a.Found |= measure.Wrong
	}
	if x.try > 0 && a.Good() {
		a.Found |= measure.Degraded
	}
	if !a.Good() || a.Found&measure.Degraded != 0 {
		a.Message = p.why(x, a)
	}
	p.answer(a, x.end)
}

// why says what went wrong: what did first in the last try that failed, and what
// the script threw then.
func (p *probing) why(x *span, a measure.Attempt) string {
	p.vu.mu.Lock()
	defer p.vu.mu.Unlock()
	var all []string
	if p.message != "" {
		all = append(all, p.message)
	}
	switch {
	case x.threw && x.message != "":
		all = append(all, x.message)
	case len(all) > 0:
	case a.Found&measure.Wrong != 0:
		all = append(all, "not completed: "+p.Transaction)
	case a.Found&measure.Accepted == 0:
		all = append(all, "not accepted: "+p.Transaction)
	}
	return strings.Join(all, "; ")
}

// wrong notes what went wrong in the probe under way, if there is one. The caller
// holds the VU's lock.
func (v *vu) wrong(what string) {
	if v.probe != nil {
		v.probe.wrong(what)
	}
}

// wrong notes what went wrong, unless something did before in the same try. The
// caller holds the VU's lock.
func (p *probing) wrong(what string) {
	if p.message == "" || p.try != p.span.try {
		p.message, p.try = what, p.span.try
	}
}

// heard notes how a request of a probe ended; what is "" when it was accepted.
func (f *flight) heard(what, trace string) {
	p := f.probe
	if p == nil {
		return
	}
	f.vu.mu.Lock()
	defer f.vu.mu.Unlock()
	if trace != "" {
		p.last = trace
	}
	if what == "" || f.look {
		return
	}
	if trace != "" {
		p.failed = trace
	}
	if now := time.Now(); !now.Before(p.until) {
		p.waitsFor(f, now)
	}
	p.wrong(what)
}

// answered is heard of a request that was.
func (f *flight) answered(req *http.Request, resp *http.Response) {
	switch {
	case f.probe == nil:
	case f.accepted:
		f.heard("", traceOf(req, resp))
	default:
		f.heard("status "+strconv.Itoa(resp.StatusCode), traceOf(req, resp))
	}
}

// within bounds a request by the time of its probe; free frees what does that.
func (f *flight) within(req *http.Request) (bounded *http.Request, free context.CancelFunc) {
	if f.probe == nil {
		return req, func() {}
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	over := func() { cancel(context.DeadlineExceeded) }
	if f.probe.life.Err() != nil {
		over()
	}
	keep := context.AfterFunc(f.probe.life, over)
	return req.WithContext(ctx), func() {
		keep()
		cancel(nil)
	}
}
