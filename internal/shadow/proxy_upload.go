package shadow

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// upload is the body of a request in the hands of the transport, until it is
// closed. Closing leaves the body to the server, which may be waiting for it.
type upload struct {
	from    io.ReadCloser
	to      http.ResponseWriter
	tee     *captureTee
	reading atomic.Bool
	closed  atomic.Bool
	done    atomic.Bool // read to its end
	lost    atomic.Bool // the client broke it off
}

// uploadKey is where the context of a request has its upload.
type uploadKey struct{}

// of becomes the body of a request.
func (u *upload) of(w http.ResponseWriter, r *http.Request) *http.Request {
	u.from, u.to = r.Body, w
	r = r.WithContext(context.WithValue(r.Context(), uploadKey{}, u))
	r.Body = u
	return r
}

// Read passes on a part of the body.
func (u *upload) Read(p []byte) (int, error) {
	u.reading.Store(true)
	defer u.reading.Store(false)
	if u.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := u.from.Read(p)
	u.tee.keep(p[:n])
	switch {
	case err == io.EOF:
		u.done.Store(true)
	case err != nil && u.closed.Load():
		err = http.ErrBodyReadAfterClose
	case err != nil:
		u.lost.Store(true)
	}
	return n, err
}

// Close ends reading, also a read that waits for the client: what is left of the
// request is not wanted. Its connection is not used again (see passage.WriteHeader).
func (u *upload) Close() error {
	if !u.closed.Swap(true) && u.reading.Load() && !u.done.Load() {
		_ = http.NewResponseController(u.to).SetReadDeadline(time.Unix(1, 0))
	}
	return nil
}

// endUpload makes the end of an answer that of the upload. An upstream may answer
// before it has read the request, and the client, which sees that, need not send the
// rest: HTTP/2 would wait for it before it lets go of the answer.
func endUpload(res *http.Response) error {
	if u, ok := res.Request.Context().Value(uploadKey{}).(*upload); ok && res.StatusCode != http.StatusSwitchingProtocols {
		res.Body = &answerWithUpload{res.Body, u}
	}
	return nil
}

type answerWithUpload struct {
	io.ReadCloser
	upload *upload
}

// Read passes on a part of the answer.
func (a *answerWithUpload) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil {
		_ = a.upload.Close()
	}
	return n, err
}
