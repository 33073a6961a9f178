package traffic

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

const again = `
import http from 'k6/http';
import { transaction } from 'k6/x/resilience';
const base = __ENV.TARGET_URL;
const twice = { tries: 2, wait: '10ms' };
export default async function () {
  const of = (name) => base + '/' + name;
  transaction('at once', (tx) => { http.get(of('ok')); tx.completed(); }, twice);
  transaction('second time', (tx) => { const r = http.get(of('first-fails')); tx.completed(r.status === 200); }, twice);
  transaction('wrong at first', (tx) => tx.completed(http.get(of('first-wrong')).body === 'right'), twice);
  transaction('in vain', (tx) => { http.get(of('broken')); tx.completed(false); }, twice);
  let n = 0;
  transaction('throws once', (tx) => { if (n++ === 0) throw new Error('once'); tx.completed(); }, twice);
  transaction('not looked at', () => http.get(of('fails-first')), twice);
  await transaction('async second time', async (tx) => { const r = await http.asyncRequest('GET', of('async-first-fails')); tx.completed(r.status === 200); }, twice);
  await transaction('async in vain', async (tx) => { await http.asyncRequest('GET', of('broken')); tx.completed(false); }, twice);
  let m = 0;
  await transaction('async throws once', async (tx) => { if (m++ === 0) throw new Error('once'); tx.completed(); }, twice);
  transaction('only once', (tx) => { http.get(of('broken')); tx.completed(); });
  transaction('expected', (tx) => { http.get(of('broken')); tx.accepted(); tx.completed(); }, twice);
}
`

// A transaction that is tried again is what came of its last try, in the time of
// all, and is degraded when that completed it.
func TestK6Retries(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]int{}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.URL.Path]++
		first := asked[r.URL.Path] == 1
		switch {
		case r.URL.Path == "/broken", (r.URL.Path == "/first-fails" || r.URL.Path == "/fails-first" || r.URL.Path == "/async-first-fails") && first:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/first-wrong" && first:
			_, _ = w.Write([]byte("wrong"))
		default:
			_, _ = w.Write([]byte("right"))
		}
	})
	out := runScript(t, scriptTo(t, server.URL, again, plan.Profile{Grace: seconds(40)}))
	require.Empty(t, out.events(measure.EventException))
	for name, want := range map[string]struct{ accepted, completed, tried, degraded bool }{
		"at once": {true, true, true, false}, "second time": {true, true, true, true}, "wrong at first": {true, true, true, true},
		"in vain": {false, false, false, false}, "throws once": {true, true, true, true}, "only once": {false, true, false, false},
		"expected": {true, true, true, false}, "not looked at": {true, true, true, true},
		"async second time": {true, true, true, true}, "async in vain": {false, false, false, false}, "async throws once": {true, true, true, true},
	} {
		accepted, outcome := out.sum(measure.MetricTransaction, inTransaction(name)), out.sum(measure.MetricOutcome, inTransaction(name))
		retried := out.sum(measure.MetricRetried, inTransaction(name))
		require.EqualValues(t, 1, accepted.Count, name)
		require.Equal(t, want.accepted, accepted.Failed == 0, "%s: accepted", name)
		require.Equal(t, want.completed, outcome.Failed == 0, "%s: completed", name)
		require.Equal(t, want.tried, retried.Count == 1, "%s: tried", name)
		require.Equal(t, want.degraded, retried.Failed == 1, "%s: degraded", name)
	}
	require.Equal(t, map[string]int{"/ok": 1, "/first-fails": 2, "/fails-first": 2, "/first-wrong": 2, "/async-first-fails": 2, "/broken": 6}, asked)
	require.GreaterOrEqual(t, out.sum(measure.MetricTransaction, inTransaction("second time")).Min, 10.0)
	require.EqualValues(t, 1, out.sum(measure.MetricIteration, nil).Count)
}

func TestK6RetriesMisused(t *testing.T) {
	for options, want := range map[string]string{
		"{tries: 0}":             "a whole number from 1 to 10",
		"{tries: 1.5}":           "a whole number from 1 to 10",
		"{wait: '1s'}":           "goes with tries",
		"{trys: 2}":              `no field "trys"`,
		"{tries: 2, wait: 'no'}": "wait",
	} {
		script := "import { transaction } from 'k6/x/resilience';\nexport default function () { transaction('x', () => 1, " + options + ") }"
		thrown := runScript(t, scriptTo(t, "http://127.0.0.1:1", script, plan.Profile{Grace: seconds(20)})).events(measure.EventException)
		require.Len(t, thrown, 1, options)
		require.Contains(t, thrown[0].Attrs["message"], want)
	}
}
