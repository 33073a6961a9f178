package disrupt

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// experiments is a service that runs experiments, as chaos tools do.
type experiments struct {
	mu      sync.Mutex
	running map[string]bool
	busy    int    // so many calls fail first
	refused func() // is told of those; nil: nobody is
	answer  string
	started string // the body of the last call that began one
}

func newExperiments(t *testing.T) (*experiments, plan.Disruption) {
	t.Helper()
	e := &experiments{running: map[string]bool{}, answer: `{"experiment": {"ids": ["e/1 ?"], "state": "running"}}`}
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	key := map[string]string{"X-Key": "s3cret"}
	return e, plan.Disruption{Name: "d", HTTP: &plan.HTTP{
		Inject: plan.Call{
			URL: s.URL + "/experiments", Headers: key, JSON: map[string]any{"kind": "network"},
			Keep: map[string]string{"id": "experiment.ids.0"}, Expect: &plan.Expect{JSON: map[string]string{"experiment.state": "running"}},
		},
		Lift:   plan.Call{Method: http.MethodDelete, URL: s.URL + "/experiments?id=${kept.id}", Headers: key},
		Verify: &plan.Call{URL: s.URL + "/experiments/${kept.id}", Headers: key, Expect: &plan.Expect{Contains: "running"}},
	}}
}

func (e *experiments) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	switch {
	case r.Header.Get("X-Key") != "s3cret":
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method != http.MethodPost && e.busy > 0:
		e.busy--
		if e.refused != nil {
			e.refused()
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.Method == http.MethodPost:
		e.started = string(body)
		e.running["e/1 ?"] = true
		_, _ = io.WriteString(w, e.answer)
	case r.Method == http.MethodDelete:
		delete(e.running, r.URL.Query().Get("id"))
	case e.running[r.URL.Path[len("/experiments/"):]]:
		_, _ = io.WriteString(w, "running")
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func TestCallsAreAFault(t *testing.T) {
	e, d := newExperiments(t)
	lift, undo := put(t, d, Site{Note: quiet})
	require.True(t, e.running["e/1 ?"])
	require.JSONEq(t, `{"kind": "network"}`, e.started)
	require.JSONEq(t, `{"values": {"id": "e/1 ?"}}`, string(*undo))
	e.busy = 2 // lifting is tried again
	require.Equal(t, measure.Touch{Matched: 1, Touched: 1, Unit: "injections"}, lift())
	require.Empty(t, e.running)

	e.running["e/1 ?"] = true // as another process left it
	for range 2 {
		require.NoError(t, Undo(t.Context(), d, *undo, Site{Note: quiet}))
		require.Empty(t, e.running)
	}
}

func TestACallWithAWrongAnswer(t *testing.T) {
	for name, test := range map[string]struct{ answer, want string }{
		"not as expected": {`{"experiment": {"ids": ["e/1 ?"], "state": "waiting"}}`, `JSON experiment.state is "waiting", want "running"`},
	} {
		t.Run(name, func(t *testing.T) {
			e, d := newExperiments(t)
			e.answer = test.answer
			made, err := New(d, Site{Note: quiet})
			require.NoError(t, err)
			_, err = made.Inject(t.Context(), func(json.RawMessage) error { return nil })
			require.ErrorContains(t, err, test.want)
			require.Empty(t, e.running, "what was kept all the same lifts it")
		})
	}
}

// Without what should have been kept nothing can lift the fault: whoever
// injected it has to know that it may be there.
func TestACallWhoseAnswerCanNotBeKept(t *testing.T) {
	e, d := newExperiments(t)
	e.answer = `{}`
	var said string
	made, err := New(d, Site{Note: func(_, _ string, attrs map[string]string) { said = attrs["detail"] }})
	require.NoError(t, err)
	began := time.Now()
	lift, err := made.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.NoError(t, err)
	require.Less(t, time.Since(began), patience)
	require.Contains(t, said, "the answer's JSON has no experiment.ids.0")
	ended, cancel := context.WithCancel(t.Context())
	cancel() // there is nothing to call
	touch, err := lift(ended)
	require.ErrorContains(t, err, `nothing was kept as "id"`)
	require.Zero(t, touch.Touched)
}

func TestACallThatNobodyAnswers(t *testing.T) {
	_, d := newExperiments(t)
	d.HTTP.Inject.URL = "http://127.0.0.1:1/on?token=s3cret"
	d.HTTP.Lift = plan.Call{URL: d.HTTP.Verify.URL, Expect: nil}
	d.HTTP.Lift.URL, d.HTTP.Verify = "http://127.0.0.1:1/off?token=s3cret", nil
	var said string
	made, err := New(d, Site{Note: func(_, _ string, attrs map[string]string) { said = attrs["detail"] }})
	require.NoError(t, err)
	_, err = made.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.NoError(t, err, "lifting it failed, too")
	require.Contains(t, said, "connection refused")
	require.NotContains(t, said, "s3cret")
}

func TestAnAnswerThatIsNotThereSaysNothing(t *testing.T) {
	e, d := newExperiments(t)
	lift, _ := put(t, d, Site{Note: quiet})
	e.mu.Lock()
	delete(e.running, "e/1 ?")
	e.mu.Unlock()
	lift()

	made, err := New(d, Site{Note: quiet})
	require.NoError(t, err)
	l, err := made.Inject(t.Context(), func(json.RawMessage) error { return nil })
	require.NoError(t, err)
	e.mu.Lock()
	ctx, cancel := context.WithTimeout(t.Context(), unhurried) // it does not look before it lifts
	defer cancel()
	tries := 0
	e.busy, e.refused = 1<<30, func() {
		if tries++; tries == 3 {
			cancel()
		}
	}
	e.mu.Unlock()
	_, err = l(ctx)
	require.ErrorContains(t, err, "answered 503")
	e.mu.Lock()
	e.busy = 0
	e.mu.Unlock()
	_, err = l(t.Context())
	require.NoError(t, err)
}
