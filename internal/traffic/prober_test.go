package traffic

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

const shopping = `
import http from 'k6/http';
import { sleep } from 'k6';
import exec from 'k6/execution';
import { eventually, tenant, transaction } from 'k6/x/resilience';
const base = __ENV.TARGET_URL;
const traced = { headers: { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } };
export function setup() { return { word: 'from setup' }; }
export default function () {}
export function good(data) { if (data.word !== 'from setup') throw new Error('no data'); http.get(base + '/ok'); }
export function broken() { http.get(base + '/503?key=hidden', traced); }
export function right() { transaction('right', (tx) => tx.completed(http.get(base + '/ok').body === 'right')); }
export function wrong() { transaction('wrong', (tx) => tx.completed(http.get(base + '/ok').body === 'left')); }
export function other() {
  transaction('inner', (tx) => { http.get(base + '/ok'); tx.completed(false); });
  transaction('inner too', (tx) => { http.get(base + '/ok'); tx.completed(); });
}
export function second() { transaction('second', (tx) => { http.get(base + '/first-503'); tx.completed(); }); }
export function throws() { http.get(base + '/ok'); throw new Error('no cart for token-of-acme at http://me:pw@h/x?a=b'); }
export function after() { if (http.get(base + '/503').status !== 200) throw new Error('no order'); }
export function caught() { try { transaction('caught', () => { throw new Error('within'); }); } catch (e) { /* as planned */ } }
export function blunder() { undefined.x; }
export function says() { transaction('says', (tx) => { http.get(base + '/503'); tx.accepted(); }); }
export function hang() { http.get(base + '/hang'); http.get(base + '/after'); }
export function body() { http.get(base + '/stall'); }
export function sleeps() { sleep(3); }
export function loops() { for (;;) { /* for ever */ } }
export function waits() { eventually(() => http.get(base + '/503').status === 200, { within: '1h', every: '10ms' }); }
export function never() { transaction('never', (tx) => tx.completed(eventually(() => http.get(base + '/503').status === 200, { within: '30ms', every: '10ms' }))); }
export async function later() { await http.asyncRequest('GET', base + '/ok'); }
export async function laterBroken() { await http.asyncRequest('GET', base + '/ok'); throw new Error('rejected'); }
export async function laterHangs() { await http.asyncRequest('GET', base + '/hang'); }
export async function laterSecond() { await http.asyncRequest('GET', base + '/async-first-503'); }
export async function laterTwice() { await http.asyncRequest('GET', base + '/503'); await http.asyncRequest('GET', base + '/hang'); }
export function aborts() { exec.test.abort('enough'); }
export function outside() { http.get('http://other.invalid/'); }
export function refused() { http.get(__ENV.REFUSED); }
`

// shoppingExecs are all functions that it exports.
func shoppingExecs() []string {
	names := []string{"default"}
	for _, found := range regexp.MustCompile(`export (?:async )?function (\w+)`).FindAllStringSubmatch(shopping, -1) {
		names = append(names, found[1])
	}
	return names
}

// shop answers by the path of a request.
func shop(t *testing.T) (url string, asked func(path string) int) {
	var mu sync.Mutex
	seen := map[string]int{}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.URL.Path]++
		first := seen[r.URL.Path] == 1
		mu.Unlock()
		switch {
		case strings.HasSuffix(r.URL.Path, "first-503") && !first:
		case strings.HasSuffix(r.URL.Path, "503"):
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/stall":
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case r.URL.Path == "/hang":
			<-r.Context().Done()
		default:
			_, _ = w.Write([]byte("right"))
		}
	})
	return server.URL, func(path string) int {
		mu.Lock()
		defer mu.Unlock()
		return seen[path]
	}
}

