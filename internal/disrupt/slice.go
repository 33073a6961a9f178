package disrupt

import (
	"errors"
	"net/http"
	"time"

	"resilience/internal/plan"
)

// slice passes the bodies of answers on in small pieces. What comes in a piece
// that is small enough does not match.
type slice struct {
	size  plan.Size
	delay time.Duration // between two
}

func readSlice(d plan.Disruption) (effect, error) {
	switch {
	case d.Slice == nil:
		return nil, nil
	case d.Slice.Size == 0:
		return nil, errors.New("size is not above 0")
	}
	return slice{size: d.Slice.Size, delay: time.Duration(d.Slice.Delay)}, nil
}

func (f slice) touch(w http.ResponseWriter, r *http.Request, c *chance, next http.HandlerFunc) {
	piece := int(min(f.size, bufferSize))
	out := &pacedWriter{ResponseWriter: w, least: piece + 1, bodyPace: bodyPace{ctx: r.Context(), chance: c, piece: piece}}
	out.pause = func(int) time.Duration {
		if out.pieces == 0 {
			return 0
		}
		return f.delay
	}
	next(out, r)
}
