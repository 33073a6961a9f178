package run

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// versioned is a target that tells a version, another one after a while.
func versioned(t *testing.T, versions ...string) *httptest.Server {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/base/version" || r.Header.Get("X-Key") != "k" {
			http.NotFound(w, r)
			return
		}
		version := versions[min(int(asked.Add(1)), len(versions))-1]
		if version == "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("X-Version", version)
		fmt.Fprintf(w, `{"build": {"commit": %q}}`, version)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestVersions(t *testing.T) {
	for name, tc := range map[string]struct {
		served []string
		how    plan.Version
		sent   bool
		reason string // of the verdict, where it is about the version
	}{
		"a field":          {[]string{"1.2"}, plan.Version{Path: "/version", JSON: "build.commit"}, true, ""},
		"a header":         {[]string{"1.2"}, plan.Version{Path: "version", Header: "X-Version", Is: "1.2"}, true, ""},
		"the whole answer": {[]string{"1.2"}, plan.Version{Path: "/version", Is: `{"build": {"commit": "1.2"}}`}, true, ""},
		"a command":        {nil, plan.Version{Command: "echo noise; echo $RESILIENCE_PHASE", Is: "beta"}, true, ""},
		"not at once":      {[]string{"", "1.2"}, plan.Version{Path: "/version", Header: "X-Version", Is: "1.2"}, true, ""},
		"another":          {[]string{"1.1"}, plan.Version{Path: "/version", JSON: "build.commit", Is: "1.2"}, false, "the target shop was version 1.1 before the tests, not 1.2"},
		"several":          {[]string{"1.2", "1.2", "1.3", "1.2"}, plan.Version{Path: "/version", JSON: "build.commit"}, false, "the target shop did not tell its version before the tests: its instances are of several versions: 1.2, 1.3"},
		"only once":        {[]string{"1.2", "", "", "", "", "", "", "", "", "", "1.2", ""}, plan.Version{Path: "/version", JSON: "build.commit"}, true, ""},
		"changes":          {append(slices.Repeat([]string{"1.2"}, versionAsks), "1.3"), plan.Version{Path: "/version", JSON: "build.commit"}, true, "the target shop was version 1.2 before the tests and 1.3 after them"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, plan.Phase{Tests: []plan.Test{test("checkout", 0, time.Second)}})
			target := plan.Target{URL: versioned(t, tc.served...).URL + "/base", Headers: map[string]string{"X-Key": "k"}, Version: &tc.how}
			s.Plan.Targets["shop"] = target
			require.NoError(t, s.Run(t.Context(), "beta"))
			s.record.mu.Lock()
			defer s.record.mu.Unlock()
			v := gates.Judge(nil, gates.Record{Phase: "beta", Events: s.record.events})
			require.Len(t, v.Versions, 1)
			if tc.reason != "" {
				require.Equal(t, tc.reason, v.Reason)
			} else {
				require.NotContains(t, v.Reason, "version")
			}
			sent := false
			for _, e := range s.record.events {
				sent = sent || e.Kind == measure.EventTest
			}
			require.Equal(t, tc.sent, sent)
		})
	}
}

func TestAVersionThatIsNotTold(t *testing.T) {
	for name, tc := range map[string]struct {
		how plan.Version
		why string
	}{
		"no such page":  {plan.Version{Path: "/nothing"}, "the answer was 404"},
		"no such field": {plan.Version{Path: "/version", JSON: "build.tag"}, "has no build.tag"},
		"a command":     {plan.Version{Command: "exit 3"}, "exit status 3"},
		"says nothing":  {plan.Version{Command: "true"}, "the answer is empty"},
		"says much":     {plan.Version{Command: "printf '%0600d' 1"}, "the answer has 600 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, plan.Phase{})
			b := &bound{phase: plan.Phase{Name: "beta", Candidate: "shop"}, targets: map[string]plan.Target{
				"shop": {URL: versioned(t, "1.2").URL + "/base", Headers: map[string]string{"X-Key": "k"}, Version: &tc.how},
			}}
			right, err := s.identify(t.Context(), b, "before")
			require.NoError(t, err)
			require.False(t, right)
			require.Contains(t, s.record.find(t, measure.EventVersion, "shop").Attrs["error"], tc.why)
		})
	}
}
