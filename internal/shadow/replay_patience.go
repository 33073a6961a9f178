package shadow

import (
	"context"
	"net/http"
	"time"

	"resilience/internal/measure"
)

// patience is how long the requests of a worker may take, one after the other. A
// context for each of them, with a timer and a place among the contexts under way,
// is a good part of what sending costs, and hardly any request needs one of its own.
type patience struct {
	flight context.Context // ends when all requests under way are given up
	limit  time.Duration

	ctx    context.Context // nil before the first request, and after one that ran out
	cancel context.CancelCauseFunc
	timer  *time.Timer
	again  measure.Resending // of the request under way
	blank  *http.Request     // bears the context
}

// begin gives the context of the next request, which ends in end. Its cause is
// [context.DeadlineExceeded] where the limit was.
func (p *patience) begin() context.Context {
	p.again = measure.Resending{}
	if p.ctx != nil {
		p.timer.Reset(p.limit)
		return p.ctx
	}
	ctx, cancel := context.WithCancelCause(p.flight)
	p.ctx, p.cancel = p.again.Watch(ctx), cancel
	p.timer = time.AfterFunc(p.limit, func() { cancel(context.DeadlineExceeded) })
	p.blank = new(http.Request).WithContext(p.ctx)
	return p.ctx
}

// end ends a request. One that ran out of time took the context with it.
func (p *patience) end() {
	if !p.timer.Stop() || p.ctx.Err() != nil {
		p.close()
	}
}

// close gives up what waits for the context.
func (p *patience) close() {
	if p.ctx != nil {
		p.timer.Stop()
		p.cancel(nil)
		p.ctx = nil
	}
}

// request makes an empty request that bears the context.
func (p *patience) request() *http.Request {
	req := new(http.Request)
	*req = *p.blank
	return req
}
