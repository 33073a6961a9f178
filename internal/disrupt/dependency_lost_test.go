package disrupt

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// losing is a way to a server on which orders of some methods are carried out
// and their answers lost; after that nothing passes until it is mended.
type losing struct {
	method string // whose answers are lost
	broken atomic.Bool
	mended atomic.Bool
}

func (l *losing) to(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	pass := httputil.NewSingleHostReverseProxy(u)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case l.mended.Load():
			pass.ServeHTTP(w, r)
		case l.broken.Load():
			panic(http.ErrAbortHandler)
		case r.Method == l.method:
			l.broken.Store(true)
			pass.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			pass.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// lose injects where the answer is lost and the fault can not be taken back.
func (l *losing) lose(t *testing.T, on Dependency, d plan.Disruption) (kept json.RawMessage) {
	t.Helper()
	fault, err := on.Disruption(d, 1)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = fault.Inject(ctx, func(undo json.RawMessage) error { kept = undo; return nil })
	require.Error(t, err)
	require.True(t, l.broken.Load())
	l.mended.Store(true)
	return kept
}

// A fault whose answer was lost is undone by the run that goes on, which keeps
// its proxy.
func TestToxiproxyFaultWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	real, _ := startToxiproxy(t)
	l := &losing{method: "none"}
	p := toxiproxyFront(t, l.to(t, real))
	require.True(t, p.made)
	l.method = http.MethodPost
	d := plan.Disruption{Name: "d", Dependency: "db", Timeout: &plan.Timeout{}}
	kept := l.lose(t, p, d)
	now, err := p.api.proxy(t.Context(), "db")
	require.NoError(t, err)
	require.NotEmpty(t, now.ActiveToxics, "it is in effect")
	for range 2 {
		require.NoError(t, Undo(t.Context(), d, kept, Site{Dependencies: map[string]Dependency{"db": p}}))
		requireEcho(t, exchangeOnce(p.at()))
	}
}

func TestFaultElsewhereWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	p, _, address := controlled(t, testToken, time.Minute)
	l := &losing{method: http.MethodPut}
	on, _ := connect(t, l.to(t, address))
	d := delayed(time.Minute)
	d.Dependency = "payments"
	kept := l.lose(t, on, d)
	require.Len(t, *p.injected.Load(), 1, "it is in effect")
	for range 2 {
		require.NoError(t, Undo(t.Context(), d, kept, Site{Dependencies: map[string]Dependency{"payments": on}}))
		require.Empty(t, *p.injected.Load())
	}
}
