package measure

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"time"
)

// Resending sees whether net/http sends a request again. Where a connection that
// was used before ends without an answer, it does so with what changes nothing, and
// tells nobody: a system that drops one request in a hundred would look as if it
// answered all of them. The zero value is for one request; what a
// redirect leads to is another.
type Resending struct {
	used bool // the request has a connection that was just in use
	gone bool // it had one before, which ended without an answer
}

// keptAlive is how long servers leave a connection open that nobody uses. One that
// ends after that was idle for too long, which is nobody's failure.
const keptAlive = time.Second

// Watch gives the context for the request.
func (r *Resending) Watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: r.Connected})
}

// Connected notes that the request has got a connection: where there is a trace of
// its own already, its GotConn calls this.
func (r *Resending) Connected(info httptrace.GotConnInfo) {
	r.gone = r.gone || r.used
	r.used = info.Reused && info.IdleTime < keptAlive
}

// Happened reports whether the answer is to a later attempt than the first. HTTP/2
// tells which requests nobody looked at, and only those are sent again.
func (r *Resending) Happened(resp *http.Response) bool { return r.gone && resp.ProtoMajor == 1 }

// Resent is the warning that a client sent so many requests again by itself, as
// [Resending] sees.
func Resent(requests uint64) string {
	return fmt.Sprintf("%d requests got no answer, because the target ended connections that were in use, and were sent again by the HTTP client, as browsers do: each counts by its later answer", requests)
}
