package traffic

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

const everything = `
import http from 'k6/http';
import exec from 'k6/execution';
import { check, group, fail } from 'k6';
import { Trend, Counter, Rate, Gauge } from 'k6/metrics';
import { row, transaction } from 'k6/x/resilience';

const trend = new Trend('cart_size'), counter = new Counter('items'), rate = new Rate('lucky');
const gauge = new Gauge('level'), ours = new Counter('request');
const base = __ENV.TARGET_URL;

export function setup() { http.get(base + '/setup'); return { from: 'setup' }; }
export function teardown(data) { http.get(base + '/teardown/' + data.from); }

export default async function (data) {
  const n = exec.scenario.iterationInTest;
  if (data.from !== 'setup') fail('no setup data');
  http.get(base + '/row/' + row().user + '?token=hidden');
  transaction('plain', (tx) => {
    tx.step('one', () => http.get(base + '/ok/' + (1000 + n)));
    tx.step('two', () => http.get(base + '/redirect'));
    group('inner', () => check(http.get(base + '/ok'), { 'is teapot': (r) => r.status === 418 }));
    tx.completed(n % 2 === 0);
  });
  transaction('gone', (tx) => http.get(base + '/404', { responseCallback: http.expectedStatuses(404) }));
  transaction('narrow', (tx) => http.get(base + '/204', { responseCallback: http.expectedStatuses(200) }));
  transaction('said', (tx) => { http.get(base + '/503?q=hidden'); tx.accepted(); });
  transaction('batch', (tx) => http.batch([base + '/ok', base + '/503', base + '/ok']));
  try { transaction('throws', () => { throw new Error('caught'); }); } catch (e) { /* as planned */ }
  await transaction('async', async (tx) => {
    await tx.step('wait', async () => { await http.asyncRequest('GET', base + '/ok'); });
    tx.completed();
  });
  try { await transaction('rejects', async () => { throw new Error('rejected'); }); } catch (e) { /* as planned */ }
  trend.add(3); counter.add(2); rate.add(n % 2 === 0); gauge.add(7); ours.add(1);
  transaction('last', () => http.get(base + '/ok'));
  if (n % 4 === 0) fail('every fourth: http://me:secret@host/path?token=hidden');
}
`

// redirectTakes is how long the server thinks before it redirects.
const redirectTakes = 30 * time.Millisecond

func everythingServer(t *testing.T) (target string, paths *sync.Map) {
	paths = &sync.Map{}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := paths.LoadOrStore(r.URL.Path, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		if r.Header.Get("X-Key") != "key-from-plan" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		switch r.URL.Path {
		case "/redirect":
			<-time.After(redirectTakes)
			http.Redirect(w, r, "/ok", http.StatusFound)
		case "/404":
			http.NotFound(w, r)
		case "/204":
			w.WriteHeader(http.StatusNoContent)
		case "/503":
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	return server.URL, paths
}

func TestK6UnderstandsScripts(t *testing.T) {
	target, paths := everythingServer(t)
	s := scriptTo(t, target, everything, plan.Profile{Rate: 10, Duration: seconds(4), MaxVUs: 40, Grace: seconds(20), Data: "users.csv"})
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir, "users.csv"), []byte("user\nann\nbob\n"), 0o600))
	s.Target.Headers = map[string]string{"X-Key": "key-from-plan"}
	s.Target.Accept = []string{"2xx", "3xx"}
	out := runScript(t, s)

	require.Equal(t, "true", out.end(t)["complete"], out.end(t)["reason"])
	sent := out.events(measure.EventTestEnd)[0].At - out.began(t)
	require.Equal(t, 4*time.Second, time.Duration(sent), "what comes after the last request is not part of it")
	n := out.sum(measure.MetricIteration, nil).Count
	require.GreaterOrEqual(t, n, uint64(20), "where this machine stands still at the end, the last ones are left out")
	require.LessOrEqual(t, n, uint64(41))
	fourth := (n + 3) / 4
	type fates struct{ Count, Failed uint64 }
	for name, want := range map[string]fates{
		"plain": {n, 0}, "gone": {n, 0}, "narrow": {n, n}, "said": {n, 0}, "batch": {n, n},
		"throws": {n, n}, "async": {n, 0}, "rejects": {n, n}, "last": {n, fourth},
	} {
		w := out.sum(measure.MetricTransaction, inTransaction(name))
		require.Equal(t, want, fates{w.Count, w.Failed}, name)
	}
	for step, want := range map[string]uint64{"one": n, "two": n, "wait": n} {
		require.Equal(t, want, out.sum(measure.MetricStep, onStep(step)).Count, step)
	}
	outcome := out.sum(measure.MetricOutcome, inTransaction("plain"))
	require.Equal(t, fates{n, n / 2}, fates{outcome.Count, outcome.Failed})
	iterations := out.sum(measure.MetricIteration, nil)
	require.Equal(t, fourth, iterations.Failed)
	require.Zero(t, iterations.Dropped+iterations.Unfinished)

	// Each request once, as one with all its redirects, and setup and teardown not.
	require.Equal(t, 12*n, out.sum(measure.MetricRequest, nil).Count)
	require.Zero(t, out.sum(measure.MetricRequest, withStatus("302")).Count)
	redirected := out.sum(measure.MetricRequest, onStep("GET /ok")).Sketch
	require.GreaterOrEqual(t, redirected.CountAbove(0.9*float64(redirectTakes.Milliseconds())), n, "from the first hop on")
	require.Equal(t, n, out.sum(measure.MetricRequest, onStep("GET /ok/:id")).Count)
	require.Equal(t, n, out.sum(measure.MetricRequest, withStatus("404")).Count)
	require.Zero(t, out.sum(measure.MetricRequest, withStatus("404")).Failed)
	require.Zero(t, out.sum(measure.MetricRequest, withStatus("403")).Count)
	require.Zero(t, out.sum(measure.MetricRequest, onStep("GET /setup")).Count)
	for _, path := range []string{"/setup", "/teardown/setup", "/row/ann", "/row/bob"} {
		_, seen := paths.Load(path)
		require.True(t, seen, path)
	}
	checks := out.sum(measure.MetricAssertion, onStep("is teapot"))
	require.Equal(t, fates{n, n}, fates{checks.Count, checks.Failed})

	requireCustomMetrics(t, out, n)
	requireExamples(t, out)
	require.Empty(t, out.events(measure.EventGenerator))
	thrown := out.events(measure.EventException)
	require.Len(t, thrown, 1)
	require.Equal(t, fmt.Sprint(fourth), thrown[0].Attrs["count"])
}

