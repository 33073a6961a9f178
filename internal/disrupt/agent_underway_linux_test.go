package disrupt

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// onItsWay sends a request and tells when it has been written; its answer comes
// from done.
func (w *podWorld) onItsWay(client *http.Client, path string, body io.Reader) (written <-chan struct{}, done <-chan string) {
	said, answer := make(chan struct{}, 1), make(chan string, 1)
	request, err := http.NewRequest(http.MethodPost, "http://"+podAddress+":"+strconv.Itoa(podPort)+path, body)
	require.NoError(w.t, err)
	trace := &httptrace.ClientTrace{WroteHeaders: func() {
		select {
		case said <- struct{}{}:
		default:
		}
	}}
	request = request.WithContext(httptrace.WithClientTrace(w.t.Context(), trace))
	go func() {
		response, err := client.Do(request)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer response.Body.Close()
		answer <- response.Status
	}()
	return said, answer
}

// meantByNobody is a fault that no request here is meant by.
func meantByNobody() plan.Disruption {
	d := outage()
	d.Match = &plan.Match{Path: "/nobody"}
	return d
}

// trickle is a body that comes bit by bit.
type trickle struct{ left int }

func (t *trickle) Read(p []byte) (int, error) {
	if t.left--; t.left < 0 {
		return 0, io.EOF
	}
	<-time.After(10 * time.Millisecond)
	return copy(p, "x"), nil
}

// TestAgentLetsRequestsArrive: what is being sent on connections that exist when
// a fault begins reaches the system and is answered, before they are reset.
func TestAgentLetsRequestsArrive(t *testing.T) {
	for round := range 3 { // by chance one is between two pieces
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			w := podWorldOf(t, patientAgent)
			client := w.client()
			_, err := w.call(client, "/")
			require.NoError(t, err)
			written, done := w.onItsWay(client, "/?wait=1s", &trickle{left: 90})
			<-written
			require.Empty(t, w.inject("one", meantByNobody(), 0).Error)
			require.Equal(t, "200 OK", <-done)
			require.Empty(t, w.tell(agentRequest{Op: agentLift, ID: "one"}).Error)
		})
	}
}

// TestAgentLetsRequestsEnd: what is at the proxy when the fault is lifted is
// answered.
func TestAgentLetsRequestsEnd(t *testing.T) {
	w := podWorldOf(t, patientAgent)
	require.Empty(t, w.inject("one", meantByNobody(), 0).Error)
	client := w.client()
	_, err := w.call(client, "/")
	require.NoError(t, err)
	written, done := w.onItsWay(client, "/?wait=400ms", strings.NewReader("x"))
	<-written
	require.Empty(t, w.tell(agentRequest{Op: agentLift, ID: "one"}).Error)
	require.Equal(t, "200 OK", <-done)
}
