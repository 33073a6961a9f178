package gates

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestExtension: only what more traffic without disruptions could settle is worth
// more traffic.
func TestExtension(t *testing.T) {
	clean := []string{"test t 0..20", "requests t /a 0..20 count=10 latency=100"}
	for name, c := range map[string]struct {
		gates []string
		lines []string
		want  time.Duration
		why   string
	}{
		"too few":                {[]string{"availability >= 99%"}, clean, 13 * time.Second, "availability >= 99%: 200 samples cannot confirm 99 %; 299 can"},
		"a little too few":       {[]string{"availability >= 98.6%"}, clean, 10 * time.Second, "availability >= 98.6%: 200 samples cannot confirm 98.6 %; 213 can"},
		"the longest counts":     {[]string{"availability >= 98.6%", "availability >= 99.5%"}, clean, 46 * time.Second, "availability >= 98.6%: 200 samples cannot confirm 98.6 %; 213 can"},
		"far too few":            {[]string{"availability >= 99.99%"}, clean, 0, ""},
		"enough":                 {[]string{"availability >= 95%"}, clean, 0, ""},
		"a failure":              {[]string{"availability >= 99%", "latency p95 <= 50ms"}, clean, 0, ""},
		"one that stays open":    {[]string{"availability >= 99%", "reliability >= 99%"}, clean, 0, ""},
		"no data":                {[]string{"availability of /b >= 99%"}, clean, 0, ""},
		"of a disruption":        {[]string{"availability >= 99% during d"}, append(clean, "disruption d 5..10"), 0, ""},
		"overall":                {[]string{"availability >= 99% overall"}, clean, 13 * time.Second, "availability >= 99% overall: 200 samples cannot confirm 99 %; 299 can"},
		"a warning":              {[]string{"availability >= 95%"}, clean, 0, ""},
		"a rate":                 {[]string{"throughput >= 5/s"}, []string{"test t 0..4", "requests t /a 0..4 count=10"}, 10 * time.Second, "throughput >= 5/s: 4 whole seconds cannot confirm >= 5/s; 5 can"},
		"between the two":        {[]string{"availability >= 99%"}, []string{"test t 0..20", "requests t /a 0..20 count=50", "requests t /a 0..1 count=0 failed=12"}, time.Minute, "availability >= 99%: availability was 98.8 %, not >= 99 %, but so few samples (1,000) do not exclude it"},
		"the generator":          {[]string{"availability >= 99%"}, append(clean, "event generator cpu"), 0, ""},
		"interrupted":            {[]string{"availability >= 99%"}, append(clean, "event interrupt"), 0, ""},
		"incomplete":             {[]string{"availability >= 99%"}, []string{"test t 0..20 incomplete=killed", "requests t /a 0..20 count=10"}, 0, ""},
		"aborted":                {[]string{"availability >= 99%"}, append(clean, "event abort"), 0, ""},
		"did not bite":           {[]string{"availability >= 99%"}, append(clean, "disruption d 5..6 settle=1s touched=0/100"), 0, ""},
		"a service died":         {[]string{"availability >= 99%"}, append(clean, "event service s state=died"), 0, ""},
		"once only":              {[]string{"availability >= 99%"}, append(clean, "event extended at=21"), 0, ""},
		"a baseline that is few": {[]string{"availability >= baseline"}, append(clean, "test t 0..20 arm=baseline", "requests t /a 0..20 count=10 latency=100 arm=baseline"), 13 * time.Second, "availability >= baseline: the baseline has 200 samples; comparing wants 299"},
		"of two objectives":      {[]string{"availability >= max(1%, baseline)"}, append(clean, "test t 0..20 arm=baseline", "requests t /a 0..20 count=10 arm=baseline"), 13 * time.Second, "the baseline has 200 samples"},
		"a margin":               {[]string{"availability >= baseline - 2pp"}, append(clean, "test t 0..20 arm=baseline", "requests t /a 0..20 count=10 latency=100 arm=baseline"), 46 * time.Second, "availability >= baseline - 2pp: that baseline - 2pp is kept is not shown"},
		"chance was against it":  {[]string{"latency p95 <= baseline + 10%"}, []string{"test t 0..300", "requests t /a 0..300 count=50 latency=lognormal(108,0.3)", "test t 0..300 arm=baseline", "requests t /a 0..300 count=50 latency=lognormal(100,0.3) arm=baseline"}, time.Minute, "that baseline + 10% is kept is not shown: at 95 % confidence"},
		"a score beside it":      {[]string{"availability >= 99%", "score >= 90%"}, clean, 13 * time.Second, "availability >= 99%: 200 samples cannot confirm 99 %; 299 can"},
		"nothing":                {[]string{"availability >= 99%"}, nil, 0, ""},
		"no gates":               {nil, clean, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, why := Extension(mustParse(t, c.gates...), sheetOf(t, c.lines...).record(), time.Minute)
			require.Equal(t, c.want, got)
			require.Contains(t, why, c.why)
			require.Equal(t, got == 0, why == "")
		})
	}
}

// TestExtensionForWhatDecides: nobody waits for a gate that decides nothing.
func TestExtensionForWhatDecides(t *testing.T) {
	r := sheetOf(t, "test t 0..20", "requests t /a 0..20 count=10 latency=100").record()
	r.Run.Started = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	all := mustParse(t, "availability >= 95%", "availability >= 99%", "reliability >= 99%")
	more := func() time.Duration {
		got, _ := Extension(all, r, time.Minute)
		return got
	}
	require.Zero(t, more(), "reliability stays open")
	all[2].Waiver = &Waiver{Expires: r.Run.Started.Add(time.Hour)}
	require.Equal(t, 13*time.Second, more())
	all[1].Advisory = "young"
	require.Zero(t, more())
	require.False(t, all[2].Waiver.Active(time.Time{}), "nobody knows when")
}
