package xk6resilience

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

func TestRoute(t *testing.T) {
	for path, want := range map[string]string{
		"":             "/",
		"/orders/123":  "/orders/:id",
		"/v2/items":    "/v2/items",
		"/a/1-2_3.4/b": "/a/:id/b",
		"/u/6f1c2ab0-9d1e-4f00-8a10-0123456789ab": "/u/:id",
		"/page-2": "/page-2",
	} {
		require.Equal(t, want, routePath(path), path)
	}
	for name, want := range map[string]string{
		"checkout":                  "checkout",
		"http://h/orders/${}/lines": "GET /orders/:id/lines",
		"http://h:1/x?a=b":          "GET /x",
		"http://h/%zz":              "GET http://h/%zz",
	} {
		require.Equal(t, want, routeOfName("GET", name), name)
	}
}

func TestRouteNeverPanics(t *testing.T) {
	for _, text := range []string{"http://[::1", "://", "\x00", strings.Repeat("/9", 500)} {
		require.NotPanics(t, func() { routeOfName("GET", text) })
	}
}

func TestSaidHidesSecrets(t *testing.T) {
	s := newSurroundings(plan.Settings{Headers: map[string]string{"Authorization": "Bearer tok-12345678", "X-Short": "a"}})
	said := s.said("Get \"https://me:pw@h/p?key=hidden#f\": sent\n tok-12345678 to a host")
	require.Equal(t, `Get "https://h/p?…": sent *** to a host`, said)
	long := s.said(strings.Repeat("ä", 400))
	require.LessOrEqual(t, len(long), measure.MaxMessage)
	require.True(t, utf8.ValidString(long))
}

func TestPlaces(t *testing.T) {
	s := newSurroundings(plan.Settings{Stream: plan.Stream{
		Target: plan.Target{URL: "https://Shop.example"}, Hosts: []string{"shop.example:443", "[::1]:80", "127.0.0.1:9000"},
	}})
	for raw, want := range map[string]place{
		"https://shop.example/x":     {allowed: true, target: true},
		"https://SHOP.example:443/x": {allowed: true, target: true},
		"http://shop.example/x":      {},
		"http://[::1]/x":             {allowed: true},
		"http://127.0.0.1:9000":      {allowed: true},
		"http://127.0.0.1:9001":      {},
	} {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		require.Equal(t, want, s.place(u), raw)
	}
	require.True(t, newSurroundings(plan.Settings{}).allows("anything:1"), "bare k6")
}

func TestAcceptedStatuses(t *testing.T) {
	bare := newSurroundings(plan.Settings{})
	require.True(t, bare.accepted(302))
	require.False(t, bare.accepted(404))
	require.False(t, bare.accepted(0))
	require.False(t, bare.accepted(999))
	own := newSurroundings(plan.Settings{Stream: plan.Stream{Target: plan.Target{Accept: []string{"2xx", "404"}}}})
	require.True(t, own.byPlan)
	require.True(t, own.accepted(404))
	require.False(t, own.accepted(302))
}

func TestExamplesAreFew(t *testing.T) {
	s := newSession()
	for range 100 {
		s.example(measure.Example{Kind: "one"})
	}
	for i := range 100 {
		s.example(measure.Example{Kind: strings.Repeat("k", i+2)})
	}
	require.Len(t, s.take().Examples, measure.MaxExamples+maxKinds-1)
	require.Empty(t, s.take().Examples)
}

func TestLateArrivalsAreNotCounted(t *testing.T) {
	s := newSession()
	s.attached.Store(true)
	s.finish(time.Now())
	s.take()
	v := &vu{session: s}
	s.count(&span{vu: v, series: &iterationSeries, start: time.Now(), end: time.Now()})
	s.missing(time.Now().Add(-time.Hour), time.Now())
	s.keep(func() { t.Error("kept after the end") })
	s.finish(time.Now())
	batch := s.take()
	require.Empty(t, batch.Windows)
	require.Empty(t, batch.Events)
}

func TestBlame(t *testing.T) {
	s := newSession()
	for range 10 {
		s.second(load{elapsed: time.Second, used: time.Hour})
	}
	for range 10 {
		s.second(load{elapsed: time.Second, late: lateBy})
	}
	s.blame.exception("boom", false)
	s.blame.busy(1, 10)
	s.blame.transportError(s, errors.New("nothing of ours"))
	s.finish(time.Now())
	var names []string
	for _, e := range s.take().Events {
		names = append(names, e.Kind+" "+e.Name)
	}
	require.ElementsMatch(t, []string{"generator cpu", "generator script", "exception iteration", "generator vus", "generator lag"}, names)
}

func TestTraceID(t *testing.T) {
	h := http.Header{}
	require.Empty(t, traceID(h))
	h.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", traceID(h))
}
