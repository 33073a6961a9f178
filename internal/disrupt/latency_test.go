package disrupt

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// held tells how long a latency holds back one request, on virtual time.
func held(l latency, r *http.Request, t turn) time.Duration {
	start := time.Now()
	var took time.Duration
	l.touch(httptest.NewRecorder(), r, t, func(http.ResponseWriter, *http.Request) { took = time.Since(start) })
	return took
}

func TestLatencyIsDelayPlusOrMinusJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := httptest.NewRequest("GET", "/", nil)
		l := latency{delay: 400 * time.Millisecond, jitter: 50 * time.Millisecond}
		require.Equal(t, 350*time.Millisecond, held(l, r, turn{draw: 0}))
		require.Equal(t, 400*time.Millisecond, held(l, r, turn{draw: 0.5}))
		require.Equal(t, 425*time.Millisecond, held(l, r, turn{draw: 0.75}))
	})
}

func TestLatencyReleasesWhatItHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := latency{delay: time.Hour}
		lifted := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(lifted) })
		require.Equal(t, time.Second, held(l, httptest.NewRequest("GET", "/", nil), turn{lifted: lifted}))

		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		require.Equal(t, 2*time.Second, held(l, httptest.NewRequest("GET", "/", nil).WithContext(ctx), turn{}))
	})
}
