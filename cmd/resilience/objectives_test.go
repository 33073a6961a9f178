package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/plan"
)

// TestObjectivesOfPlan wants a verdict to judge by all that a plan says, and a
// record to keep it.
func TestObjectivesOfPlan(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.yaml")
	require.NoError(t, os.WriteFile(path, []byte(skeleton+`
objectives:
  orders: {share: 99.9%, over: 30d, of: checkout, revenue: 1200 EUR/m}
  carts: {share: 99%, good: "good[${query.window}]", total: "all[${query.window}]"}
telemetry:
  prometheus: {prometheus: "http://127.0.0.1:9090"}
model:
  series:
    - {name: front, promised: 99.99%}
    - parallel: {common: 5%, of: [{dependency: payments}, {transaction: checkout}]}
    - {name: replicas, parallel: {need: 2, copies: 3, of: [{name: replica, promised: 99%}]}}
`), 0o600))
	p, err := plan.Load(path, plan.Options{})
	require.NoError(t, err)

	require.Equal(t, []gates.Objective{
		{Name: "carts", Share: 0.99, Over: 28 * 24 * time.Hour, Queried: true},
		{Name: "orders", Share: 0.999, Over: 720 * time.Hour, Of: "checkout", Revenue: &gates.Revenue{PerMinute: 1200, Currency: "EUR"}},
	}, objectives(p))
	front, replica := 0.9999, 0.99
	whole := model(p)
	require.Equal(t, &gates.Part{Series: []gates.Part{
		{Name: "front", Promised: &front},
		{Parallel: &gates.Parallel{Need: 1, Common: 0.05, Of: []gates.Part{{Dependency: "payments"}, {Transaction: "checkout"}}}},
		{Name: "replicas", Parallel: &gates.Parallel{Need: 2, Copies: 3, Of: []gates.Part{{Name: "replica", Promised: &replica}}}},
	}}, whole)

	text, err := json.Marshal(whole)
	require.NoError(t, err)
	var again *gates.Part
	require.NoError(t, json.Unmarshal(text, &again))
	require.Equal(t, whole, again)
	require.Nil(t, model(plan.Plan{}))
}
