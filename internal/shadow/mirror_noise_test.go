package shadow

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestMirrorAsksForNoiseLast wants the second answer of the same version to be no closer in
// time to the first than the candidate's is, however slow that is.
func TestMirrorAsksForNoiseLast(t *testing.T) {
	var mu sync.Mutex
	var order []string
	note := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, text)
	}
	serve := func(name string, answered chan struct{}) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			note(name + " asked")
			if answered != nil {
				<-answered
			}
			note(name + " answers")
			fmt.Fprint(w, "{}")
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	slow := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() { close(slow) })
	askers, err := newAskers(MirrorOptions{Candidate: serve("candidate", slow), Baseline: serve("baseline", nil), Noise: serve("noise", nil), Copies: 1})
	require.NoError(t, err)
	defer askers.close()
	asked := askers.ask(t.Context(), time.Minute, &capture{method: "GET", target: "/", host: "shop", header: http.Header{}}, &captureBudget{limit: 1 << 20}, 1<<20)
	defer asked.release()
	for _, one := range asked.all() {
		require.NoError(t, one.err)
	}
	require.Equal(t, []string{"noise asked", "noise answers"}, order[len(order)-2:])
}
