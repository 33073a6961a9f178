package shadow

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"time"
)

// attempts tells whether a request was sent more than once. Where a connection that
// was used before ends without an answer, net/http sends a request again that changes
// nothing, and tells nobody: a system that drops one request in a hundred would look
// as if it answered all of them.
type attempts struct {
	used bool // there is a connection that was just in use
	gone bool // one such ended without an answer
}

// keptAlive is how long servers leave a connection open that nobody uses. One that
// ends after that was idle for too long, which is nobody's failure.
const keptAlive = time.Second

// watch gives the context for a request, or for one after the other if they are
// begun.
func (a *attempts) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		a.gone = a.gone || a.used
		a.used = info.Reused && info.IdleTime < keptAlive
	}})
}

// begin forgets the request before.
func (a *attempts) begin() { *a = attempts{} }

// errDropped is what became of a request whose first attempt was not answered.
var errDropped = fmt.Errorf("the connection was closed without an answer: %w", io.EOF)

// first gives an error where the answer is not one to the first attempt, which is
// given up then. HTTP/2 tells which requests were not looked at, and only those are
// sent again.
func (a *attempts) first(resp *http.Response) error {
	if !a.gone || resp.ProtoMajor > 1 {
		return nil
	}
	_ = resp.Body.Close()
	return errDropped
}
