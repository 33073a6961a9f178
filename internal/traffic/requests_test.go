package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

func TestCountsAreWhatTheServerSaw(t *testing.T) {
	var ok, bad atomic.Uint64
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			bad.Add(1)
			w.Header().Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		ok.Add(1)
	})
	s := streamTo(t, server.URL, plan.Profile{
		Rate: 200, Duration: secs(1.2), Warmup: secs(0.3),
		Requests: []plan.Request{{Path: "/?key=secret", Weight: 3}, {Name: "bad", Path: "/bad?user=u&token=secret"}},
	})
	out := drive(t, t.Context(), s)

	require.EqualValues(t, 300, ok.Load()+bad.Load())
	all, failed := out.sum(measure.MetricRequest, nil), out.sum(measure.MetricRequest, onStep("bad"))
	require.EqualValues(t, 300, all.Count)
	require.Equal(t, bad.Load(), all.Failed)
	require.Equal(t, bad.Load(), failed.Count)
	require.Equal(t, ok.Load(), out.sum(measure.MetricRequest, onStep("GET /?key=secret")).Count)
	require.InDelta(t, 75, float64(bad.Load()), 30)
	require.Equal(t, []string{"200", "503"}, out.statuses())
	require.EqualValues(t, 300, out.sum(measure.MetricIteration, nil).Count)
	require.Zero(t, out.sum(measure.MetricIteration, nil).Failed)
	require.Zero(t, out.sum(measure.MetricOutcome, nil).Count, "nothing verifies content")
	require.Greater(t, out.calls, 1, "handed on while it runs")

	examples := out.examples("status 503")
	require.Len(t, examples, measure.MaxExamples)
	require.Equal(t, "GET "+server.URL+"/bad?user=&token=", examples[0].Request)
	require.Equal(t, "4bf92f3577b34da6a3ce929d0e0e4736", examples[0].TraceID)
	require.Equal(t, "Service Unavailable", examples[0].Message)

	require.Equal(t, map[string]string{"kind": "load", "warmup": "300ms", "engine": "vegeta"}, out.events(measure.EventTest)[0].Attrs)
	require.Equal(t, map[string]string{"rate": "200"}, out.events(measure.EventAsked)[0].Attrs)
	require.Len(t, out.events(measure.EventAsked), 1)
	require.Equal(t, map[string]string{"complete": "true", "reason": ""}, out.end(t))
	length := out.events(measure.EventTestEnd)[0].At - out.events(measure.EventTest)[0].At
	require.Equal(t, 1500*time.Millisecond, time.Duration(length))
}

func TestAcceptedStatuses(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	s := streamTo(t, server.URL, plan.Profile{Rate: 50, Duration: secs(0.2)})
	s.Target.Accept = []string{"404"}
	out := drive(t, t.Context(), s)
	require.EqualValues(t, 10, out.sum(measure.MetricRequest, nil).Count)
	require.Zero(t, out.sum(measure.MetricRequest, nil).Failed)
}

// A server that stands still for a second in the middle, seen through two
// workers: vegeta's own latency would show two slow requests.
func TestLatencyRunsFromTheSchedule(t *testing.T) {
	began := sync.OnceValue(time.Now)
	server := serve(t, func(http.ResponseWriter, *http.Request) {
		if since := time.Since(began()); since > 300*time.Millisecond && since < 1300*time.Millisecond {
			<-time.After(1300*time.Millisecond - since) // the stall under test
		}
	})
	out := drive(t, t.Context(), streamTo(t, server.URL, plan.Profile{
		Rate: 100, Duration: secs(1.5), MaxVUs: 2,
	}))
	all := out.sum(measure.MetricRequest, nil)
	require.EqualValues(t, 150, all.Count)
	require.Zero(t, all.Failed)
	median, _ := all.Sketch.Quantile(0.5)
	high, _ := all.Sketch.Quantile(0.99)
	require.Greater(t, median, 100.0, "most arrivals met the stall")
	require.Greater(t, high, 900.0)

	// Each second holds what was scheduled in it, not what ended in it.
	var inFirst uint64
	first := out.events(measure.EventTest)[0].At
	edge := first - first%int64(time.Second) + int64(time.Second)
	for _, w := range out.batch.Windows {
		if w.Series.Metric == measure.MetricRequest && w.Start < edge {
			inFirst += w.Count
		}
	}
	require.InDelta(t, float64(edge-first)/1e7, float64(inFirst), 1.01)
}

