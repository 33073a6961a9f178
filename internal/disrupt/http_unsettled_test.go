package disrupt

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/plan"
)

// slowSwitch is a service that acts upon the call that injects only after it
// was asked for something else so many times.
type slowSwitch struct {
	mu     sync.Mutex
	called bool
	on     bool
	asked  int // after so many liftings and looks it is switched on; 0: never
	lifts  int
	said   string           // what was noted
	inject http.HandlerFunc // answers the call that injects
}

func lose(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func (s *slowSwitch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		s.mu.Lock()
		s.called = true
		s.mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body)
		s.inject(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method == http.MethodDelete:
		s.lifts++
		s.on = false
	case !s.on:
		w.WriteHeader(http.StatusNotFound)
	}
	if s.asked--; s.asked == 0 {
		s.on = true
	}
}

// fault is on the switch, with a way to verify or without.
func (s *slowSwitch) fault(t *testing.T, verify bool) (plan.Disruption, Site) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	h := &plan.HTTP{Inject: plan.Call{URL: server.URL, Body: "on"}, Lift: plan.Call{Method: http.MethodDelete, URL: server.URL}}
	if verify {
		h.Verify = &plan.Call{URL: server.URL}
	}
	return plan.Disruption{Name: "d", HTTP: h}, Site{Note: func(_, _ string, attrs map[string]string) { s.said = attrs["detail"] }}
}

// The call that injects is acted upon after the fault was lifted, for its
// answer got lost: by this process, and by another that finds what was kept.
func TestACallThatTakesEffectLate(t *testing.T) {
	for name, tt := range map[string]struct {
		asked  int
		verify bool
		gates  int // the status that a gateway answers with; 0: none
		want   string
	}{
		"it shows at once":        {1, true, 0, "it was lifted, and verify did not find it for 1s after"},
		"it shows later":          {2, true, 0, "it took effect after it was lifted, and was lifted again"},
		"it never shows":          {0, true, 0, "it was lifted, and verify did not find it for 1s after"},
		"nobody can verify":       {1, false, 0, "it was lifted twice, 1s apart"},
		"a gateway gave up":       {2, true, http.StatusGatewayTimeout, "it took effect after it was lifted"},
		"a gateway lost the line": {2, true, http.StatusBadGateway, "it took effect after it was lifted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &slowSwitch{asked: tt.asked, inject: lose}
			if tt.gates > 0 {
				s.inject = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tt.gates) }
			}
			d, site := s.fault(t, tt.verify)
			made, err := New(d, site)
			require.NoError(t, err)
			var undo json.RawMessage
			_, err = made.Inject(t.Context(), func(kept json.RawMessage) error { undo = kept; return nil })
			require.ErrorContains(t, err, "inject: ")
			require.True(t, s.called)
			require.False(t, s.on)
			require.GreaterOrEqual(t, s.lifts, 1)
			require.Contains(t, s.said, "whether what was to inject it took effect is not known")
			require.Contains(t, s.said, tt.want)
			require.JSONEq(t, `{"open": true}`, string(undo))

			s.asked, s.said = tt.asked, ""
			require.NoError(t, Undo(t.Context(), d, undo, site))
			require.False(t, s.on)
			require.Contains(t, s.said, tt.want)
		})
	}
}

// What was never sent can not take effect.
func TestACallThatWasNeverSent(t *testing.T) {
	s := &slowSwitch{}
	d, site := s.fault(t, false)
	d.HTTP.Inject.URL = "http://127.0.0.1:1"
	made, err := New(d, site)
	require.NoError(t, err)
	var undo json.RawMessage
	_, err = made.Inject(t.Context(), func(kept json.RawMessage) error { undo = kept; return nil })
	require.ErrorContains(t, err, "connection refused")
	require.JSONEq(t, `{}`, string(undo))
	require.Equal(t, 1, s.lifts)
	require.Empty(t, s.said)
}

// A call that is under way when the run is interrupted: its answer is worth to
// be waited for, since what it says may be needed to lift the fault.
func TestACallUnderWayWhenTheRunEnds(t *testing.T) {
	for name, answers := range map[string]bool{"it is answered soon": true, "it is not": false} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			over := make(chan struct{})
			defer close(over)
			s := &slowSwitch{}
			s.inject = func(w http.ResponseWriter, r *http.Request) {
				cancel()
				if !answers {
					<-over
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				s.on = true
				fmt.Fprint(w, `{"id": "7"}`)
			}
			d, site := s.fault(t, true)
			if answers {
				d.HTTP.Inject.Keep = map[string]string{"id": "id"}
				d.HTTP.Lift.URL += "/${kept.id}"
			}
			made, err := New(d, site)
			require.NoError(t, err)
			var undo json.RawMessage
			lift, err := made.Inject(ctx, func(kept json.RawMessage) error { undo = kept; return nil })
			if !answers {
				require.ErrorIs(t, err, context.Canceled)
				require.JSONEq(t, `{"open": true}`, string(undo), "for whoever comes after a kill")
				return
			}
			require.NoError(t, err)
			require.JSONEq(t, `{"values": {"id": "7"}}`, string(undo))
			hurried, stop := context.WithTimeout(t.Context(), 5*time.Second)
			defer stop()
			_, err = lift(hurried)
			require.NoError(t, err)
			require.False(t, s.on)
			require.Empty(t, s.said)
		})
	}
}
