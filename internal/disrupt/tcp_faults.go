package disrupt

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/Shopify/toxiproxy/v2/toxics"

	"resilience/internal/plan"
)

// tcpFaults is every fault on connections. What is done to data is done by
// Toxiproxy's toxics, but for those in tcp_toxics.go.
var tcpFaults = map[string]func(plan.Disruption) (tcpHarm, error){
	"bandwidth":  tcpBandwidth,
	"corrupt":    tcpCorrupt,
	"latency":    tcpLatency,
	"refuse":     func(plan.Disruption) (tcpHarm, error) { return tcpHarm{refuse: true}, nil },
	"reset":      func(d plan.Disruption) (tcpHarm, error) { return tcpHarm{reset: true, after: d.Reset.After}, nil },
	"slice":      tcpSlice,
	"slow_close": tcpSlowClose,
	"timeout":    tcpTimeout,
	"truncate":   tcpTruncate,
}

// tcpHarm is what a fault does to each connection that it touches.
type tcpHarm struct {
	toxic  func(random *rand.Rand) toxics.Toxic // for what comes from the dependency; nil for none
	up     bool                                 // for what goes there, too
	reset  bool                                 // the connection is reset,
	after  plan.Duration                        // so long after it was opened
	refuse bool                                 // there is none
}

func readTCPHarm(d plan.Disruption) (tcpHarm, error) {
	kind, err := onlyFault(d)
	if err != nil {
		return tcpHarm{}, err
	}
	read, ok := tcpFaults[kind]
	if !ok {
		return tcpHarm{}, fmt.Errorf("%s can not be done to tcp: use one of %s", kind, strings.Join(slices.Sorted(maps.Keys(tcpFaults)), ", "))
	}
	h, err := read(d)
	if err != nil {
		return tcpHarm{}, fmt.Errorf("%s: %w", kind, err)
	}
	if h.refuse && (d.First > 0 || d.Share > 0 && d.Share < 1) {
		return tcpHarm{}, fmt.Errorf("refuse closes the port for everybody: leave out share and first")
	}
	return h, nil
}

// onlyFault names the one fault of a disruption.
func onlyFault(d plan.Disruption) (string, error) {
	switch kinds := d.Faults(); len(kinds) {
	case 1:
		return kinds[0], nil
	case 0:
		return "", fmt.Errorf("no fault given")
	default:
		return "", fmt.Errorf("more than one fault given (%s): make a disruption of each", strings.Join(kinds, ", "))
	}
}

// only gives every connection the same toxic; it has no state of its own.
func only(t toxics.Toxic) func(*rand.Rand) toxics.Toxic {
	return func(*rand.Rand) toxics.Toxic { return t }
}

// tcpLatency delays what comes from the dependency, so that an exchange of
// question and answer takes longer by the delay once.
func tcpLatency(d plan.Disruption) (tcpHarm, error) {
	effect, err := readLatency(d)
	if err != nil {
		return tcpHarm{}, err
	}
	l := d.Latency
	if l.Jitter == 0 && time.Duration(l.Delay)%time.Millisecond == 0 { // Toxiproxy draws jitter from no seed
		return tcpHarm{toxic: only(&toxics.LatencyToxic{Latency: wholeMillis(l.Delay)})}, nil
	}
	return tcpHarm{toxic: func(random *rand.Rand) toxics.Toxic { return drawn{effect.(latency), random} }}, nil
}

func tcpTimeout(d plan.Disruption) (tcpHarm, error) {
	return tcpHarm{toxic: only(held{time.Duration(d.Timeout.After)}), up: true}, nil
}

func tcpBandwidth(d plan.Disruption) (tcpHarm, error) {
	if d.Bandwidth.PerSecond == 0 {
		return tcpHarm{}, fmt.Errorf("per_second must be more than 0B")
	}
	return tcpHarm{toxic: only(tcpPace{float64(d.Bandwidth.PerSecond)}), up: true}, nil
}

func tcpSlowClose(d plan.Disruption) (tcpHarm, error) {
	if d.SlowClose.Delay <= 0 || d.SlowClose.Delay > plan.MaxDelay {
		return tcpHarm{}, fmt.Errorf("delay %s is not above 0 and up to %s", d.SlowClose.Delay, plan.MaxDelay)
	}
	return tcpHarm{toxic: only(&toxics.SlowCloseToxic{Delay: wholeMillis(d.SlowClose.Delay)})}, nil
}

func tcpTruncate(d plan.Disruption) (tcpHarm, error) {
	return tcpHarm{toxic: only(&toxics.LimitDataToxic{Bytes: int64(d.Truncate.After)})}, nil //nolint:gosec // up to 1 PiB
}

func tcpCorrupt(d plan.Disruption) (tcpHarm, error) {
	share := float64(d.Corrupt.Bytes)
	if share == 0 {
		share = defaultCorrupt
	}
	if !(share > 0 && share <= 1) { // NaN too
		return tcpHarm{}, fmt.Errorf("bytes %v is not above 0 %% and up to 100 %%", share)
	}
	return tcpHarm{toxic: func(random *rand.Rand) toxics.Toxic { return tcpCorrupted{share, random} }}, nil
}

func tcpSlice(d plan.Disruption) (tcpHarm, error) {
	if d.Slice.Size == 0 {
		return tcpHarm{}, fmt.Errorf("size must be more than 0B")
	}
	const most = 1 << 30
	return tcpHarm{up: true, toxic: only(&toxics.SlicerToxic{
		AverageSize: int(min(d.Slice.Size, most)), Delay: int(time.Duration(d.Slice.Delay) / time.Microsecond), //nolint:gosec // bounded
	})}, nil
}

// wholeMillis rounds up: a short time is not none.
func wholeMillis(d plan.Duration) int64 {
	return int64((time.Duration(d) + time.Millisecond - 1) / time.Millisecond)
}

// defaultCorrupt is the share of bytes that are changed unless said otherwise.
const defaultCorrupt = 0.01
