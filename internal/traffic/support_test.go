package traffic

import (
	"cmp"
	"context"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// sink keeps what an engine emits.
type sink struct {
	mu    sync.Mutex
	batch measure.Batch
	calls int
}

func (s *sink) emit(b measure.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	s.batch.Windows = append(s.batch.Windows, b.Windows...)
	s.batch.Events = append(s.batch.Events, b.Events...)
	s.batch.Examples = append(s.batch.Examples, b.Examples...)
	return nil
}

// sum merges all windows of a metric; keep, if given, chooses among them.
func (s *sink) sum(metric string, keep func(measure.Window) bool) measure.Window {
	var all measure.Window
	for _, w := range s.batch.Windows {
		if w.Series.Metric == metric && (keep == nil || keep(w)) {
			all.Merge(w)
		}
	}
	return all
}

func onStep(step string) func(measure.Window) bool {
	return func(w measure.Window) bool { return w.Series.Step == step }
}

func (s *sink) events(kind string) []measure.Event {
	return slices.DeleteFunc(slices.Clone(s.batch.Events), func(e measure.Event) bool { return e.Kind != kind })
}

func (s *sink) examples(kind string) []measure.Example {
	return slices.DeleteFunc(slices.Clone(s.batch.Examples), func(e measure.Example) bool { return e.Kind != kind })
}

func (s *sink) statuses() []string {
	seen := map[string]bool{}
	for _, w := range s.batch.Windows {
		if w.Series.Metric == measure.MetricRequest {
			seen[w.Series.Status] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// end gives the reason of the one test-end event.
func (s *sink) end(t *testing.T) map[string]string {
	ends := s.events(measure.EventTestEnd)
	require.Len(t, ends, 1)
	return ends[0].Attrs
}

// hostOf is the host:port of a URL.
func hostOf(t testing.TB, raw string) string {
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u.Host
}

// streamTo makes a stream of a profile to a URL, filled in as a plan is.
func streamTo(t testing.TB, target string, p plan.Profile) plan.Stream {
	if len(p.Requests) == 0 {
		p.Requests = []plan.Request{{Path: "/"}}
	}
	p.Requests = filled(p.Requests)
	p.Timeout = cmp.Or(p.Timeout, secs(30))
	if p.Open() {
		p.MaxVUs = cmp.Or(p.MaxVUs, 100)
		p.Grace = cmp.Or(p.Grace, secs(30))
	}
	return plan.Stream{
		Phase: "beta", Arm: measure.Candidate, Test: plan.Test{Name: "t", Load: &p},
		Target: plan.Target{URL: target, Accept: []string{"2xx", "3xx"}},
		Hosts:  []string{hostOf(t, target)}, Dir: t.TempDir(), Seed: 1,
	}
}

// filled are requests with a plan's defaults.
func filled(requests []plan.Request) []plan.Request {
	requests = slices.Clone(requests)
	for i := range requests {
		r := &requests[i]
		r.Method, r.Weight = cmp.Or(r.Method, http.MethodGet), cmp.Or(r.Weight, 1)
		r.Name = cmp.Or(r.Name, r.Method+" "+r.Path)
	}
	return requests
}

// drive runs a stream to its end and checks that nothing is left behind.
func drive(t *testing.T, ctx context.Context, s plan.Stream) *sink {
	t.Helper()
	before := goleak.IgnoreCurrent()
	engine, err := NewRequests(s)
	require.NoError(t, err)
	out := &sink{}
	require.NoError(t, engine.Run(ctx, out.emit))
	for ended := time.Now(); ; { // a busy machine may take longer than goleak waits
		err = goleak.Find(before, goleak.IgnoreAnyFunction("net/http.(*conn).serve"), goleak.IgnoreAnyFunction("net/http.(*connReader).backgroundRead"))
		if err == nil || time.Since(ended) > 10*time.Second {
			break
		}
	}
	require.NoError(t, err)
	return out
}

// discardLog keeps the complaints of servers about broken handshakes away.
var discardLog = log.New(io.Discard, "", 0)

// serve starts a server on loopback that ends with the test.
func serve(t testing.TB, handler http.HandlerFunc) *httptest.Server {
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}
