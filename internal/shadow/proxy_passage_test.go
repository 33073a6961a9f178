package shadow

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// informed notes each status that is written.
type informed struct {
	http.ResponseWriter
	statuses []int
}

func (w *informed) WriteHeader(status int) { w.statuses = append(w.statuses, status) }

// TestPassagesAskForABodyOnce: whom the server asks for the body when that is read, the
// upstream does not ask as well; whatever else it says before its answer is passed on.
func TestPassagesAskForABodyOnce(t *testing.T) {
	for name, c := range map[string]struct {
		expect, body string
		want         []int
	}{
		"who waits to be asked": {"100-continue", "x", []int{http.StatusEarlyHints}},
		"who does not wait":     {"", "x", []int{http.StatusContinue, http.StatusEarlyHints}},
		"who has no body":       {"100-continue", "", []int{http.StatusContinue, http.StatusEarlyHints}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &informed{ResponseWriter: httptest.NewRecorder()}
			r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
			if c.expect != "" {
				r.Header.Set("Expect", c.expect)
			}
			x := &passage{ResponseWriter: w, request: r}
			if c.body != "" {
				x.upload.of(w, r)
			}
			x.WriteHeader(http.StatusContinue)
			x.WriteHeader(http.StatusEarlyHints)
			require.Equal(t, c.want, w.statuses)
		})
	}
}
