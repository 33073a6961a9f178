package gates

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatIsNotKnownOfADisruption keeps what was never counted apart from nothing.
func TestWhatIsNotKnownOfADisruption(t *testing.T) {
	for options, want := range map[string]bool{"": false, " touched=0/0": false, " end=no": true, " touched=?": true} {
		s := &sheet{}
		for _, line := range []string{"test t 0..60", "requests t /a 0..60 count=50", "disruption d 20..30" + options} {
			require.NoError(t, s.load(line))
		}
		v := Judge(nil, s.record())
		require.Len(t, v.Disruptions, 1)
		require.Equal(t, want, v.Disruptions[0].Unknown, options)
	}
}
