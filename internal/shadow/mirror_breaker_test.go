package shadow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBreaker(t *testing.T) {
	var b mirrorBreaker
	now := time.Unix(1_800_000_000, 0)
	for range breakAfter {
		require.True(t, b.lets(now))
		b.saw(true)
	}
	require.True(t, b.lets(now), "one probe")
	require.False(t, b.lets(now))
	require.False(t, b.lets(now.Add(probeEvery-1)))
	require.True(t, b.lets(now.Add(probeEvery)))
	b.saw(true)
	require.False(t, b.lets(now.Add(probeEvery)))
	b.saw(false)
	require.True(t, b.lets(now))
	require.True(t, b.lets(now))
}

// TestMirrorSparesADeadCandidate: it is asked often enough to be found dead, and then
// left alone.
func TestMirrorSparesADeadCandidate(t *testing.T) {
	web := primary(t)
	m, _ := startMirror(t, MirrorOptions{Primary: web.URL, Candidate: "http://" + deadAddress(t), Copies: 1})
	for range breakAfter {
		rawAnswer(t, m.URL(), requestsOf()["/plain"])
	}
	require.Eventually(t, func() bool { return m.Counts().Failed == breakAfter }, patient, time.Millisecond)
	for range 50 {
		rawAnswer(t, m.URL(), requestsOf()["/plain"])
	}
	m.Close(closing(t))
	c := m.Counts()
	require.Equal(t, c.Seen, c.Compared+c.Shed)
	require.NotZero(t, c.Shed)
}
