package traffic

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLagIsBlamedOnTheGeneratorOnlyWithFreeWorkers(t *testing.T) {
	late := func(delayed bool, n int) string {
		var w lagWatch
		for i := range 100 {
			lag := time.Millisecond
			if i < n {
				lag = 80 * time.Millisecond
			}
			require.Empty(t, w.see(time.Duration(i)*50*time.Millisecond, lag, delayed))
		}
		return w.see(lagSpan, 0, false)
	}
	require.Empty(t, late(true, 50), "all workers waited on the target")
	require.Empty(t, late(false, 2), "too few to say anything")
	require.Equal(t, "3 of 100 arrivals in 10s started more than 50ms late although connections were free; the worst was 80ms late", late(false, 3))
}

func TestBusyProcessor(t *testing.T) {
	at := time.Unix(0, 0)
	see := func(busy, steal float64) (evidence []string) {
		w := cpuWatch{last: cpuTimes{at: at}}
		for i := 1; i <= 12; i++ {
			got := w.see(cpuTimes{
				at:    at.Add(time.Duration(i) * time.Second),
				own:   time.Duration(busy * float64(i) * float64(runtime.GOMAXPROCS(0)) * float64(time.Second)),
				total: 200 * float64(i), steal: 200 * steal * float64(i),
			})
			if got != "" {
				evidence = append(evidence, got)
			}
		}
		return evidence
	}
	require.Empty(t, see(0.85, 0.05))
	require.Len(t, see(0.95, 0), 2, "once for each five seconds")
	require.Contains(t, see(0.95, 0)[0], "this process used 95 %")
	require.Contains(t, see(0, 0.3)[0], "kept 30 % of its time for others")
}

func TestMachineTicks(t *testing.T) {
	total, steal := machineTicks("cpu  10 20 30 40 50 60 70 80 5 5\n")
	require.Equal(t, []float64{360, 80}, []float64{total, steal})
	total, steal = machineTicks("intr 1 2 3")
	require.Zero(t, total+steal)
}