func TestHangingToTheEnd(t *testing.T) {
	release := make(chan struct{})
	var started atomic.Uint64
	server := hangingServer(t, release, func() { started.Add(1) })
	out := drive(t, t.Context(), streamTo(t, server, plan.Profile{Rate: 10, Duration: secs(3), MaxVUs: 8, Grace: secs(0.3)}))

	requests, iterations := out.sum(measure.MetricRequest, nil), out.sum(measure.MetricIteration, nil)
	require.EqualValues(t, 8, started.Load())
	require.EqualValues(t, 8, requests.Count)
	require.EqualValues(t, 8, requests.Failed)
	require.EqualValues(t, 8, requests.Unfinished)
	require.GreaterOrEqual(t, requests.Max, 3000.0, "the first waited all the time")
	require.EqualValues(t, 30, iterations.Count)
	require.EqualValues(t, 22, iterations.Dropped)
	require.EqualValues(t, 30, iterations.Failed)
	require.Equal(t, []string{"unfinished"}, out.statuses())
	require.Len(t, out.examples("dropped"), measure.MaxExamples)
	require.Equal(t, "true", out.end(t)["complete"], "all was sent that could be")
}

// hangingServer is a server that answers nothing until the test is over.
func hangingServer(t *testing.T, release chan struct{}, started func()) string {
	server := serve(t, func(http.ResponseWriter, *http.Request) {
		started()
		<-release
	})
	t.Cleanup(func() { close(release) }) // before the server is closed
	return server.URL
}

func TestInterrupt(t *testing.T) {
	const workers = 5
	var started atomic.Uint64
	ctx, cancel := context.WithCancel(t.Context())
	server := hangingServer(t, make(chan struct{}), func() {
		if started.Add(1) == workers { // no more can be sent
			cancel()
		}
	})
	began := time.Now()
	out := drive(t, ctx, streamTo(t, server, plan.Profile{Rate: 20, Duration: secs(60), MaxVUs: workers}))

	require.Less(t, time.Since(began), 50*time.Second)
	all := out.sum(measure.MetricRequest, nil)
	require.EqualValues(t, workers, started.Load())
	require.EqualValues(t, []uint64{workers, workers}, []uint64{all.Count, all.Unfinished})
	require.Equal(t, map[string]string{"complete": "false", "reason": "interrupted"}, out.end(t))
}

// A slow schedule must not hold an interrupt up.
func TestInterruptBetweenArrivals(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := serve(t, func(http.ResponseWriter, *http.Request) { cancel() })
	began := time.Now()
	out := drive(t, ctx, streamTo(t, server.URL, plan.Profile{Rate: 0.01, Duration: secs(600)}))
	require.Less(t, time.Since(began), time.Minute, "the next arrival is due after 100 s")
	require.EqualValues(t, 1, out.sum(measure.MetricIteration, nil).Count)
}

