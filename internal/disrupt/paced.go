package disrupt

import (
	"context"
	"io"
	"net/http"
	"time"
)

// bodyPace says how a body is passed on: in pieces, each after a pause. Once the
// fault is lifted the rest goes as it comes.
type bodyPace struct {
	ctx    context.Context
	chance *chance
	piece  int                           // bytes, at most
	pause  func(bytes int) time.Duration // before a piece of so many bytes
	due    time.Time                     // of the latest piece: late ones are made up for
}

// hold waits for the time of the next piece.
func (p *bodyPace) hold(bytes int) {
	pause := p.pause(bytes)
	if pause <= 0 {
		return
	}
	now := time.Now()
	if p.due.Before(now.Add(-pause)) {
		p.due = now
	}
	p.due = p.due.Add(pause)
	if left := p.due.Sub(now); left > 0 {
		p.chance.wait(p.ctx, left)
	}
}

// pacedWriter is a response at a pace.
type pacedWriter struct {
	http.ResponseWriter
	bodyPace
	least  int // bytes that there have to be at a time for any harm
	on     bool
	pieces int // that were passed on
}

// Write passes on a part of the body, piece by piece.
func (w *pacedWriter) Write(b []byte) (written int, err error) {
	w.on = w.on || len(b) >= w.least && w.chance.bites()
	for w.on && len(b) > 0 && !w.chance.isLifted() {
		next := b[:min(len(b), w.piece)]
		w.hold(len(next))
		n, err := w.ResponseWriter.Write(next)
		written += n
		if err != nil {
			return written, err
		}
		w.pieces++
		if err := flush(w.ResponseWriter); err != nil {
			return written, err
		}
		b = b[n:]
	}
	if len(b) == 0 {
		return written, nil
	}
	n, err := w.ResponseWriter.Write(b)
	return written + n, err
}

// Unwrap lets http.ResponseController find what we do not do ourselves.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// flush passes on what was written so far.
func flush(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() }

// pacedReader is a request's body at a pace.
type pacedReader struct {
	io.ReadCloser
	bodyPace
	begun bool
}

// Read takes in a piece.
func (r *pacedReader) Read(b []byte) (int, error) {
	if r.begun && (!r.chance.bites() || r.chance.isLifted()) {
		return r.ReadCloser.Read(b)
	}
	n, err := r.ReadCloser.Read(b[:min(len(b), r.piece)])
	if n > 0 {
		r.begun = true
		if r.chance.bites() {
			r.hold(n)
		}
	}
	return n, err
}