// What becomes of a transaction is told as it is, whatever that is, by one and the
// same VU.
func TestProberOutcomes(t *testing.T) {
	const accepted, completed, wrong, degraded, cut = measure.Accepted, measure.Completed, measure.Wrong, measure.Degraded, measure.CutOff
	const short = 2 * time.Second // a busy machine takes as well as a slow script
	url, asked := shop(t)
	s := canaryTo(t, url, shopping)
	s.Env = map[string]string{"REFUSED": "http://127.0.0.1:1/"}
	s.Hosts = append(s.Hosts, "127.0.0.1:1")
	c := canary(t, s, 1, shoppingExecs()...)
	for _, of := range []struct {
		probe   measure.Probe
		found   measure.Finding
		message string
		tries   int
	}{
		{probe: measure.Probe{Transaction: "good"}, found: accepted},
		{probe: measure.Probe{Transaction: "broken"}, message: "status 503"},
		{probe: measure.Probe{Transaction: "broken", Tries: 3}, message: "status 503", tries: 3},
		{probe: measure.Probe{Transaction: "right"}, found: accepted | completed},
		{probe: measure.Probe{Transaction: "wrong"}, found: accepted | wrong, message: "not completed: wrong"},
		{probe: measure.Probe{Transaction: "other"}, found: accepted | wrong, message: "not completed: other"},
		{probe: measure.Probe{Transaction: "second", Tries: 2, Wait: time.Millisecond}, found: accepted | completed | degraded, message: "status 503", tries: 2},
		{probe: measure.Probe{Transaction: "throws"}, message: "Error: no cart for *** at http://h/x?…"},
		{probe: measure.Probe{Transaction: "after"}, message: "status 503; Error: no order"},
		{probe: measure.Probe{Transaction: "caught"}, message: "Error: within"},
		{probe: measure.Probe{Transaction: "blunder"}, message: "TypeError: Cannot read property 'x' of undefined"},
		{probe: measure.Probe{Transaction: "says"}, found: accepted},
		{probe: measure.Probe{Transaction: "hang", Timeout: short}, found: cut, message: "no answer after 2s: GET " + url + "/hang"},
		{probe: measure.Probe{Transaction: "body", Timeout: short}, found: cut, message: "no answer after 2s: GET " + url + "/stall"},
		{probe: measure.Probe{Transaction: "sleeps", Timeout: short}, found: cut, message: "no end after 2s"},
		{probe: measure.Probe{Transaction: "loops", Timeout: short}, found: cut, message: "no end after 2s"},
		{probe: measure.Probe{Transaction: "waits", Timeout: short}, found: cut, message: "no end after 2s"},
		{probe: measure.Probe{Transaction: "broken", Timeout: patience / 2, Tries: 2, Wait: patience}, message: "status 503", tries: 1},
		{probe: measure.Probe{Transaction: "never"}, found: accepted | wrong, message: "not so in time: it was not so within 30ms"},
		{probe: measure.Probe{Transaction: "later"}, found: accepted},
		{probe: measure.Probe{Transaction: "laterBroken"}, message: "Error: rejected"},
		{probe: measure.Probe{Transaction: "laterHangs", Timeout: short}, found: cut, message: "no answer after 2s: GET " + url + "/hang"},
		{probe: measure.Probe{Transaction: "laterSecond", Tries: 2, Wait: time.Millisecond}, found: accepted | degraded, message: "status 503", tries: 2},
		{probe: measure.Probe{Transaction: "laterTwice", Timeout: short}, found: cut, message: "no answer after 2s: GET " + url + "/hang"},
		{probe: measure.Probe{Transaction: "aborts"}, message: "test aborted: enough"},
		{probe: measure.Probe{Transaction: "outside"}, message: "host other.invalid:80 is not among the plan's targets"},
		{probe: measure.Probe{Transaction: "refused"}, message: "connection refused: dial tcp 127.0.0.1:1"},
		{probe: measure.Probe{Transaction: "default"}, found: accepted},
		{probe: measure.Probe{Transaction: "named otherwise", Exec: "right"}, found: accepted | completed},
	} {
		before := time.Now()
		of.probe.Tenant = "acme"
		probed := c.probe(of.probe)
		for tries := 1; tries < maxHindered && strings.Contains(probed.Lost, "no CPU"); tries++ {
			probed = c.probe(of.probe) // that says nothing about the script
		}
		require.Empty(t, probed.Lost)
		a := probed.Attempt
		require.Equal(t, of.found, a.Found, "%s: %s", of.probe.Transaction, a.Message)
		require.Contains(t, a.Message, of.message, of.probe.Transaction)
		require.Equal(t, of.message == "", a.Message == "", "%s: %s", of.probe.Transaction, a.Message)
		require.Equal(t, cmp.Or(of.tries, 1), a.Tries, of.probe.Transaction)
		require.Equal(t, measure.Series{
			Metric: measure.MetricTransaction, Transaction: of.probe.Transaction, Tenant: "acme", Class: "gold", Cell: "cell-of-acme", Region: "eu",
		}, a.Series)
		require.WithinRange(t, time.Unix(0, a.At), before, time.Now())
		require.Positive(t, a.Took)
		if of.found == cut {
			require.GreaterOrEqual(t, a.Took, 1000*short.Seconds(), of.probe.Transaction)
			require.Less(t, a.Took, 30_000.0, "answered when its time is over, not when its script is: %s", of.probe.Transaction)
		}
		if of.probe.Transaction == "broken" {
			require.Equal(t, "0af7651916cd43dd8448eb211c80319c", a.TraceID)
		}
	}
	require.Zero(t, asked("/after"), "a script does not go on when its time is over")
	c.ended()
	transactions := func(name string) measure.Window {
		return c.out.sum(measure.MetricTransaction, inTransaction(name))
	}
	require.EqualValues(t, 1, transactions("wrong").Count, "the transaction that the script opens is the one that was asked for")
	require.EqualValues(t, 1, transactions("inner").Count, "others are measured for themselves")
	require.EqualValues(t, 3, transactions("broken").Failed)
	require.Positive(t, transactions("hang").Unfinished)
	require.Zero(t, c.out.sum(measure.MetricIteration, nil).Dropped)
	require.NotContains(t, fmt.Sprint(c.out.batch), "token-of-")
	blamed := c.out.events(measure.EventGenerator)
	require.Len(t, blamed, 1)
	require.Equal(t, "host", blamed[0].Name, "which the script, not the target, is to blame for")
}