func requireCustomMetrics(t *testing.T, out *sink, n uint64) {
	t.Helper()
	kinds := map[string]string{}
	for _, e := range out.events(measure.EventMetric) {
		require.NotContains(t, kinds, e.Name, "declared once")
		kinds[e.Name] = e.Attrs["type"]
	}
	for name, kind := range map[string]string{
		"cart_size": "trend", "items": "counter", "lucky": "rate", "level": "gauge", "http_req_duration": "trend", "http_reqs": "counter",
	} {
		require.Equal(t, kind, kinds[name], name)
	}
	require.InDelta(t, 3*float64(n), out.sum("cart_size", nil).Sum, 1e-9)
	require.InDelta(t, 2*float64(n), out.sum("items", nil).Sum, 1e-9)
	require.Equal(t, n/2, out.sum("lucky", nil).Failed)
	warnings := out.events(measure.EventWarning)
	require.Len(t, warnings, 1)
	require.Equal(t, "request", warnings[0].Name)
}

func requireExamples(t *testing.T, out *sink) {
	require.Empty(t, out.examples("status 404"), "the script expects it")
	t.Helper()
	for _, kind := range []string{"status 503", "check is teapot", "exception", "not completed: plain"} {
		require.Len(t, out.examples(kind), measure.MaxExamples, kind)
	}
	for _, x := range append(out.examples("status 503"), out.examples("exception")...) {
		text := fmt.Sprint(x)
		require.NotContains(t, text, "hidden")
		require.NotContains(t, text, "secret")
		require.Equal(t, "beta", x.Phase)
	}
	require.True(t, strings.HasSuffix(out.examples("status 503")[0].Request, "/503?…"))
}

// hung is what a script measured of a target that hung from some moment on.
type hung struct {
	*sink
	first, since time.Time // the first request, and the first without an answer
	answered     uint64
}

// hangAfter answers until a moment has come, and never again. Where k6 itself had
// no CPU, it rightly blames that for what goes wrong: then all begins anew, as it
// does when enough says so.
func hangAfter(t *testing.T, d time.Duration, script string, p plan.Profile, enough func(*hung) bool) *hung {
	t.Helper()
	for tries := 1; ; tries++ {
		out := hangOnce(t, d, script, p)
		if tries == maxHindered || !hindered(out.sink) && enough(out) {
			return out
		}
	}
}

// maxHindered is how often a test is tried on a machine that is too busy for it.
const maxHindered = 10

