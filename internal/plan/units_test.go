package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestUnitSpelling(t *testing.T) {
	for text, want := range map[string]string{
		"300ms": "300ms", "15s": "15s", "60s": "1m", "1h": "1h", "90m": "1h30m", "0s": "0s", "1h0m5s": "1h0m5s", "10m": "10m", "720h": "720h", "28d": "672h", "1.5d": "36h", "1d12h": "36h",
	} {
		var d Duration
		require.NoError(t, d.UnmarshalText([]byte(text)))
		require.Equal(t, want, d.String())
	}
	for text, want := range map[string]string{
		"50/s": "50/s", "600/m": "10/s", "1/m": "1/m", "5/h": "5/h", "0.5/s": "0.5/s", "1000000/s": "1000000/s", "0/s": "0/s",
	} {
		var r Rate
		require.NoError(t, r.UnmarshalText([]byte(text)))
		require.Equal(t, want, r.String())
	}
	for text, want := range map[string]string{"99.5%": "99.5%", "100%": "100%", "0%": "0%", "12.50%": "12.5%", "99.999%": "99.999%", "7%": "7%"} {
		var p Percent
		require.NoError(t, p.UnmarshalText([]byte(text)))
		require.Equal(t, want, p.String())
	}
}

func TestRevenue(t *testing.T) {
	for text, want := range map[string]string{
		"1200 EUR/m": "1200 EUR/m", "20 USD/s": "1200 USD/m", "60000/h": "1000/m", "0.5/m": "0.5/m",
	} {
		var r, again Revenue
		require.NoError(t, r.UnmarshalText([]byte(text)))
		require.Equal(t, want, r.String())
		require.NoError(t, again.UnmarshalText([]byte(r.String())))
		require.Equal(t, r, again)
	}
	for _, text := range []string{"", "5", "5 EUR", "5 eur/m", "5 EURO/m", "5EUR/m", "5 /m", "-5/m", "1e3/m", "9999999999999/m", "5/d", "EUR/m"} {
		var r Revenue
		require.Error(t, r.UnmarshalText([]byte(text)), text)
	}
}

func TestUnitMistakes(t *testing.T) {
	for _, text := range []string{"", "5", "-5s", "721h", "31d", "-1d", "d", "1d-1h", "1h1d", "1dd", "999999999999d", "5 s", "s", "1e3s", "∞", "NaNs"} {
		var d Duration
		require.Error(t, d.UnmarshalText([]byte(text)), text)
	}
	for _, text := range []string{"", "5", "5/d", "-5/s", "1000001/s", "5/s/s", "NaN/s", "inf/s", "0x1p3/s", "1e2/s", "/s", "5rps", "-/s"} {
		var r Rate
		require.Error(t, r.UnmarshalText([]byte(text)), text)
	}
	for _, text := range []string{"", "5", "0.5", "-1%", "100.1%", "NaN%", "%", "5%%"} {
		var p Percent
		require.Error(t, p.UnmarshalText([]byte(text)), text)
	}
}

// TestUnitsReadBack wants every value to be read from its own spelling.
func TestUnitsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Duration(rapid.Int64Range(0, int64(maxDuration)).Draw(t, "duration"))
		var d2 Duration
		require.NoError(t, d2.UnmarshalText([]byte(d.String())))
		require.Equal(t, d, d2)
		r := Rate(rapid.Float64Range(0, float64(maxRate)).Draw(t, "rate"))
		var r2 Rate
		require.NoError(t, r2.UnmarshalText([]byte(r.String())))
		require.Equal(t, r, r2)
		p := Percent(float64(rapid.IntRange(0, 1_000_000).Draw(t, "percent")) / 10_000 / 100)
		var p2 Percent
		require.NoError(t, p2.UnmarshalText([]byte(p.String())))
		require.Equal(t, p, p2)
	})
}

func TestTimeline(t *testing.T) {
	s := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
	d := func(seconds float64) Duration { return Duration(s(seconds)) }
	five := 5
	for name, test := range map[string]struct {
		profile Profile
		length  time.Duration
		total   float64
		known   bool
		rates   map[float64]float64
	}{
		"constant": {Profile{Rate: 50, Duration: d(60)}, s(60), 3000, true, map[float64]float64{0: 50, 59.9: 50, 60: 0, -1: 0}},
		"warm-up":  {Profile{Rate: 50, Duration: d(60), Warmup: d(10)}, s(70), 3500, true, map[float64]float64{0: 50, 69: 50}},
		"ramp in warm-up": {
			Profile{Rate: 50, Duration: d(60), Warmup: d(10), Ramp: d(4)},
			s(70), 3400, true,
			map[float64]float64{0: 0, 1: 12.5, 2: 25, 4: 50, 69: 50},
		},
		"ramp beyond warm-up": {Profile{Rate: 50, Duration: d(60), Warmup: d(10), Ramp: d(20)}, s(80), 3500, true, map[float64]float64{10: 25, 20: 50}},
		"stages": {
			Profile{Stages: []Stage{{Duration: d(10), Rate: 10}, {Duration: d(0), Rate: 100}, {Duration: d(10), Rate: 0}}},
			s(20), 550, true,
			map[float64]float64{0: 0, 5: 5, 10: 100, 15: 50},
		},
		"stages after warm-up": {Profile{Warmup: d(5), Stages: []Stage{{Duration: d(10), Rate: 10}}}, s(15), 150, true, map[float64]float64{0: 10, 14: 10}},
		"VUs":                  {Profile{VUs: 5, Duration: d(60)}, s(60), 0, false, nil},
		"VU stages":            {Profile{Stages: []Stage{{Duration: d(10), VUs: &five}}}, s(10), 0, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.length, test.profile.Length())
			total, known := test.profile.Total()
			require.Equal(t, test.known, known)
			require.InDelta(t, test.total, total, 1e-6)
			require.NotEqual(t, test.profile.Open(), test.profile.Closed())
			for at, rate := range test.rates {
				require.InDelta(t, rate, 1e3*test.profile.Arrivals(s(at), s(at)+time.Millisecond), 0.1, "after %v s", at)
			}
			begin, middle := s(3), s(12.25)
			sum := test.profile.Arrivals(0, begin) + test.profile.Arrivals(begin, middle) + test.profile.Arrivals(middle, test.length)
			require.InDelta(t, total, sum, 1e-6)
		})
	}
}

func TestPhaseTimeline(t *testing.T) {
	s := func(seconds int) time.Duration { return time.Duration(seconds) * time.Second }
	test := func(start, warmup, duration int) Test {
		return Test{Start: Duration(s(start)), Load: &Profile{Rate: 1, Warmup: Duration(s(warmup)), Duration: Duration(s(duration))}}
	}
	phase := Phase{Tests: []Test{test(0, 10, 60), test(0, 20, 30), test(5, 100, 1)}}
	require.Equal(t, s(106), phase.Length())
	require.Equal(t, s(20), phase.WarmupEnd(), "the late test does not count")
	require.Equal(t, s(9), Phase{Tests: []Test{test(7, 2, 1)}}.WarmupEnd(), "from the first test on")
}
