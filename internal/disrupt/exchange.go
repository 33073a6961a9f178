package disrupt

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"resilience/internal/measure"
)

// clientGone is the status of a request whose client did not wait for an
// answer; nginx coined the number.
const clientGone = 499

// exchange is one request on its way through a proxy. It writes the response
// and sees how it goes.
type exchange struct {
	http.ResponseWriter
	proxy    *Proxy
	request  *http.Request
	start    time.Time
	status   int  // of the response or, from grpcBase, of gRPC; 0 before there is one
	refused  bool // the dependency gave no answer, we did
	returned bool // the response was written to its end
	lost     bool // the response could not be written
	measured bool
	upload   upload
}

// upload is the body of a request; it remembers how it ended. The transport's
// goroutine reads it.
type upload struct {
	io.ReadCloser
	done atomic.Bool // read to its end
	lost atomic.Bool // the client broke it off

	conn    net.Conn           // of HTTP/1; nil: the server notices by itself when the client is gone
	cancel  context.CancelFunc // of the request
	watched atomic.Bool
}

// hangUpEvery is how often it is looked whether a client is still there.
const hangUpEvery = 100 * time.Millisecond

// watch ends the request when its client hangs up. Under HTTP/1 the server only
// notices that once it has read the whole body, and a fault may keep it from
// doing so. It ends with the context, which is the request's.
func (u *upload) watch(ctx context.Context) {
	if u.conn == nil || u.watched.Swap(true) {
		return
	}
	go func() {
		look := time.NewTicker(hangUpEvery)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
				if hungUp(u.conn) {
					u.cancel()
				}
			}
		}
	}()
}

// watchHangUp makes a request end when its client does, while a fault leaves
// its body unread.
func watchHangUp(r *http.Request) {
	if u, ok := r.Body.(*upload); ok {
		u.watch(r.Context())
	}
}

func (u *upload) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		u.done.Store(true)
	default:
		u.lost.Store(true)
	}
	return n, err
}

// receive gives the request as it is passed on, with a body whose end is seen.
// The server's own stays what it was: it looks at that to tell how to close the
// connection.
func (x *exchange) receive(r *http.Request) *http.Request {
	ctx, cancel := context.WithCancel(r.Context())
	x.upload.ReadCloser, x.upload.cancel = r.Body, cancel
	if r.ProtoMajor == 1 {
		x.upload.conn, _ = ctx.Value(connKey{}).(net.Conn)
		// Without it HTTP/1 would swallow the rest of the request before
		// the first byte of the response; HTTP/2 is that way anyway.
		_ = http.NewResponseController(x.ResponseWriter).EnableFullDuplex()
	}
	x.request = r.WithContext(ctx)
	x.request.Body = &x.upload
	return x.request
}

// WriteHeader passes a status on. The server must not add what the dependency
// did not send.
func (x *exchange) WriteHeader(status int) {
	if status < 200 {
		x.ResponseWriter.WriteHeader(status)
		return
	}
	h := x.Header()
	for _, name := range []string{"Content-Type", "Date"} {
		if _, ok := h[name]; !ok {
			h[name] = nil
		}
	}
	if x.request.ProtoMajor == 1 && x.upload.ReadCloser != nil && !x.upload.done.Load() {
		// An answer before the end of the request. In full duplex net/http
		// trips over the rest of the body when it uses the connection again
		// ("invalid concurrent Body.Read call").
		h.Set("Connection", "close")
	}
	x.proxy.farewell(x.request, h)
	x.ResponseWriter.WriteHeader(status)
	x.status = status
	if strings.HasPrefix(h.Get("Content-Type"), "text/event-stream") {
		x.measure(measure.OK)
	}
}

// Write passes on a part of the body.
func (x *exchange) Write(p []byte) (int, error) {
	n, err := x.ResponseWriter.Write(p)
	if err != nil {
		x.lost = true
	}
	return n, err
}

// Unwrap lets http.ResponseController find what we do not do ourselves.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// Hijack hands the connection over to another protocol. The server forgets
// such a connection, so closing the proxy has to end it.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(x.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	x.status = http.StatusSwitchingProtocols
	x.measure(measure.OK)
	x.proxy.visitors.enter(conn)
	context.AfterFunc(x.request.Context(), func() {
		x.proxy.visitors.leave(conn)
		_ = conn.Close()
	})
	return conn, rw, nil
}

// end measures the exchange, if that is not done already.
func (x *exchange) end() {
	if x.upload.cancel != nil {
		defer x.upload.cancel()
	}
	switch {
	case x.returned && x.refused:
		x.status = 0
		x.measure(measure.Failed)
	case x.returned && x.status != 0:
		if x.status == http.StatusOK && isGRPC(x.request.Header) {
			x.status = grpcBase + int(grpcStatus(x.Header()))
		}
		x.measure(measure.OK)
	case x.proxy.ctx.Err() != nil:
		x.measure(measure.Unfinished)
	case x.abandoned():
		fate := measure.OK
		if x.status == 0 {
			x.status = clientGone
			if !x.upload.lost.Load() {
				fate = measure.Failed // it was waiting for us
			}
		}
		x.measure(fate)
	default: // the dependency broke off
		x.measure(measure.Failed)
	}
}

// abandoned tells whether the client went away.
func (x *exchange) abandoned() bool {
	return x.lost || x.upload.lost.Load() || x.request.Context().Err() != nil
}

// measure counts the exchange, once. A status that says so has failed whatever
// else is known.
func (x *exchange) measure(fate measure.Fate) {
	if x.measured {
		return
	}
	x.measured = true
	if hasFailed(x.status) {
		fate |= measure.Failed
	}
	x.proxy.meter.add(x.start, time.Since(x.start), x.status, fate)
}
