package report

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHuman(t *testing.T) {
	require.Equal(t, []string{"0", "999", "1,000", "1,240,000", "18,446,744,073,709,551,615"},
		[]string{grouped(0), grouped(999), grouped(1000), grouped(1_240_000), grouped(math.MaxUint64)})
	for want, share := range map[string]float64{
		"0 %": 0, "100 %": 1, "99.98 %": 0.9998, "99.9998 %": 0.999998, "0.03 %": 0.00031, "0.0001 %": 0.000001,
		"50 %": 0.5, "< 0.00001 %": 1e-12, "> 99.99999 %": 1 - 1e-12,
	} {
		require.Equal(t, want, percent(share))
	}
	for want, ms := range map[string]float64{
		"0 ms": 0, "0.4 ms": 0.4, "3.1 ms": 3.14, "10 ms": 9.96, "212 ms": 212.4, "1 s": 999.9, "1.2 s": 1240, "30 s": 30_000, "2m05s": 125_000, "-": math.NaN(),
	} {
		require.Equal(t, want, millis(ms))
	}
	for want, d := range map[string]time.Duration{
		"0 s": -1, "850 ms": 850 * time.Millisecond, "1.5 s": 1500 * time.Millisecond, "15 s": 15 * time.Second,
		"1m00s": 59_600 * time.Millisecond, "1m05s": 65 * time.Second, "2h03m": 2*time.Hour + 3*time.Minute,
	} {
		require.Equal(t, want, span(d))
	}
	require.Equal(t, []string{"01:05", "2:03:15", "00:00"}, []string{clock(65 * time.Second), clock(2*time.Hour + 195*time.Second), clock(-1)})
	require.Equal(t, []string{"0.4/s", "50/s", "1,240/s", "-"}, []string{perSecond(0.4), perSecond(50.2), perSecond(1240), perSecond(math.Inf(1))})
}

func FuzzPrintable(f *testing.F) {
	f.Add(hostile)
	f.Fuzz(func(t *testing.T, s string) {
		for _, text := range []string{printable(s), markdownText(s)} {
			require.NotRegexp(t, "[\x00-\x1f\x7f\u202a-\u202e]", text)
			require.NotContains(t, text, "##[")
		}
		require.NotRegexp(t, "[|`*<>]", markdownEscapes.Replace("|`*")+markdownEscapes.Replace("<>"))
		require.LessOrEqual(t, len([]rune(printable(s))), 4*maxText+maxText/3+1)
	})
}
