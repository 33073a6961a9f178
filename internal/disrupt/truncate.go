package disrupt

import (
	"errors"
	"net/http"

	"resilience/internal/plan"
)

// truncation ends the bodies of answers early, as if the dependency had died:
// the connection is closed, or over HTTP/2 the stream reset. An answer that is
// no longer than what may pass does not match.
type truncation struct{ after plan.Size }

func readTruncate(d plan.Disruption) (effect, error) {
	if d.Truncate == nil {
		return nil, nil
	}
	return truncation{after: d.Truncate.After}, nil
}

func (f truncation) touch(w http.ResponseWriter, r *http.Request, c *chance, next http.HandlerFunc) {
	next(&cutShort{ResponseWriter: w, chance: c, left: uint64(f.after)}, r)
}

// cutShort is a response that breaks off.
type cutShort struct {
	http.ResponseWriter
	chance *chance
	left   uint64 // bytes
}

var errTruncated = errors.New("the answer was cut off")

// Write passes on a part of the body. Its error makes who answers give up.
func (w *cutShort) Write(b []byte) (int, error) {
	if uint64(len(b)) <= w.left || !w.chance.bites() {
		w.left -= min(w.left, uint64(len(b)))
		return w.ResponseWriter.Write(b)
	}
	n, err := w.ResponseWriter.Write(b[:w.left])
	w.left = 0
	if err == nil {
		err = flush(w.ResponseWriter)
	}
	return n, errors.Join(errTruncated, err)
}

// Unwrap lets http.ResponseController find what we do not do ourselves.
func (w *cutShort) Unwrap() http.ResponseWriter { return w.ResponseWriter }
