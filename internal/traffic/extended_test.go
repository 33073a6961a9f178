package traffic

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// rowsSeen is a server that notes the paths it is asked for.
func rowsSeen(t *testing.T) (target string, seen func() []string) {
	var mu sync.Mutex
	var paths []string
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, r.URL.Path)
	})
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		sort.Strings(paths)
		all := paths
		paths = nil
		return all
	}
}

const fiveRows = "name\nr0\nr1\nr2\nr3\nr4\n"

// TestATestThatGoesOn: its iterations are numbered on, so that rows of data,
// routes and what is drawn do not repeat, and its measurements have a name of
// their own.
func TestATestThatGoesOn(t *testing.T) {
	target, seen := rowsSeen(t)
	s := streamTo(t, target, plan.Profile{Rate: 20, Duration: secs(0.1), Data: "rows.csv", Requests: []plan.Request{{Path: "/${data.name}"}}})
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, "rows.csv"), []byte(fiveRows), 0o600))
	first := drive(t, t.Context(), s)
	require.Equal(t, []string{"/r0", "/r1"}, seen())
	s.First = 3
	again := drive(t, t.Context(), s)
	require.Equal(t, []string{"/r3", "/r4"}, seen())
	require.NotEqual(t, first.events(measure.EventTest)[0].Source, again.events(measure.EventTest)[0].Source)
	require.Equal(t, "requests/beta/t/candidate/from 3", again.batch.Windows[0].Source)
}

func TestAScriptThatGoesOn(t *testing.T) {
	target, seen := rowsSeen(t)
	s := scriptTo(t, target, `
import http from 'k6/http';
import { row } from 'k6/x/resilience';
export default function () { http.get(__ENV.TARGET_URL + '/' + row().name + '/'); }
`, plan.Profile{Rate: 2, Duration: secs(1), MaxVUs: 2, Grace: secs(10), Data: "rows.csv"})
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, "rows.csv"), []byte(fiveRows), 0o600))
	runScript(t, s)
	first := seen()
	require.NotEmpty(t, first)
	for _, path := range first {
		require.Regexp(t, "^/r[01]/", path)
	}
	s.First = 3
	out := runScript(t, s)
	again := seen()
	require.NotEmpty(t, again)
	for _, path := range again {
		require.Regexp(t, "^/r[34]/", path)
	}
	s.First = 5 // the rows are used up, and begin anew
	runScript(t, s)
	for _, path := range seen() {
		require.Regexp(t, "^/r[01]/", path)
	}
	require.Equal(t, "k6/beta/t/candidate/from 3", out.batch.Windows[0].Source)
}

// TestChanceGoesOn: what a script draws depends on the seed and on the number of
// the iteration.
func TestChanceGoesOn(t *testing.T) {
	target, seen := rowsSeen(t)
	s := scriptTo(t, target, `
import http from 'k6/http';
import exec from 'k6/execution';
export default function () { http.get(__ENV.TARGET_URL + '/' + exec.scenario.iterationInTest + '/' + Math.random()); }
`, plan.Profile{Rate: 3, Duration: secs(1), MaxVUs: 3, Grace: secs(10)})
	runScript(t, s)
	first := seen()
	runScript(t, s)
	require.NotEmpty(t, both(first, seen()))
	s.First = 1
	runScript(t, s)
	again := seen()
	require.NotEmpty(t, again)
	require.Empty(t, both(first, again))
}

// both gives what is in two lists: a busy machine may keep an iteration from
// beginning.
func both(a, b []string) (common []string) {
	for _, x := range a {
		if slices.Contains(b, x) {
			common = append(common, x)
		}
	}
	return common
}