const asTenants = `
import http from 'k6/http';
import { tenant, transaction } from 'k6/x/resilience';
export function visit() {
  const me = tenant();
  transaction('visit', (tx) => {
    const r = http.get(__ENV.TARGET_URL + '/' + (me ? me.name : 'nobody'));
    tx.completed(r.body === (me ? me.name + ' Bearer ' + me.token : ' '));
  });
}
`

// Many probes at a time are each sent as the tenant that they name, and answered
// once.
func TestProberTenants(t *testing.T) {
	const vus = 10
	var arrived, mixed atomic.Int64
	together := make(chan struct{})
	seen := map[string]*atomic.Int64{"acme": {}, "globex": {}, "": {}}
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if arrived.Add(1) == vus { // the first are answered when all VUs have asked
			close(together)
		}
		<-together
		name := r.Header.Get("X-Synthetic-Tenant")
		seen[name].Add(1)
		if r.URL.Path != "/"+cmp.Or(name, "nobody") {
			mixed.Add(1)
		}
		fmt.Fprintf(w, "%s %s", name, r.Header.Get("Authorization"))
	})
	c := canary(t, canaryTo(t, server.URL, asTenants), vus, "visit")
	asked := map[uint64]string{}
	for i := range 200 {
		tenant := []string{"acme", "globex", ""}[i%3]
		asked[c.ask(measure.Probe{Transaction: "visit", Tenant: tenant})] = tenant
	}
	for range 200 {
		probed := c.answer()
		tenant, known := asked[probed.Seq]
		require.True(t, known, "answered twice")
		delete(asked, probed.Seq)
		require.Empty(t, probed.Lost)
		require.Equal(t, tenant, probed.Attempt.Series.Tenant)
		require.Equal(t, tenant != "", probed.Attempt.Series.Cell != "")
		require.Equal(t, measure.Accepted|measure.Completed, probed.Attempt.Found, probed.Attempt.Message)
	}
	require.Zero(t, mixed.Load())
	for tenant, want := range map[string]int64{"acme": 67, "globex": 67, "": 66} {
		require.Equal(t, want, seen[tenant].Load(), "visits of %q", tenant)
	}
	lost := c.ask(measure.Probe{Transaction: "visit", Tenant: "initech"})
	require.Equal(t, measure.Probed{Seq: lost, Lost: `the canary acts as no tenant "initech"`}, c.answer())
	c.ended()
	require.Empty(t, c.done, "answered twice")
	visits := c.out.sum(measure.MetricTransaction, func(w measure.Window) bool { return w.Series.Tenant == "acme" && w.Series.Test == "canary" })
	require.EqualValues(t, 67, visits.Count)
}
