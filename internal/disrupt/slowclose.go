package disrupt

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"resilience/internal/plan"
)

// slowClose holds back the end of answers: the last byte where their length is
// announced, or else what marks the end (trailers too). All before it passes. An answer without a body
// does not match: its headers are its end.
type slowClose struct{ delay time.Duration }

func readSlowClose(d plan.Disruption) (effect, error) {
	switch {
	case d.SlowClose == nil:
		return nil, nil
	case d.SlowClose.Delay == 0:
		return nil, errors.New("delay is not above 0")
	}
	return slowClose{delay: time.Duration(d.SlowClose.Delay)}, nil
}

func (f slowClose) touch(w http.ResponseWriter, r *http.Request, c *chance, next http.HandlerFunc) {
	hold := func() { c.wait(r.Context(), f.delay) }
	out := &lateEnd{ResponseWriter: w, chance: c, hold: hold}
	next(out, r)
	if out.begun && !out.held && c.bites() {
		_ = flush(w) // a client that is gone needs none
		hold()
	}
}

// lateEnd is a response whose last byte comes late.
type lateEnd struct {
	http.ResponseWriter
	chance *chance
	hold   func()
	left   int64 // bytes of the announced length; 0 when there is none
	begun  bool  // there is a body
	held   bool
}

// WriteHeader looks for the announced length.
func (w *lateEnd) WriteHeader(status int) {
	if n, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64); err == nil && status >= 200 {
		w.left = n
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write passes on a part of the body.
func (w *lateEnd) Write(b []byte) (int, error) {
	w.begun = w.begun || len(b) > 0
	if w.left == 0 || int64(len(b)) < w.left || !w.chance.bites() {
		w.left = max(0, w.left-int64(len(b)))
		return w.ResponseWriter.Write(b)
	}
	last := int(w.left) - 1
	w.left, w.held = 0, true
	n, err := w.ResponseWriter.Write(b[:last])
	if err == nil {
		err = flush(w.ResponseWriter)
	}
	if err != nil {
		return n, err
	}
	w.hold()
	rest, err := w.ResponseWriter.Write(b[last:])
	return n + rest, err
}

// Unwrap lets http.ResponseController find what we do not do ourselves.
func (w *lateEnd) Unwrap() http.ResponseWriter { return w.ResponseWriter }
