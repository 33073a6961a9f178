package disrupt

import (
	"context"
	"net/http"
	"time"
)

// drain lets clients leave: for a while connections of HTTP/1 are closed with
// the answer to their next request, so that no request meets a closed one; then
// idle connections are closed, and those of HTTP/2 told to go away (GOAWAY),
// each after its last answer. It returns when all have left, or when the
// context ends. The proxy takes no new connections then.
func (p *Proxy) drain(ctx context.Context, linger time.Duration) {
	p.leaving.Store(true)
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	_ = p.server.Shutdown(ctx) // who did not leave is cut off by Close
}

// farewell ends a connection of HTTP/1 after this answer while the proxy is
// drained.
func (p *Proxy) farewell(r *http.Request, h http.Header) {
	if p.leaving.Load() && r.ProtoMajor == 1 {
		h.Set("Connection", "close")
	}
}