func TestFailuresHaveNames(t *testing.T) {
	server := faultyServer(t)
	for path, want := range map[string]string{
		"/slow": "timeout", "/slow-body": "timeout", "/reset": "reset", "/loop": "redirects", "/away": "guard", "/hop": "200",
	} {
		t.Run(path, func(t *testing.T) {
			timeout := secs(10)
			if want == "timeout" {
				timeout = secs(0.2)
			}
			out := drive(t, t.Context(), streamTo(t, server, plan.Profile{
				Rate: 20, Duration: secs(0.1), Timeout: timeout, Grace: secs(12), Requests: []plan.Request{{Path: path + "?k=secret"}},
			}))
			require.Equal(t, []string{want}, out.statuses())
			for _, e := range out.batch.Examples {
				require.NotContains(t, fmt.Sprint(e), "secret")
			}
		})
	}
	out := drive(t, t.Context(), streamTo(t, "http://127.0.0.1:1", plan.Profile{Rate: 20, Duration: secs(0.1)})) // a port that is never given out
	require.Equal(t, []string{"refused"}, out.statuses())
	require.EqualValues(t, 2, out.sum(measure.MetricRequest, nil).Failed)
	require.Contains(t, out.examples("refused")[0].Message, "connection refused")
}

func faultyServer(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/slow-body", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begin")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	})
	mux.HandleFunc("/hop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/end", http.StatusFound) })
	mux.HandleFunc("/end", func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if strings.HasPrefix(name, "X-Vegeta") {
				w.WriteHeader(http.StatusTeapot)
			}
		}
		if strings.Contains(r.Header.Get("Referer"), "#") {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	return serve(t, mux.ServeHTTP).URL
}

// roundTrip is a transport of a test.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRunningOutOfFilesIsNotTheTargetsFault(t *testing.T) {
	engine, err := NewRequests(streamTo(t, "http://127.0.0.1:1", plan.Profile{Rate: 50, Duration: secs(0.2)}))
	require.NoError(t, err)
	out := &sink{}
	client := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}
	})}
	require.NoError(t, newAttack(engine, client).run(t.Context(), out.emit))
	require.Zero(t, out.sum(measure.MetricRequest, nil).Count)
	iterations := out.sum(measure.MetricIteration, nil)
	require.EqualValues(t, []uint64{10, 10, 0}, []uint64{iterations.Count, iterations.Failed, iterations.Dropped})
	blamed := slices.DeleteFunc(out.events(measure.EventGenerator), func(e measure.Event) bool { return e.Name != "files" })
	require.Len(t, blamed, 1)
	require.Contains(t, blamed[0].Attrs["detail"], "10 requests could not be sent")
}

func TestUnexpectedContentIsAnOutcome(t *testing.T) {
	var n atomic.Uint64
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) % 4 {
		case 0:
			_, _ = io.WriteString(w, `{"state":"lost"}`)
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		default:
			_, _ = io.WriteString(w, `{"state":"paid"}`)
		}
	})
	out := drive(t, t.Context(), streamTo(t, server.URL, plan.Profile{
		Rate: 100, Duration: secs(0.4),
		Requests: []plan.Request{{Name: "order", Path: "/", Expect: &plan.Expect{JSON: map[string]string{"state": "paid"}}}},
	}))
	requests, outcomes := out.sum(measure.MetricRequest, nil), out.sum(measure.MetricOutcome, onStep("order"))
	require.EqualValues(t, []uint64{40, 10}, []uint64{requests.Count, requests.Failed})
	require.EqualValues(t, []uint64{30, 10}, []uint64{outcomes.Count, outcomes.Failed})
	require.Equal(t, `JSON state is "lost", want "paid"`, out.examples("expect order")[0].Message)
}

func TestDataIsPutIntoRequests(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %s h=%s t=%s %s", r.Method, r.RequestURI, r.Header.Get("X-User"), r.Header.Get("Content-Type"), body))
	})
	s := streamTo(t, server.URL+"/api/", plan.Profile{
		Rate: 30, Duration: secs(0.1), Data: "users.csv",
		Requests: []plan.Request{{
			Method: "POST", Path: "/users/${data.name}?q=${data.name}", Headers: map[string]string{"X-User": "${data.name}"},
			JSON: map[string]any{"n": "${data.name}", "x": 1, "h": "<&>"},
		}},
	})
	content := "name\na/b c\n\"say \"\"hi\"\"\nX-Evil: 1\"\n&=\n"
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, "users.csv"), []byte(content), 0o600))
	drive(t, t.Context(), s)
	sort.Strings(seen)
	require.Equal(t, []string{
		`POST /api/users/&=?q=%26%3D h=&= t=application/json {"h":"<&>","n":"\u0026=","x":1}`,
		`POST /api/users/a%2Fb%20c?q=a%2Fb+c h=a/b c t=application/json {"h":"<&>","n":"a/b c","x":1}`,
		`POST /api/users/say%20%22hi%22%0AX-Evil:%201?q=say+%22hi%22%0AX-Evil%3A+1 h=say "hi" X-Evil: 1 t=application/json {"h":"<&>","n":"say \"hi\"\nX-Evil: 1","x":1}`,
	}, seen)
}

