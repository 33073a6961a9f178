package disrupt

import (
	"context"
	"net"
	"net/http"
	"time"

	"resilience/internal/plan"
)

// reset breaks off requests instead of answering them: over HTTP/1 the
// connection is reset, over HTTP/2, where others share it, only the stream. A
// request that is being held when the fault is lifted goes on at once.
type reset struct{ after time.Duration }

func readReset(d plan.Disruption) (effect, error) {
	if d.Reset == nil {
		return nil, nil
	}
	return reset{after: time.Duration(d.Reset.After)}, nil
}

func (f reset) touch(w http.ResponseWriter, r *http.Request, c *chance, next http.HandlerFunc) {
	if f.after > 0 {
		readAhead(r)
		if !c.wait(r.Context(), f.after) {
			next(w, r)
			return
		}
	}
	breakOff(r)
}

// breakOff ends a request with a reset.
func breakOff(r *http.Request) {
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok && r.ProtoMajor == 1 {
		resetOnClose(conn)
	}
	panic(http.ErrAbortHandler) // the server closes the connection, or resets the stream
}

// connKey is where the context of a request has its connection.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// resetOnClose makes closing a connection, also one below TLS, reset it.
func resetOnClose(c net.Conn) {
	if over, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = over.NetConn()
	}
	if lingers, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = lingers.SetLinger(0) // one that is closed already needs none
	}
}
