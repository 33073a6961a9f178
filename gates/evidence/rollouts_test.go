package evidence

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// cell is one simulated situation.
type cell struct {
	name    string
	minutes int
	traffic func(rng *rand.Rand) traffic
	healthy bool // no alarm is right
	quick   bool // also simulated by go test
	limit   bool // just as bad as allowed, or worse: not to be promoted
	// What ours must show at a nominal 5 %: 0 asks for nothing.
	power, median float64 // while the phase runs; share and minutes
	bake          float64 // power at the end of the bake
}

func shares(rate [2]int, candidate, baseline, burst float64) func(*rand.Rand) traffic {
	return func(rng *rand.Rand) traffic {
		f := newFailing(rng, rate, [2]float64{candidate, baseline})
		f.burst = burst
		return f
	}
}

func latencies(l slowing) func(*rand.Rand) traffic {
	return func(rng *rand.Rand) traffic {
		arm := l
		arm.rng, arm.factor = rng, max(1, l.factor)
		if arm.rate == [2]int{} {
			arm.rate = [2]int{2, 2}
		}
		return &arm
	}
}

var cells = []cell{
	{name: "errors 0.1 %, 20/s", minutes: 60, traffic: shares([2]int{20, 20}, 0.001, 0.001, 0), healthy: true, quick: true},
	{name: "errors 0.01 %, 20/s", minutes: 60, traffic: shares([2]int{20, 20}, 0.0001, 0.0001, 0), healthy: true},
	{name: "errors 1 %, 20/s", minutes: 60, traffic: shares([2]int{20, 20}, 0.01, 0.01, 0), healthy: true},
	{name: "no errors", minutes: 60, traffic: shares([2]int{20, 20}, 0, 0, 0), healthy: true},
	{name: "errors 0.1 %, 4/s against 36/s", minutes: 60, traffic: shares([2]int{4, 36}, 0.001, 0.001, 0), healthy: true, quick: true},
	{name: "errors 0.1 %, 36/s against 4/s", minutes: 60, traffic: shares([2]int{36, 4}, 0.001, 0.001, 0), healthy: true},
	{name: "errors 0.1 %, bursts of 20 %", minutes: 60, traffic: shares([2]int{20, 20}, 0.001, 0.001, 0.2), healthy: true, quick: true},
	{name: "errors 0.1 %, bursts of 20 %, 4/s against 36/s", minutes: 60, traffic: shares([2]int{4, 36}, 0.001, 0.001, 0.2), healthy: true},
	{name: "latency log-normal", minutes: 30, traffic: latencies(slowing{}), healthy: true, quick: true},
	{name: "latency log-normal, 1/s against 9/s", minutes: 30, traffic: latencies(slowing{rate: [2]int{1, 9}}), healthy: true},
	{name: "latency log-normal, 9/s against 1/s", minutes: 30, traffic: latencies(slowing{rate: [2]int{9, 1}}), healthy: true},
	{name: "latency bimodal", minutes: 30, traffic: latencies(slowing{shape: bimodal}), healthy: true},
	{name: "latency heavy tail", minutes: 30, traffic: latencies(slowing{shape: heavy}), healthy: true},
	{name: "latency AR(1) 0.5", minutes: 30, traffic: latencies(slowing{rho: 0.5}), healthy: true},
	{name: "latency AR(1) 0.9", minutes: 30, traffic: latencies(slowing{rho: 0.9}), healthy: true, quick: true},
	{name: "latency AR(1) 0.9, 20/s", minutes: 30, traffic: latencies(slowing{rate: [2]int{20, 20}, rho: 0.9}), healthy: true},
	{name: "latency, slow waves of both", minutes: 30, traffic: latencies(slowing{wave: true}), healthy: true},
	{name: "latency, bursts 3 times slower", minutes: 30, traffic: latencies(slowing{burst: 3}), healthy: true},

	{name: "errors 0.1 % to 0.15 %, 20/s", minutes: 60, traffic: shares([2]int{20, 20}, 0.0015, 0.001, 0)},
	{name: "errors 0.1 % to 0.2 %, 20/s", minutes: 60, traffic: shares([2]int{20, 20}, 0.002, 0.001, 0), limit: true, power: 0.95, median: 18, quick: true},
	{name: "errors 0.1 % to 0.3 %, 20/s", minutes: 60, traffic: shares([2]int{20, 20}, 0.003, 0.001, 0)},
	{name: "errors 0.01 % to 0.1 %, 20/s", minutes: 60, traffic: shares([2]int{20, 20}, 0.001, 0.0001, 0), median: 9, quick: true},
	{name: "errors none to 0.1 %, 20/s", minutes: 60, traffic: shares([2]int{20, 20}, 0.001, 0, 0), power: 0.95, quick: true},
	{name: "errors 0.1 % to 0.2 %, 4/s against 36/s", minutes: 60, traffic: shares([2]int{4, 36}, 0.002, 0.001, 0), limit: true},
	{name: "errors 0.1 % to all, 20/s", minutes: 60, traffic: shares([2]int{20, 20}, 1, 0.001, 0), power: 1},
	{name: "latency + 5 %", minutes: 30, traffic: latencies(slowing{factor: 1.05}), bake: 0.95, quick: true},
	{name: "latency + 10 %", minutes: 30, traffic: latencies(slowing{factor: 1.1}), limit: true},
	{name: "latency + 10 %, AR(1) 0.9", minutes: 30, traffic: latencies(slowing{factor: 1.1, rho: 0.9}), limit: true},
	{name: "latency + 20 %", minutes: 30, traffic: latencies(slowing{factor: 1.2}), median: 5, quick: true},
	{name: "latency + 20 %, AR(1) 0.9", minutes: 30, traffic: latencies(slowing{factor: 1.2, rho: 0.9})},
	{name: "latency + 20 %, slow waves of both", minutes: 30, traffic: latencies(slowing{factor: 1.2, wave: true})},
	{name: "latency, 2 % five times slower", minutes: 30, traffic: latencies(slowing{tail: 0.02}), median: 12, quick: true},
}

