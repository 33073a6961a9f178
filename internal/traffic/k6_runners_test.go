package traffic

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// answering tells the server which iteration asks, which then answers after a
// time that depends on nothing else.
const answering = `
import http from 'k6/http';
import exec from 'k6/execution';
import { transaction } from 'k6/x/resilience';

export default function () {
  transaction('ask', () => http.get(__ENV.TARGET_URL + '/?n=' + exec.scenario.iterationInTest + '&r=' + Math.random()));
}
`

// asks are what a server was asked.
type asks struct {
	mu   sync.Mutex
	seen map[string]int // by query
}

func (a *asks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.seen[r.URL.RawQuery]++
	a.mu.Unlock()
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	<-time.After(waits(n))
	if fails(n) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// waits is how long iteration n waits for its answer.
func waits(n int) time.Duration { return time.Duration(20+n*37%100) * time.Millisecond }

// fails tells which iterations are answered with an error.
func fails(n int) bool { return n%10 == 3 }

// waited is a quantile of how long n iterations wait, in milliseconds.
func waited(n int, q float64) float64 {
	all := make([]float64, n)
	for i := range all {
		all[i] = float64(waits(i).Milliseconds())
	}
	slices.Sort(all)
	return all[int(q*float64(n-1))]
}

// Several processes send what one would: the same iterations with the same
// random numbers, at the same rate, and their sketches merge to one of the
// quantiles that one process measured.
func TestK6Runners(t *testing.T) {
	all := map[int]*sink{}
	asked := map[int]map[string]int{}
	for _, parallel := range []int{1, 4} {
		target := &asks{seen: map[string]int{}}
		server := serve(t, target.ServeHTTP)
		s := scriptTo(t, server.URL, answering, plan.Profile{Rate: 40, MaxVUs: 160, Duration: seconds(4), Grace: seconds(10), Parallel: parallel})
		all[parallel], asked[parallel] = runScript(t, s), target.seen
	}
	one, four := all[1], all[4]
	queries, failing := iterations(t, asked[1])
	queries4, failing4 := iterations(t, asked[4])
	same := 0 // iterations; a busy machine may leave out the last ones of each process
	for ; queries[same] != "" && queries4[same] != ""; same++ {
		require.Equal(t, queries[same], queries4[same])
	}
	require.Greater(t, same, 40*4/2)
	a, b := one.sum(measure.MetricTransaction, nil), four.sum(measure.MetricTransaction, nil)
	require.EqualValues(t, len(asked[1]), a.Count)
	require.EqualValues(t, len(asked[4]), b.Count)
	require.Equal(t, []uint64{failing, failing4}, []uint64{a.Failed, b.Failed})
	require.Positive(t, failing)
	for _, q := range []float64{0.5, 0.9, 0.95} {
		low, high := math.Inf(1), 0.0
		for n := range 4 {
			part := four.sum(measure.MetricTransaction, func(w measure.Window) bool { return strings.HasSuffix(w.Source, runner{n: n + 1, of: 4}.suffix()) })
			x, ok := part.Sketch.Quantile(q)
			require.True(t, ok)
			low, high = min(low, x), max(high, x)
		}
		merged, _ := b.Sketch.Quantile(q)
		require.GreaterOrEqual(t, merged, 0.95*low, "p%v lies between those of the four processes", 100*q)
		require.LessOrEqual(t, merged, 1.05*high, "p%v lies between those of the four processes", 100*q)
		alone, _ := a.Sketch.Quantile(q)
		for _, x := range []float64{alone, merged} { // this machine may add any time
			require.GreaterOrEqual(t, x, 0.9*waited(same, q), "p%v: answers take as long whoever asks", 100*q)
		}
	}
	sources := map[string]bool{}
	for _, w := range four.batch.Windows {
		sources[w.Source] = true
	}
	require.Len(t, sources, 4)
	require.Len(t, four.events(measure.EventTest), 4)
	for _, e := range four.events(measure.EventTestEnd) {
		require.Equal(t, map[string]string{"complete": "true", "reason": ""}, e.Attrs)
	}
}

// iterations gives what each asked, once, and how many of them the server failed.
func iterations(t *testing.T, asked map[string]int) (queries map[int]string, failing uint64) {
	t.Helper()
	queries = map[int]string{}
	for query, times := range asked {
		require.Equal(t, 1, times, query)
		values, err := url.ParseQuery(query)
		require.NoError(t, err)
		n, err := strconv.Atoi(values.Get("n"))
		require.NoError(t, err)
		require.Empty(t, queries[n], "asked twice")
		queries[n] = query
		if fails(n) {
			failing++
		}
	}
	return queries, failing
}

// One runner that dies leaves a test that is incomplete, and is named.
func TestK6RunnerKilled(t *testing.T) {
	k, sending := underway(t)
	s := k.stream
	profile := *s.Test.Load
	profile.Parallel, profile.VUs, profile.Duration = 2, 2, seconds(5)
	s.Test.Load = &profile
	k.stream = s
	out := &sink{}
	require.NoError(t, k.share(t.Context(), func(ctx context.Context, r runner) error {
		c, err := k.start(r)
		if err != nil {
			return err
		}
		if r.n == 2 {
			go func() { <-sending; c.kill() }()
		}
		settings := plan.Settings{Source: "k6" + r.suffix(), Stream: k.stream}
		return c.finish(ctx, &conversation{conn: c.conn, settings: settings, emit: out.emit}, k.stream)
	}))
	var reasons []string
	for _, e := range out.events(measure.EventTestEnd) {
		reasons = append(reasons, e.Attrs["reason"])
	}
	require.ElementsMatch(t, []string{"", "runner 2 of 2: k6 ended early: signal: killed"}, reasons)
	require.Contains(t, out.events(measure.EventGenerator)[0].Attrs["detail"], "runner 2 of 2")
}
