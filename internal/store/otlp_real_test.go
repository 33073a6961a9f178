package store

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/fixtures/servers"
	"resilience/gates"
	"resilience/internal/measure"
)

// What Prometheus makes of it is what was measured: counts as they are, and
// quantiles within the width of a bucket.
func TestOTLPIntoPrometheus(t *testing.T) {
	address := servers.OTLP(t)
	o, err := NewOTLP(t.Context(), OTLPTarget{URL: address + "/api/v1/otlp"}, gates.Run{ID: "20260102T150405Z-abcd", Plan: "shop", Started: time.Now().Add(-time.Minute)})
	require.NoError(t, err)
	var values []float64
	for i := range 1000 {
		values = append(values, math.Exp(float64(i)/150)) // 1 ms to 780 ms
	}
	o.Append(measure.Batch{Windows: []measure.Window{otlpWindow(10, values...)}, Events: []measure.Event{{Kind: measure.EventDisruption, Phase: "beta", Name: "slow"}}})
	require.NoError(t, o.Close(t.Context(), []gates.Verdict{{Phase: "beta", Outcome: gates.Fail}}))
	for query, want := range map[string]float64{
		`resilience_attempts_total{metric="request",instance="20260102T150405Z-abcd",job="resilience",step="GET /"}`: 1001,
		`resilience_attempts_failed_total`:                                   1,
		`resilience_disruption_active{disruption="slow"}`:                    1,
		`resilience_verdict{outcome="fail"}`:                                 0,
		`histogram_count(resilience_latency_milliseconds{metric="request"})`: 1000,
	} {
		require.InDelta(t, want, ask(t, address, query), 0, query)
	}
	for _, q := range []float64{0.1, 0.5, 0.95, 0.99} {
		got := ask(t, address, "histogram_quantile("+strconv.FormatFloat(q, 'g', -1, 64)+", resilience_latency_milliseconds)")
		require.InEpsilon(t, values[int(q*1000)-1], got, 0.025, "p%v", q*100)
	}
}

// ask gives the one value that answers a query.
func ask(t *testing.T, address, query string) float64 {
	t.Helper()
	resp, err := http.Get(address + "/api/v1/query?query=" + url.QueryEscape(query))
	require.NoError(t, err)
	defer resp.Body.Close()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	require.Len(t, answer.Data.Result, 1, query)
	value, err := strconv.ParseFloat(answer.Data.Result[0].Value[1].(string), 64)
	require.NoError(t, err)
	return value
}
