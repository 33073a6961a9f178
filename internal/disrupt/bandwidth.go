package disrupt

import (
	"errors"
	"net/http"
	"time"

	"resilience/internal/plan"
)

// bandwidth lets the bodies of a request and of its answer pass at a rate,
// each at its own.
type bandwidth struct{ perSecond plan.Size }

func readBandwidth(d plan.Disruption) (effect, error) {
	switch {
	case d.Bandwidth == nil:
		return nil, nil
	case d.Bandwidth.PerSecond == 0:
		return nil, errors.New("per_second is not above 0")
	}
	return bandwidth{perSecond: d.Bandwidth.PerSecond}, nil
}

func (f bandwidth) touch(w http.ResponseWriter, r *http.Request, c *chance, next http.HandlerFunc) {
	p := bodyPace{ctx: r.Context(), chance: c, piece: f.piece(), pause: f.pause}
	if r.ContentLength != 0 {
		watchHangUp(r)
		r.Body = &pacedReader{ReadCloser: r.Body, bodyPace: p}
	}
	next(&pacedWriter{ResponseWriter: w, least: 1, bodyPace: p}, r)
}

// piece is what passes in 20 ms, at least a byte and at most what is copied at
// a time: a slow body trickles instead of coming in bursts.
func (f bandwidth) piece() int { return int(min(max(f.perSecond/50, 1), bufferSize)) }

func (f bandwidth) pause(bytes int) time.Duration {
	return time.Duration(float64(bytes) / float64(f.perSecond) * float64(time.Second))
}