var contenders = []struct {
	name string
	make func(minutes int) judge
}{
	{"ours, watching", func(int) judge { return newWatchJudge() }},
	{"ours, end of bake", func(minutes int) judge { return newBakeJudge(60 * minutes) }},
	{"fixed threshold", func(int) judge { return &fixedJudge{} }},
	{"binomial each minute", func(int) judge { return &binomialJudge{} }},
	{"Mann-Whitney each minute", func(int) judge { return &rankJudge{} }},
	{"Kayenta each 10 minutes", func(int) judge { return &kayentaJudge{} }},
}

// result is what one contender showed in a cell, at one level.
type result struct {
	seconds  []float64 // until the alarm, sorted; infinite without one
	allowing int       // bakes that were non-inferior at a look
}

func (r *result) alarms() uint64 {
	i, _ := slices.BinarySearch(r.seconds, math.Inf(1))
	return uint64(i)
}

func (r *result) share() float64  { return float64(r.alarms()) / float64(len(r.seconds)) }
func (r *result) median() float64 { return r.seconds[len(r.seconds)/2] / 60 }
func (r *result) upper() float64 {
	return ShareHigh(r.alarms(), uint64(len(r.seconds)), 0.95)
}

// simulate runs a cell, with the first so many contenders, and gives results by
// contender and level. The same seed gives the same results on any machine.
func simulate(c cell, rollouts, judges int) [][len(levels)]result {
	results := make([][len(levels)]result, judges)
	for i := range results {
		for l := range levels {
			results[i][l].seconds = make([]float64, rollouts)
		}
	}
	var mutex sync.Mutex
	var workers sync.WaitGroup
	count := runtime.GOMAXPROCS(0)
	for worker := range count {
		workers.Go(func() {
			for r := worker; r < rollouts; r += count {
				rollout(c, uint64(r), func(i, level int, seconds float64, allowing bool) {
					result := &results[i][level]
					result.seconds[r] = seconds
					if allowing {
						mutex.Lock()
						result.allowing++
						mutex.Unlock()
					}
				}, judges)
			}
		})
	}
	workers.Wait()
	for i := range results {
		for l := range levels {
			slices.Sort(results[i][l].seconds)
		}
	}
	return results
}

func rollout(c cell, seed uint64, report func(i, level int, seconds float64, allowing bool), judges int) {
	system := c.traffic(rand.New(rand.NewPCG(seed, 20)))
	running := make([]judge, judges)
	first := make([][len(levels)]float64, judges)
	for i := range running {
		running[i] = contenders[i].make(c.minutes)
		first[i] = [len(levels)]float64{math.Inf(1), math.Inf(1)}
	}
	var s second
	episode := [2]*measure.Sketch{newSketch(), newSketch()}
	for t := 1; t <= 60*c.minutes; t++ {
		system.next(&s)
		s.addTo(episode)
		var sums [2]*measure.Sketch
		if t%Episode == 0 {
			sums, episode = episode, [2]*measure.Sketch{newSketch(), newSketch()}
		}
		for i, j := range running {
			for l, alarm := range j.see(t, &s, sums) {
				if alarm {
					first[i][l] = min(first[i][l], float64(t))
				}
			}
		}
	}
	for i, j := range running {
		for l := range levels {
			bake, ok := j.(*bakeJudge)
			report(i, l, first[i][l], ok && bake.promoted[l])
		}
	}
}

