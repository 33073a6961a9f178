package plan

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestExtended: the same traffic for as long as is asked for, and no iteration
// has a number that one had before.
func TestExtended(t *testing.T) {
	open := &Profile{Rate: 2.5, Warmup: Duration(5 * time.Second), Duration: Duration(30 * time.Second)}
	closed := &Profile{VUs: 3, Duration: Duration(30 * time.Second)}
	streams := []Stream{
		{Test: Test{Name: "a", Start: Duration(time.Second), Load: open}},
		{Test: Test{Name: "b", Soak: closed}, First: 7},
		{Test: Test{Name: "c", Canary: &CanaryTest{Duration: Duration(30 * time.Second), Shape: Profile{VUs: 2}}}},
	}
	again := Extended(streams, 20*time.Second)
	require.Equal(t, Stream{Test: Test{Name: "a", Load: &Profile{Rate: 2.5, Warmup: open.Warmup, Duration: Duration(20 * time.Second)}}, First: 88}, again[0])
	require.Equal(t, Stream{Test: Test{Name: "b", Soak: &Profile{VUs: 3, Duration: Duration(20 * time.Second)}}, First: 7 + 1<<32}, again[1])
	require.Equal(t, Test{Name: "c", Canary: &CanaryTest{Duration: Duration(20 * time.Second), Shape: Profile{VUs: 2}}}, again[2].Test)
	require.Equal(t, Duration(30*time.Second), streams[2].Test.Canary.Duration)
	require.Equal(t, Duration(30*time.Second), open.Duration, "the first part stays as it is")
	require.Equal(t, Duration(time.Second), streams[0].Test.Start)
}
