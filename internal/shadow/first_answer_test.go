package shadow

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// dropping is a server that ends the connection of every fifth request without an
// answer.
func dropping(t *testing.T) *httptest.Server {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1)%5 == 0 {
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	server.Config.ErrorLog = nowhere()
	t.Cleanup(server.Close)
	return server
}

// A candidate that drops requests is not helped by net/http, which sends them again.
func TestReplayCountsDroppedRequests(t *testing.T) {
	s := staged{test: unhurried(), candidate: toServer{dropping(t)}, baseline: answering(`{"ok":true}`, 0)}
	for i := range 50 {
		s.tape.exchanges = append(s.tape.exchanges, recordedGet(time.Duration(i)*time.Microsecond, "one", "/items"))
	}
	all := s.run(t, t.Context())
	require.EqualValues(t, 50, replaySummed(all, measure.MetricRequest)[measure.Candidate].Count)
	require.GreaterOrEqual(t, replaySummed(all, measure.MetricRequest)[measure.Candidate].Failed, uint64(5))
	require.Equal(t, "the connection was closed without an answer: EOF", all.Examples[0].Message)
}

func TestMirrorCountsDroppedCopies(t *testing.T) {
	primary := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"ok":true}`) }))
	defer primary.Close()
	m, err := NewMirror(t.Context(), MirrorOptions{
		Primary: primary.URL, Candidate: dropping(t).URL, Copies: 1, Timeout: patient,
		Compare: func(a Answers) bool { return a.Candidate.Status == 0 },
	})
	require.NoError(t, err)
	for range 50 {
		resp, err := http.Get(m.URL() + "/items")
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body) // or it would be a user who left
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	m.Close(t.Context())
	require.EqualValues(t, 50, m.Counts().Compared)
	require.GreaterOrEqual(t, m.Counts().Failed, uint64(5))
}
