package canary

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/gates"
	"resilience/internal/measure"
	"resilience/internal/plan"
)

// recalled is a State with a history that is worked out from the attempts.
type recalled struct{ *memory }

func (r recalled) History(from, to int64, width time.Duration) ([]measure.Window, error) {
	attempts, err := r.Attempts(from, to)
	if err != nil {
		return nil, err
	}
	sums := map[measure.Series]map[int64]*measure.Window{}
	for _, a := range attempts {
		for metric, failed := range map[string]bool{measure.MetricGood: !a.Good(), measure.MetricTransaction: a.Found&measure.Accepted == 0} {
			series := a.Series
			series.Metric = metric
			if width < 24*time.Hour {
				series.Tenant = ""
			}
			start := a.At - a.At%int64(width)
			if sums[series] == nil {
				sums[series] = map[int64]*measure.Window{}
			}
			w := sums[series][start]
			if w == nil {
				w = &measure.Window{Series: series, Start: start, Width: int64(width)}
				sums[series][start] = w
			}
			if w.Count++; failed {
				w.Failed++
			}
		}
	}
	var out []measure.Window
	for _, windows := range sums {
		for _, w := range windows {
			out = append(out, *w)
		}
	}
	return out, nil
}

func TestFigures(t *testing.T) {
	start := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	at := func(minute int) int64 { return start.Add(time.Duration(minute) * time.Minute).UnixNano() }
	state := recalled{newMemory()}
	document := func(name string, value any) {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		require.NoError(t, state.Commit(nil, map[string][]byte{name: text}))
	}
	document(beganDocument, at(0))
	document(incidentPrefix+"a", Incident{ID: "a", Rule: "orders", Start: at(60), Detected: at(61), End: at(70), Closed: at(72)})
	var attempts []measure.Attempt
	for minute := range 300 {
		if minute >= 180 && minute < 200 {
			continue // no daemon ran
		}
		found := fine
		if minute >= 60 && minute < 70 {
			found = 0
		}
		series := measure.Series{Transaction: "order", Cell: "eu", Tenant: "t1"}
		attempts = append(attempts, measure.Attempt{Series: series, At: at(minute), Found: found},
			heartbeat(healthName, at(minute), measure.Accepted, ""))
	}
	require.NoError(t, state.Commit(attempts, nil))
	c := plan.Canary{
		Transactions: map[string]plan.CanaryTask{"order": {Every: plan.Duration(time.Minute)}},
		Alerts:       map[string]plan.CanaryRule{"orders": {}, "others": {}}, Health: &plan.CanaryHealth{},
	}
	promised := []gates.Objective{{Name: "orders", Share: 0.9, Over: 24 * time.Hour}}
	f, err := ComputeFigures(state, c, promised, at(-1000), at(300))
	require.NoError(t, err)
	require.Equal(t, at(0), f.From, "nobody looked before")
	require.Equal(t, 1, f.Overall.Failures)
	require.InDelta(t, 280*60, f.Overall.Observed, 60, "20 minutes without a daemon are left out")
	require.InDelta(t, 600, f.Overall.DownTime, 1e-9)
	require.InDelta(t, 600, *f.Rules["orders"].MTTR.Seconds, 1e-9)
	require.Zero(t, f.Rules["others"].Failures)
	require.Equal(t, Share{Part: 270, Of: 280, Share: f.Served["cell"][0].Good.Share}, f.Served["cell"][0].Good)
	require.Equal(t, "t1", f.Served["tenant"][0].Tenant)
	require.InDelta(t, 9, f.Health.Lies, 1, "it said that all is well")
	require.Len(t, f.Objective, 1)
	require.InDelta(t, 1-10.0/280/0.1, *f.Objective[0].Left, 0.01)
	_, err = json.Marshal(f)
	require.NoError(t, err)
}
