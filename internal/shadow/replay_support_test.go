package shadow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// tape is a recording in memory.
type tape struct {
	exchanges []Exchange
	end       error // instead of io.EOF
	endless   bool  // as if its writer still wrote
	next      int
}

func (s *tape) Complete() bool { return !s.endless }

func (s *tape) Next() (Exchange, error) {
	if s.next == len(s.exchanges) {
		if s.end != nil {
			return Exchange{}, s.end
		}
		return Exchange{}, io.EOF
	}
	s.next++
	return s.exchanges[s.next-1], nil
}

func (s *tape) Close() error { return nil }

// asked is a request that a target has seen.
type asked struct {
	at     time.Time
	method string
	target string
	header http.Header
	body   string
}

// standIn answers in place of a target, without a network.
type standIn struct {
	answer func(r asked) (status int, header map[string]string, body string, after time.Duration)

	mu   sync.Mutex
	seen []asked
}

// answering answers all requests alike.
func answering(body string, after time.Duration) *standIn {
	return &standIn{answer: func(asked) (int, map[string]string, string, time.Duration) { return 200, nil, body, after }}
}

func (s *standIn) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil { // as all transports do
		return nil, err
	}
	r := asked{at: time.Now(), method: req.Method, target: req.URL.RequestURI(), header: req.Header}
	if req.Body != nil {
		data, _ := io.ReadAll(req.Body)
		r.body = string(data)
	}
	s.mu.Lock()
	s.seen = append(s.seen, r)
	s.mu.Unlock()
	status, header, body, after := s.answer(r)
	if after > 0 {
		timer := time.NewTimer(after)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	if status == 0 {
		return nil, errors.New(body)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	for name, value := range header {
		h.Set(name, value)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
}

func (s *standIn) targets() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.seen {
		all = append(all, strings.TrimSpace(r.method+" "+r.target+" "+r.body))
	}
	return all
}

// staged is a replay with stand-ins for its targets.
type staged struct {
	test      plan.Shadow
	tape      tape
	candidate http.RoundTripper
	baseline  http.RoundTripper // nil for recorded answers
	again     http.RoundTripper // nil for nothing that tells noise
	tenant    *plan.Identity
}

// shadowTest is a test with its defaults.
func shadowTest() plan.Shadow {
	return plan.Shadow{
		Recording: "tape", Speed: 1, Sample: 1, Noise: plan.NoNoise, MaxVUs: 100,
		Grace: plan.Duration(5 * time.Second), Timeout: plan.Duration(30 * time.Second), Compare: plan.Comparison{FalseAlarms: 0.01},
	}
}

// unhurried is one for servers that are asked in real time: what is under way when all was
// sent is waited for.
func unhurried() plan.Shadow {
	s := shadowTest()
	s.Grace, s.Timeout = plan.Duration(10*patient), plan.Duration(10*patient)
	return s
}

func (s staged) stream() plan.Stream {
	out := plan.Stream{
		Run: "run-1", Phase: "beta", Arm: measure.Candidate, Target: plan.Target{URL: "http://candidate.test", Accept: []string{"2xx"}},
		Test: plan.Test{Name: "users", Shadow: &s.test}, Seed: 7,
	}
	if s.baseline != nil {
		out.Beside = &plan.Target{URL: "http://baseline.test", Accept: []string{"2xx"}}
	}
	if s.again != nil {
		out.Again = &plan.Target{URL: "http://again.test"}
	}
	if s.tenant != nil {
		out.Tenants = []plan.Identity{*s.tenant}
	}
	return out
}

func (s staged) outside() Outside {
	return Outside{
		Open: func(string) (Recording, error) {
			return &tape{exchanges: s.tape.exchanges, end: s.tape.end, endless: s.tape.endless}, nil
		},
		Sender: func(target plan.Target, _ []string, _ string, _ int) (Sender, error) {
			to := map[string]http.RoundTripper{"http://candidate.test": s.candidate, "http://baseline.test": s.baseline, "http://again.test": s.again}
			return Sender{
				Transport: to[target.URL], Ready: func(context.Context) error { return nil }, Close: func() {},
				Status: func(err error) string {
					if errors.Is(err, context.DeadlineExceeded) {
						return "timeout"
					}
					return "error"
				},
			}, nil
		},
		Busy: func() string { return "" },
	}
}

// run replays and gives all that was measured.
func (s staged) run(t *testing.T, ctx context.Context) measure.Batch {
	t.Helper()
	all, err := s.ran(t, ctx)
	if left := new(LeftError); !errors.As(err, &left) {
		require.NoError(t, err)
	}
	return all
}

// ran is run with what it ended with.
func (s staged) ran(t *testing.T, ctx context.Context) (all measure.Batch, err error) {
	t.Helper()
	r, err := NewReplay(s.stream(), s.outside())
	require.NoError(t, err)
	err = r.Run(ctx, func(b measure.Batch) error {
		all.Windows = append(all.Windows, b.Windows...)
		all.Events = append(all.Events, b.Events...)
		all.Examples = append(all.Examples, b.Examples...)
		return nil
	})
	return all, err
}

// replaySummed adds up the windows of a metric, by arm.
func replaySummed(b measure.Batch, metric string) map[string]measure.Window {
	sums := map[string]measure.Window{}
	for _, w := range b.Windows {
		if w.Series.Metric == metric {
			sum := sums[w.Series.Arm]
			sum.Merge(w)
			sums[w.Series.Arm] = sum
		}
	}
	return sums
}

// happened gives the events of a kind.
func happened(b measure.Batch, kind string) []measure.Event {
	return slices.DeleteFunc(slices.Clone(b.Events), func(e measure.Event) bool { return e.Kind != kind })
}

var taped = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// recordedGet is a recorded request, so long after the first.
func recordedGet(after time.Duration, session, target string) Exchange {
	return Exchange{
		At: taped.Add(after), Session: session, Request: Request{Method: "GET", Target: target, Header: http.Header{}},
		Response: Response{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: jsonBody(`{"ok":true}`)},
	}
}

// recordedWrite is a recorded request with a body, and what it was answered.
func recordedWrite(after time.Duration, session, method, target, body, answer string) Exchange {
	e := recordedGet(after, session, target)
	e.Request.Method, e.Request.Body = method, jsonBody(body)
	e.Request.Header.Set("Content-Type", "application/json")
	e.Response.Status, e.Response.Body = 201, jsonBody(answer)
	e.Route = method + " " + target
	return e
}

func jsonBody(text string) Body { return Body{Data: []byte(text), Size: int64(len(text))} }

func recordedMany(n int, every time.Duration) (all []Exchange) {
	for i := range n {
		all = append(all, recordedGet(time.Duration(i)*every, fmt.Sprintf("s%d", i), "/items"))
	}
	return all
}

// withoutRaceDetector leaves a test to the run that make test does without the race
// detector: one goroutine works through so much that it would take half a minute. That
// run finds it by its name.
func withoutRaceDetector(t *testing.T) {
	t.Helper()
	require.Contains(t, t.Name(), "TestHeavy", "make test would leave it out")
	if raceDetector {
		t.Skip("not tested here: it is without the race detector, by make test")
	}
}
