package disrupt

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"resilience/internal/plan"
)

// failure answers in the dependency's place; the request never gets there.
type failure struct {
	status      int
	body        string
	contentType string
}

func readError(d plan.Disruption) (effect, error) {
	if d.Error == nil {
		return nil, nil
	}
	f := failure{
		status:      cmp.Or(d.Error.Status, http.StatusServiceUnavailable),
		body:        d.Error.Body,
		contentType: "text/plain; charset=utf-8",
	}
	if f.status < 400 || f.status > 599 {
		return nil, fmt.Errorf("status %d is not an error: give one from 400 to 599", f.status)
	}
	if json.Valid([]byte(f.body)) {
		f.contentType = "application/json"
	}
	return f, nil
}

func (f failure) touch(w http.ResponseWriter, r *http.Request, _ turn, _ http.HandlerFunc) {
	readAhead(r) // so that the connection can be used again
	h := w.Header()
	h.Set("Content-Length", strconv.Itoa(len(f.body)))
	if f.body != "" {
		h.Set("Content-Type", f.contentType)
	}
	w.WriteHeader(f.status)
	_, _ = io.WriteString(w, f.body) // a client that is gone needs no answer
}
