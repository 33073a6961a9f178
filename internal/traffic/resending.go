package traffic

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"time"
)

// resending sees whether net/http sends a request again. Where a connection that was
// used before ends without an answer, it does so with what changes nothing, and tells
// nobody: a system that drops one request in a hundred looks as if it answered all.
type resending struct{ lost, gone bool }

// keptAlive is how long servers leave a connection open that nobody uses. One that
// ends after that was idle for too long, which is nobody's failure.
const keptAlive = time.Second

// watch gives the context for the request.
func (r *resending) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		r.gone = r.gone || r.lost
		r.lost = info.Reused && info.IdleTime < keptAlive // unless the answer comes
	}})
}

// happened reports whether the answer is to a later attempt than the first. HTTP/2
// tells which requests nobody looked at, and only those are sent again.
func (r *resending) happened(resp *http.Response) bool { return r.gone && resp.ProtoMajor == 1 }
