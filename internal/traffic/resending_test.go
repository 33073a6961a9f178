package traffic

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// dropping is a server that ends the connection of every fifth request without an
// answer.
func dropping(t *testing.T) (server *httptest.Server, dropped *atomic.Uint64) {
	t.Helper()
	var asked atomic.Uint64
	dropped = &atomic.Uint64{}
	server = serve(t, func(http.ResponseWriter, *http.Request) {
		if asked.Add(1)%5 == 0 {
			dropped.Add(1)
			panic(http.ErrAbortHandler)
		}
	})
	return server, dropped
}

// A target that drops requests is not helped by net/http, which sends them again and
// says nothing.
func TestRequestsThatAreSentAgainAreToldOf(t *testing.T) {
	for name, send := range map[string]func(*testing.T, string) *sink{
		"requests": func(t *testing.T, url string) *sink {
			// One at a time: those of many new connections would be lost, not sent again.
			return drive(t, t.Context(), streamTo(t, url, plan.Profile{Rate: 50, Duration: seconds(1), MaxVUs: 1}))
		},
		"k6": func(t *testing.T, url string) *sink {
			return runScript(t, scriptTo(t, url, `
				import http from 'k6/http';
				export default function () { for (let i = 0; i < 50; i++) http.get(__ENV.TARGET_URL); }`, plan.Profile{Grace: seconds(30)}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			server, dropped := dropping(t)
			out := send(t, server.URL)
			warnings := out.events(measure.EventWarning)
			lost := out.sum(measure.MetricRequest, nil).Failed // on new connections
			require.Len(t, warnings, 1)
			require.Equal(t, measure.Resent(dropped.Load()-lost), warnings[0].Attrs["detail"])
			require.Greater(t, dropped.Load(), lost+5)
		})
	}
	t.Run("none", func(t *testing.T) {
		server := serve(t, func(http.ResponseWriter, *http.Request) {})
		out := drive(t, t.Context(), streamTo(t, server.URL, plan.Profile{Rate: 50, Duration: seconds(1)}))
		require.Empty(t, out.events(measure.EventWarning))
	})
}
