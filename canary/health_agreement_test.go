package canary

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/measure"
)

// said is what a health endpoint answered at a minute.
func said(at int, healthy bool) HealthSaid {
	s := HealthSaid{From: atMinute(at), To: atMinute(at)}
	if healthy {
		s.Healthy = 1
	} else {
		s.Unhealthy = 1
	}
	return s
}

func TestHealthAgreement(t *testing.T) {
	o := Observation{From: epoch, To: atMinute(100), Planned: []Span{{atMinute(80), atMinute(90)}}}
	incidents := []Incident{lasting("a", 20, 40), lasting("b", 30, 50)}
	for name, tt := range map[string]struct {
		said []HealthSaid
		want HealthAgreement
	}{
		"nothing was said": {nil, HealthAgreement{}},
		"all is well":      {[]HealthSaid{said(0, true), said(10, true), said(50, true), said(99, true)}, HealthAgreement{Share: share(1), Healthy: 4}},
		"it lies":          {[]HealthSaid{said(10, true), said(20, true), said(35, true), said(47, true)}, HealthAgreement{Share: share(0.25), Healthy: 1, Lies: 3}},
		"it is honest":     {[]HealthSaid{said(21, false), said(47, false)}, HealthAgreement{Share: share(1), Unhealthy: 2}},
		"it cries wolf":    {[]HealthSaid{said(10, false), said(60, true)}, HealthAgreement{Share: share(0.5), Healthy: 1, Alarms: 1}},
		"it can not be known": {
			[]HealthSaid{said(18, false), said(48, true), said(49, false), said(85, false), said(10, true)},
			HealthAgreement{Share: share(1), Healthy: 1, Unclear: 4},
		},
		"outside": {[]HealthSaid{said(-1, false), said(100, false), said(200, true)}, HealthAgreement{}},
		"by the minute": {
			[]HealthSaid{
				{atMinute(10), atMinute(11), 3, 1}, {atMinute(17), atMinute(18), 4, 0}, {atMinute(19), atMinute(21), 4, 0}, {atMinute(30), atMinute(31), 1, 3}, {atMinute(79), atMinute(81), 2, 2},
			},
			HealthAgreement{Share: share(10.0 / 12), Healthy: 7, Alarms: 1, Lies: 1, Unhealthy: 3, Unclear: 8},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.want, o.CompareHealth(tt.said, incidents, int64(2*time.Minute)))
		})
	}
	open := o.CompareHealth([]HealthSaid{said(99, true)}, []Incident{goingOn("a", 95)}, int64(2*time.Minute))
	require.Equal(t, HealthAgreement{Share: share(0), Lies: 1}, open)
}

func share(s float64) *float64 { return &s }

func TestHealthWindows(t *testing.T) {
	health := historic(measure.MetricTransaction, healthName, "eu-1", 4, 1)
	good := health
	good.Series.Metric = measure.MetricGood
	require.Equal(t, []HealthSaid{{epoch, epoch + 60e9, 3, 1}},
		HealthWindows([]measure.Window{health, good, historic(measure.MetricTransaction, "order", "eu-1", 9, 9)}))
}

// TestHealthAgreementProperties has every answer counted once, and two halves of
// a time come to the whole.
func TestHealthAgreementProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		incidents, planned := someIncidents(t), someSpans(t)
		slack := int64(rapid.IntRange(0, 5).Draw(t, "slack")) * int64(time.Minute)
		var all []HealthSaid
		for range rapid.IntRange(0, 50).Draw(t, "answers") {
			all = append(all, said(rapid.IntRange(0, 599).Draw(t, "at"), rapid.Bool().Draw(t, "healthy")))
		}
		o := Observation{From: epoch, To: atMinute(600), Planned: planned}
		whole := o.CompareHealth(all, incidents, slack)
		require.EqualValues(t, len(all), whole.Healthy+whole.Unhealthy+whole.Lies+whole.Alarms+whole.Unclear)
		require.Equal(t, len(all) == int(whole.Unclear), whole.Share == nil)
		var sum HealthAgreement
		for i := range all {
			sum.Add(o.CompareHealth(all[i:i+1], incidents, slack))
		}
		require.Equal(t, whole, sum)

		r := o.Reliability(incidents)
		if r.UpTime == 0 {
			require.Zero(t, whole.Healthy+whole.Alarms)
		}
	})
}