// TestRollouts simulates rollouts: the table of false alarms, power and time to
// detect. It asserts what ours promise. Without ROLLOUTS in the environment, a
// part of it is run, with few rollouts and without the rivals.
func TestRollouts(t *testing.T) {
	rollouts, judges, all := 60, 2, false
	if n := os.Getenv("ROLLOUTS"); n != "" {
		var err error
		rollouts, err = strconv.Atoi(n)
		require.NoError(t, err)
		require.GreaterOrEqual(t, rollouts, 50, "ROLLOUTS: fewer tell nothing")
		judges, all = len(contenders), true
	}
	for _, c := range cells {
		if !c.quick && !all {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			results := simulate(c, rollouts, judges)
			t.Log(describe(c, results))
			promise(t, c, results, rollouts < 1000)
		})
	}
}

func describe(c cell, results [][len(levels)]result) string {
	w := &strings.Builder{}
	fmt.Fprintf(w, "%s, %d minutes, %d rollouts\n", c.name, c.minutes, len(results[0][0].seconds))
	for i, r := range results {
		fmt.Fprintf(w, "  %-26s", contenders[i].name)
		for l := range levels {
			fmt.Fprintf(w, "  at %g %%: %5.1f %% (at most %5.1f %%)", 100*levels[l], 100*r[l].share(), 100*r[l].upper())
			if m := r[l].median(); !c.healthy && !math.IsInf(m, 1) {
				fmt.Fprintf(w, " in %4.1f min", m)
			} else if !c.healthy {
				fmt.Fprint(w, "            ")
			}
		}
		if i == 1 {
			fmt.Fprintf(w, "  non-inferior %.1f %%", 100*float64(r[0].allowing)/float64(len(r[0].seconds)))
		}
		fmt.Fprintln(w)
	}
	return w.String()
}

// promise asserts what ours must show in a cell. With few rollouts, only what is
// clearly missed fails: a rate that is over the promised one beyond chance, or a
// time that is a fifth longer.
func promise(t *testing.T, c cell, results [][len(levels)]result, few bool) {
	watch, bake := &results[0], &results[1]
	for l, level := range levels {
		if c.healthy {
			watch[l].errsAtMost(t, level, few, "false alarms while watching")
			bake[l].errsAtMost(t, level, few, "false alarms at the end of the bake")
		}
		if c.limit {
			bake[l].promotesAtMost(t, level, few)
		}
	}
	if c.power > 0 {
		watch[0].findsAtLeast(t, c.power, few, "found while watching")
	}
	if c.bake > 0 {
		bake[0].findsAtLeast(t, c.bake, few, "found at the end of the bake")
	}
	if most := c.median; most > 0 {
		if few {
			most *= 1.2
		}
		require.LessOrEqual(t, watch[0].median(), most, "minutes to detect")
	}
}

func (r *result) errsAtMost(t *testing.T, level float64, few bool, what string) {
	t.Helper()
	if few {
		require.False(t, Excludes(r.alarms(), uint64(len(r.seconds)), level, 0.999), "%s: %v at %v", what, r.share(), level)
		return
	}
	require.LessOrEqual(t, r.share(), level, what)
}

// promotesAtMost: what is as bad as allowed is not called non-inferior.
func (r *result) promotesAtMost(t *testing.T, level float64, few bool) {
	t.Helper()
	if n := len(r.seconds); few {
		require.False(t, Excludes(uint64(r.allowing), uint64(n), level, 0.999), "promoted: %d of %d at %v", r.allowing, n, level)
	} else {
		require.LessOrEqual(t, float64(r.allowing)/float64(n), level, "promoted")
	}
}

func (r *result) findsAtLeast(t *testing.T, power float64, few bool, what string) {
	t.Helper()
	if few {
		missed := uint64(len(r.seconds)) - r.alarms()
		require.False(t, Excludes(missed, uint64(len(r.seconds)), 1-power, 0.999), "%s: %v of %v", what, r.share(), power)
		return
	}
	require.GreaterOrEqual(t, r.share(), power, what)
}
