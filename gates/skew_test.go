package gates

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/measure"
)

// skewedEventsMakeNoPass: whatever the clocks of a record's events say, and
// whichever of them are missing, come twice or carry nonsense, a record that is
// bad, or too little, passes no gate, and a verdict can be written.
func skewedEventsMakeNoPass(t *rapid.T) {
	clean := damageable(t, rapid.Bool().Draw(t, "bad"))
	text := rapid.SampledFrom(damagedGates).Draw(t, "gate")
	g, err := Parse(text)
	require.NoError(t, err)
	if Judge([]Gate{g}, clean.record()).Outcome == Pass {
		return // it passes before
	}
	s := &sheet{events: slices.Clone(clean.events), windows: clean.windows}
	for range rapid.IntRange(1, 4).Draw(t, "events") {
		i := rapid.IntRange(0, len(s.events)-1).Draw(t, "event")
		e := s.events[i]
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			e.At = rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, 0, -1, e.At - 7200*second, e.At + 7200*second}).Draw(t, "at")
		case 1:
			s.events = append(s.events, e)
		case 2:
			e.Attrs = map[string]string{"arm": e.Attrs["arm"], "warmup": "-3s", "settle": "NaN", "share": "Inf", "complete": "perhaps", "touched": "-1"}
		case 3:
			e.Attrs = map[string]string{"complete": "true", "warmup": "1000h", "settle": "1000h"}
		}
		s.events[i] = e
	}
	v := Judge([]Gate{g}, s.record())
	require.NotEqual(t, Pass, v.Outcome, "%s: %+v", text, s.events)
	_, err = json.Marshal(v)
	require.NoError(t, err)
}

func TestSkewedEventsMakeNoPass(t *testing.T) { rapid.Check(t, skewedEventsMakeNoPass) }

func FuzzSkewedEventsMakeNoPass(f *testing.F) { f.Fuzz(rapid.MakeFuzz(skewedEventsMakeNoPass)) }

// TestRatesWantOneClock: of a test that is told to have run for hours in which nothing of
// it was measured no rate passes, nor one that is compared with its; a pause is none.
func TestRatesWantOneClock(t *testing.T) {
	const silent = "of the time in which t ran, most was before and after all that was measured of it"
	for test, want := range map[string]Outcome{"0..60": Pass, "-30..60": Pass, "-7200..60": Inconclusive, "0..7260": Inconclusive, "-7200..7260": Inconclusive} {
		v := Judge(mustParse(t, "throughput <= 30/s"), sheetOf(t, "test t "+test, "requests t /a 0..60 count=20").record())
		require.Equal(t, want, v.Outcome, test)
		require.Equal(t, want != Pass, strings.Contains(v.Checks[0].Reason, silent), v.Checks[0].Reason)
		s := sheetOf(t, "test t 0..60", "requests t /a 0..60 count=20", "test t "+test+" arm=baseline", "requests t /a 0..60 count=20 arm=baseline")
		require.Equal(t, want, Judge(mustParse(t, "throughput >= baseline"), s.record()).Outcome, test)
	}
}

// TestClockOfOneArm: where the baseline's clock is off, it is no baseline, or what
// it shows is outside of its test; nothing passes by that, and nothing panics.
func TestClockOfOneArm(t *testing.T) {
	for _, off := range []int64{-3600, -30, -7, 7, 30, 3600} {
		s := sheetOf(t, "test t 0..60", "test t 0..60 arm=baseline", "requests t /a 0..60 count=50 latency=100", "requests t /a 0..60 count=50 latency=100 arm=baseline")
		for i := range s.windows {
			if s.windows[i].Series.Arm == measure.Baseline {
				s.windows[i].Start += off * second
			}
		}
		v := Judge(mustParse(t, "errors <= baseline + 1pp"), s.record())
		require.Equal(t, Inconclusive, v.Outcome, off)
		require.NotEmpty(t, append(v.Warnings, v.Checks[0].Warnings...), off)
	}
}
