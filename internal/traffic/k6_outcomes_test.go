package traffic

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

const outcomes = `
import http from 'k6/http';
import { eventually, idempotent, transaction } from 'k6/x/resilience';
const base = __ENV.TARGET_URL;

export default async function () {
  const shipped = (id) => http.get(base + '/orders/' + id, { tags: { name: 'order' } }).status === 200;
  transaction('late', (tx) => {
    const id = http.post(base + '/orders').body;
    tx.completed(eventually(() => shipped(id), { within: '20s', every: '50ms' }));
  });
  transaction('never', (tx) => {
    tx.completed(eventually(() => shipped('none'), { within: '100ms', every: '50ms' }));
  });
  transaction('throws', (tx) => {
    tx.completed(eventually(() => { throw new Error('no such field'); }, { within: '0s' }));
  });
  transaction('refused', (tx) => {
    http.get(base + '/orders/none');
    tx.completed(eventually(() => true));
  });
  await transaction('asks', async (tx) => {
    const id = http.post(base + '/orders').body;
    tx.completed(await eventually(async () => (await http.asyncRequest('GET', base + '/orders/' + id)).status === 200, { within: '20s', every: '50ms' }));
  });
  await transaction('asks in vain', async (tx) => {
    tx.completed(await eventually(async () => { throw new Error('rejected'); }, { within: '100ms', every: '50ms' }));
  });
  for (const kind of ['once', 'twice', 'not at all']) {
    transaction(kind, (tx) => tx.completed(idempotent(
      (key) => http.post(base + '/count?kind=' + encodeURIComponent(kind), null, { headers: { 'Idempotency-Key': key } }),
      { state: () => http.get(base + '/count?kind=' + encodeURIComponent(kind)).json('n'), within: kind === 'not at all' ? '300ms' : '20s' })));
  }
}
`

// orders are there a while after they were placed; counts are by kind.
type orders struct {
	mu     sync.Mutex
	placed map[string]time.Time
	counts map[string]int
	keys   map[string]int // how often each came
}

func (o *orders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	kind := r.URL.Query().Get("kind")
	switch {
	case r.URL.Path == "/orders":
		id := string(rune('a' + len(o.placed)))
		o.placed[id] = time.Now()
		_, _ = w.Write([]byte(id))
	case r.URL.Path != "/count":
		if at, known := o.placed[r.URL.Path[len("/orders/"):]]; !known || time.Since(at) < 300*time.Millisecond {
			http.NotFound(w, r)
		}
	case r.Method == http.MethodGet:
		_ = json.NewEncoder(w).Encode(map[string]int{"n": o.counts[kind]})
	default:
		key := r.Header.Get("Idempotency-Key")
		o.keys[key]++
		if kind == "twice" || kind == "once" && o.keys[key] == 1 {
			o.counts[kind]++
		}
	}
}

// The outcome of a transaction is looked for until it is there, and the looks do
// not count against its being accepted.
func TestK6Outcomes(t *testing.T) {
	target := &orders{placed: map[string]time.Time{}, counts: map[string]int{}, keys: map[string]int{}}
	server := serve(t, target.ServeHTTP)
	s := scriptTo(t, server.URL, outcomes, plan.Profile{Grace: seconds(40)})
	out := runScript(t, s)
	require.Equal(t, "true", out.end(t)["complete"], out.end(t)["reason"])
	require.Zero(t, out.sum(measure.MetricIteration, nil).Failed, "%v", out.examples("exception"))
	for name, want := range map[string]struct{ accepted, completed bool }{
		"late": {true, true}, "never": {true, false}, "throws": {true, false}, "refused": {false, true},
		"asks": {true, true}, "asks in vain": {true, false},
		"once": {true, true}, "twice": {true, false}, "not at all": {true, false},
	} {
		accepted, outcome := out.sum(measure.MetricTransaction, inTransaction(name)), out.sum(measure.MetricOutcome, inTransaction(name))
		require.EqualValues(t, 1, outcome.Count, name)
		require.Equal(t, want.accepted, accepted.Failed == 0, "%s: accepted", name)
		require.Equal(t, want.completed, outcome.Failed == 0, "%s: completed", name)
	}
	require.Len(t, out.examples("status 404"), 1, "what a look does not find is no failure")
	late := out.sum(measure.MetricTransaction, inTransaction("late"))
	require.GreaterOrEqual(t, late.Min, 300.0)
	for kind, message := range map[string]string{
		"not so in time: never":        "it was not so within 100ms",
		"not so in time: throws":       "the last look threw Error: no such field",
		"not so in time: asks in vain": "the last look threw Error: rejected",
		"not idempotent: twice":        "changed data again: 0, 1, then 2",
		"not idempotent: not at all":   "nothing changed within 300ms",
	} {
		require.Len(t, out.examples(kind), 1, kind)
		require.Contains(t, out.examples(kind)[0].Message, message)
	}
	require.Len(t, target.keys, 3)
	for key, times := range target.keys {
		require.NotEmpty(t, key)
		require.LessOrEqual(t, times, 2)
	}
}

// The example of the page about scripts does what the page says.
func TestK6ScriptOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/scripts.md")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(page), "```js\n")
	script, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	var mu sync.Mutex
	total, keys := 0, map[string]bool{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"id": 7}`)) })
	mux.HandleFunc("GET /orders/7", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/payments", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if key := r.Header.Get("Idempotency-Key"); key != "" && !keys[key] {
			keys[key] = true
			total += 10
		}
		_ = json.NewEncoder(w).Encode(map[string]int{"total": total})
	})
	s := scriptTo(t, serve(t, mux.ServeHTTP).URL, script, plan.Profile{Grace: seconds(20)})
	out := runScript(t, s)
	for _, name := range []string{"order", "pay once"} {
		outcome := out.sum(measure.MetricOutcome, inTransaction(name))
		require.EqualValues(t, 1, outcome.Count, name)
		require.Zero(t, outcome.Failed, "%s: %v", name, out.examples("not idempotent: "+name))
	}
}

// What makes no sense is said where it is written.
func TestK6OutcomesMisused(t *testing.T) {
	for call, want := range map[string]string{
		"eventually()":                                    "needs a function",
		"eventually(() => true, {withn: '1s'})":           `has no field "withn"; did you mean "within"?`,
		"eventually(() => true, {every: '0s'})":           "every more than 0s",
		"idempotent(() => 1)":                             "needs a function that sends, and state",
		"idempotent(() => 1, {state: 3})":                 "state wants a function",
		"idempotent(async () => 1, {state: () => 1})":     "can not be asynchronous",
		"idempotent(() => 1, {state: async () => 1})":     "can not be asynchronous",
		"idempotent(() => 1, {state: () => () => 1})":     "can not be compared",
		"idempotent(() => { throw 'x' }, {state: ()=>1})": "x",
	} {
		script := "import { eventually, idempotent } from 'k6/x/resilience';\nexport default function () { " + call + " }"
		out := runScript(t, scriptTo(t, "http://127.0.0.1:1", script, plan.Profile{Grace: seconds(20)}))
		thrown := out.events(measure.EventException)
		require.NotEmpty(t, thrown, call)
		require.Contains(t, thrown[0].Attrs["message"], want)
	}
}