// hindered tells whether k6 says that it had no CPU.
func hindered(out *sink) bool {
	return slices.ContainsFunc(out.events(measure.EventGenerator), func(e measure.Event) bool { return e.Name == "cpu" || e.Name == "lag" })
}

func hangOnce(t *testing.T, d time.Duration, script string, p plan.Profile) *hung {
	t.Helper()
	var mu sync.Mutex
	out := &hung{}
	release := make(chan struct{})
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		now := time.Now()
		if out.first.IsZero() {
			out.first = now
		}
		answers := now.Sub(out.first) < d
		switch {
		case answers:
			out.answered++
		case out.since.IsZero():
			out.since = now
		}
		mu.Unlock()
		if answers {
			return
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	out.sink = runScript(t, scriptTo(t, server.URL, script, p))
	close(release)
	server.CloseClientConnections()
	return out
}

const napping = `
import http from 'k6/http';
import { sleep } from 'k6';
import { transaction } from 'k6/x/resilience';
export default function () {
  transaction('get', () => http.get(__ENV.TARGET_URL));
  sleep(0.05);
}`

func TestK6HangingTargetClosed(t *testing.T) {
	const length = 5 * time.Second
	end := func(out *hung) time.Time { return time.Unix(0, out.began(t)).Add(length) }
	out := hangAfter(t, 2*time.Second, napping, plan.Profile{VUs: 5, Duration: plan.Duration(length), Grace: seconds(0.5)}, func(out *hung) bool {
		return end(out).Sub(out.since) > 2*time.Second
	})
	began := out.began(t)
	late := func(w measure.Window) bool { return w.Start >= out.since.UnixNano() }
	attempts := out.sum(measure.MetricTransaction, late)
	attempts.Merge(out.sum(measure.MetricIteration, func(w measure.Window) bool { return late(w) && w.Dropped > 0 }))
	pace := float64(out.answered) / out.since.Sub(out.first).Seconds()
	require.Greater(t, float64(attempts.Count), 0.5*pace*(end(out).Sub(out.since).Seconds()-1), "as many as before, but for a part of a second")
	require.Equal(t, attempts.Count, attempts.Failed)
	all := out.sum(measure.MetricTransaction, nil)
	require.Equal(t, []uint64{out.answered + 5, 5, 5}, []uint64{all.Count, all.Failed, all.Unfinished})
	require.EqualValues(t, 5, out.sum(measure.MetricRequest, nil).Unfinished)
	require.Zero(t, out.sum(measure.MetricIteration, func(w measure.Window) bool {
		return w.Start > began+int64(5*time.Second)
	}).Count, "nothing is missing after the end")
	require.Len(t, out.examples("unfinished"), measure.MaxExamples)
	require.Empty(t, out.events(measure.EventGenerator))
	require.Equal(t, "true", out.end(t)["complete"])
}

func TestK6HangingTargetOpen(t *testing.T) {
	out := hangAfter(t, time.Second, napping, plan.Profile{Rate: 40, Duration: seconds(3), MaxVUs: 10, Grace: seconds(0.5)}, func(out *hung) bool {
		n := out.sum(measure.MetricIteration, nil).Count
		return n > 115 // k6 leaves out the last ones where this machine stands still at the end
	})
	iterations := out.sum(measure.MetricIteration, nil)
	require.Greater(t, iterations.Dropped, uint64(30))
	require.InDelta(t, 120, iterations.Count, 4, "each arrival once")
	require.Zero(t, out.sum(measure.MetricIteration, withStatus(measure.StatusGenerator)).Count)
	require.EqualValues(t, 10, out.sum(measure.MetricTransaction, nil).Unfinished)
	require.Empty(t, out.events(measure.EventGenerator))
}

func TestK6BusyScript(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	script := strings.ReplaceAll(napping, "0.05", "1.5")
	out := runScript(t, scriptTo(t, server.URL, script, plan.Profile{Rate: 30, Duration: seconds(2), MaxVUs: 5, Grace: seconds(10)}))
	iterations := out.sum(measure.MetricIteration, nil)
	require.Equal(t, iterations.Dropped, out.sum(measure.MetricIteration, withStatus(measure.StatusGenerator)).Dropped)
	require.Greater(t, iterations.Dropped, uint64(20))
	var blamed []string
	for _, e := range out.events(measure.EventGenerator) {
		blamed = append(blamed, e.Name)
	}
	require.Contains(t, blamed, "vus")
	require.Subset(t, []string{"vus", "cpu", "lag"}, blamed, "on a busy machine, that too")
	require.Zero(t, out.sum(measure.MetricTransaction, nil).Failed)
}
