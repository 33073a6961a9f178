package disrupt

import (
	"net/http"
	"time"

	"resilience/internal/plan"
)

// blackHole gives requests no answer: they wait until the connection is closed
// after a time, or for ever. What is waiting when the fault is lifted goes on
// at once.
type blackHole struct{ after time.Duration }

func readTimeout(d plan.Disruption) (effect, error) {
	if d.Timeout == nil {
		return nil, nil
	}
	return blackHole{after: time.Duration(d.Timeout.After)}, nil
}

func (f blackHole) touch(w http.ResponseWriter, r *http.Request, c *chance, next http.HandlerFunc) {
	readAhead(r) // or the server would not notice that the client gave up
	if c.wait(r.Context(), f.after) || r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	next(w, r)
}
