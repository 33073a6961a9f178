package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

// monitoring is a Telemetry that tells what a test wants, and remembers when it
// was asked.
type monitoring struct {
	observation plan.Observation
	tell        measure.Batch
	over, ended time.Time
	err         error
	panics      bool
}

func (m *monitoring) Run(ctx context.Context, over <-chan struct{}, emit func(measure.Batch) error) error {
	if m.panics {
		panic("a defect")
	}
	if err := emit(m.tell); err != nil || m.err != nil {
		return errors.Join(err, m.err)
	}
	select {
	case <-ctx.Done():
		return nil
	case <-over:
	}
	m.over = time.Now()
	err := emit(measure.Batch{Windows: []measure.Window{{Series: measure.Series{Metric: "cpu", Phase: "beta"}, Start: 1e9, Width: 1e9, Count: 1}}})
	m.ended = time.Now()
	return err
}

// observedStage is a stage whose monitoring is asked.
func observedStage(t *testing.T, m *monitoring) *stage {
	s := newStage(t, plan.Phase{Tests: []plan.Test{test("load", 0, 5*time.Second)}, Baseline: plan.Baseline{Target: "old"}})
	s.Plan.Targets["old"] = plan.Target{URL: "http://127.0.0.1:7"}
	s.Plan.Secrets = map[string]plan.Secret{"prom": {Env: "PROM"}}
	s.Getenv = func(name string) (string, bool) { return "s3cret-token", name == "PROM" }
	s.Plan.Telemetry = map[string]plan.Source{"main": {Prometheus: "http://127.0.0.1:9", Token: "${secrets.prom}"}}
	s.Plan.Queries = map[string]plan.Query{"cpu": {From: "main", Query: "up", Type: plan.Gauge, Every: plan.Duration(time.Second), Stale: plan.Duration(10 * time.Second)}}
	s.Plan.Alerts = &plan.Alerts{From: "main"}
	s.Adapters.Telemetry = func(o plan.Observation) (Telemetry, error) {
		m.observation = o
		return m, nil
	}
	return s
}

func TestTheMonitoringIsAskedWhileTestsRun(t *testing.T) {
	m := &monitoring{tell: measure.Batch{Events: []measure.Event{{Source: "telemetry", At: 1, Kind: measure.EventWarning, Phase: "beta", Attrs: map[string]string{"detail": "says s3cret-token"}}}}}
	s := observedStage(t, m)
	require.NoError(t, s.Run(t.Context(), "beta"))
	require.Equal(t, "s3cret-token", m.observation.Sources["main"].Token)
	require.Equal(t, "main", m.observation.Alerts)
	require.Equal(t, []plan.Arm{{Name: "candidate", Target: "shop", Host: "127.0.0.1:1"}, {Name: "baseline", Target: "old", Host: "127.0.0.1:7"}}, m.observation.Arms)
	require.Equal(t, map[string]string{"type": "gauge", "contains": "default", "every": "1s", "stale": "10s"}, s.record.find(t, measure.EventMetric, "cpu").Attrs)

	told := s.record.told()
	require.Equal(t, "phase-end beta", told[len(told)-1])
	last := s.record.batches[len(s.record.batches)-2]
	require.Equal(t, "cpu", last.Windows[0].Series.Metric, "it is waited for before the phase ends")
	require.NotContains(t, fmt.Sprint(s.record.events), "s3cret")
	require.NotContains(t, told, "listening alerts", "nothing is listened on where only is asked")
}

func TestAlertsThatAreAskedForAreLikeThoseSent(t *testing.T) {
	alert := func(name string) measure.Event {
		return measure.Event{Source: "telemetry", At: 5, Kind: measure.EventAlert, Phase: "beta", Name: name, Attrs: map[string]string{"state": "firing", "by": "main"}}
	}
	m := &monitoring{tell: measure.Batch{Events: []measure.Event{alert("High"), alert(strings.Repeat("x", maxAlertName+1))}}}
	s := observedStage(t, m)
	require.NoError(t, s.Run(t.Context(), "beta"))
	require.Equal(t, int64(5), s.record.find(t, measure.EventAlert, "High").At, "at its own time")
	require.Contains(t, s.record.find(t, measure.EventWarning, "alerts").Attrs["detail"], "an alert is left out: a name is longer than 200 bytes")
}

func TestARecordThatFailsUnderTelemetryEndsTheRun(t *testing.T) {
	for name, m := range map[string]*monitoring{"an error": {err: errors.New("the disk is full")}, "a panic": {panics: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := observedStage(t, m)
				begun := time.Now()
				require.Error(t, s.Run(t.Context(), "beta"))
				require.Less(t, time.Since(begun), 4*time.Second)
			})
		})
	}
}

func TestAnInterruptDoesNotWaitForTelemetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := observedStage(t, &monitoring{})
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		begun := time.Now()
		require.ErrorIs(t, s.Run(ctx, "beta"), context.DeadlineExceeded)
		require.Less(t, time.Since(begun), 3*time.Second)
	})
}

func TestASecretThatIsMissingStopsBeforeAnyTraffic(t *testing.T) {
	s := observedStage(t, &monitoring{})
	s.Getenv = func(string) (string, bool) { return "", false }
	require.ErrorContains(t, s.Run(t.Context(), "beta"), "telemetry main: token: nothing is known for the placeholder ${secrets.prom}")
	require.NotContains(t, s.record.told(), "test load")
}
