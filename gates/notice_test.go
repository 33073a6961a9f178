package gates

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSummaryOfNotices wants the summary of each disruption to tell when it was
// noticed and how long recovery took, whether or not a gate asks.
func TestSummaryOfNotices(t *testing.T) {
	s := &sheet{}
	for _, line := range []string{
		"test t 0..120", "requests t /a 0..20 count=20", "requests t /a 20..34 count=20 failed=20", "requests t /a 34..120 count=20",
		"event listening alerts", "disruption d 20..30", "disruption quiet 70..80",
		"event alert HighErrors at=26 state=firing", "event ack d at=29 by=ann",
	} {
		require.NoError(t, s.load(line))
	}
	all := Judge(mustParse(t, "availability >= 99%"), s.record()).Disruptions
	require.Len(t, all, 2)
	d, quiet := all[0], all[1]
	require.Equal(t, 6000.0, *d.Detected)
	require.Equal(t, "HighErrors", d.Alert)
	require.Equal(t, 9000.0, *d.Acknowledged)
	require.Equal(t, "ann", d.By)
	require.Equal(t, 4000.0, *d.Recovered)
	require.False(t, d.Undetected)
	require.True(t, quiet.Undetected)
	require.Nil(t, quiet.Detected)
	require.Nil(t, quiet.Acknowledged)
	require.Zero(t, *quiet.Recovered, "it never degraded")
}

// TestNothingNoticedNothingSaid wants a run without anybody listening to say
// nothing about it.
func TestNothingNoticedNothingSaid(t *testing.T) {
	for _, d := range Judge(mustParse(t, several...), typical(t, "60").record()).Disruptions {
		require.Nil(t, d.Detected)
		require.Nil(t, d.Recovered)
		require.False(t, d.Undetected)
	}
}

func TestOfTimes(t *testing.T) {
	all := mustParse(t, "detection <= 1s during d", "acknowledgement <= 1s during d", "alert A within 1s during d", "recovery <= 1s after d", "availability >= 1% during d")
	for i, want := range []bool{true, true, true, false, false} {
		require.Equal(t, want, OfTimes(all[i]), all[i].Text)
	}
}