func TestAskedFollowsARamp(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	out := drive(t, t.Context(), streamTo(t, server.URL, plan.Profile{Rate: 40, Ramp: secs(3.5), Duration: secs(0.2)}))
	asked := out.events(measure.EventAsked)
	require.Equal(t, "0", asked[0].Attrs["rate"])
	require.Contains(t, []int{2, 3, 4}, len(asked), "once a second, where this machine does not stand still")
	for _, e := range asked[1:] {
		rate, err := strconv.ParseFloat(e.Attrs["rate"], 64)
		require.NoError(t, err)
		at := time.Duration(e.At - asked[0].At)
		require.InDelta(t, 40*min(1, at.Seconds()/3.5), rate, 0.01, "at %v", at)
	}
	require.EqualValues(t, 78, out.sum(measure.MetricRequest, nil).Count)
}

func TestNobodyTakesTheResults(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	engine, err := NewRequests(streamTo(t, server.URL, plan.Profile{Rate: 20, Duration: secs(60)}))
	require.NoError(t, err)
	full := errors.New("disk full")
	err = engine.Run(t.Context(), func(measure.Batch) error { return full })
	require.ErrorIs(t, err, full)
}

func TestSameSeedSameRequests(t *testing.T) {
	requests := filled([]plan.Request{{Path: "/a", Weight: 2}, {Path: "/b"}, {Path: "/c", Weight: 7}})
	picks := func(seed int64) (names string, counts map[string]int) {
		m, err := newMix(requests, "http://h", seed)
		require.NoError(t, err)
		counts = map[string]int{}
		for i := range uint64(10_000) {
			name := m.pick(i).name
			names += name[5:]
			counts[name]++
		}
		return names, counts
	}
	first, counts := picks(3)
	again, _ := picks(3)
	other, _ := picks(4)
	require.Equal(t, first, again)
	require.NotEqual(t, first, other)
	for i, want := range []float64{2000, 1000, 7000} {
		require.InDelta(t, want, float64(counts["GET "+requests[i].Path]), 200)
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	for name, test := range map[string]struct {
		profile plan.Profile
		want    string
	}{
		"no data":     {plan.Profile{Requests: []plan.Request{{Path: "/${data.id}"}}}, "${data.id} is used, but the test has no data: file"},
		"open braces": {plan.Profile{Requests: []plan.Request{{Path: "/${data.id"}}}, "request 1: path: ${data.id: want ${data.COLUMN}"},
		"fragment":    {plan.Profile{Requests: []plan.Request{{Path: "/#x"}}}, "fragment"},
		"method":      {plan.Profile{Requests: []plan.Request{{Path: "/", Method: "G T"}}}, "invalid method"},
		"arrival":     {plan.Profile{Arrival: "bursts"}, "arrival is constant or poisson"},
		"regexp":      {plan.Profile{Requests: []plan.Request{{Path: "/", Expect: &plan.Expect{Matches: "("}}}}, "request 1: expect: matches"},
	} {
		t.Run(name, func(t *testing.T) {
			p := test.profile
			p.Rate, p.Duration = 1, secs(1)
			_, err := NewRequests(streamTo(t, "http://127.0.0.1:1", p))
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, "test t: ")
		})
	}
}
