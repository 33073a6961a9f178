package traffic

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
	"resilience/internal/plan"
)

const getting = `
import http from 'k6/http';
export const options = { scenarios: { s: {
  executor: 'shared-iterations', vus: 10, iterations: +__ENV.REQUESTS, maxDuration: '1h',
} } };
export default function () { http.get(__ENV.TARGET_URL); }
`

// cost is what one k6 process used.
type cost struct {
	cpu      time.Duration
	wall     time.Duration
	memory   int64 // bytes, the most it ever had
	requests int
}

func (c cost) perRequest() float64 { return float64(c.cpu.Microseconds()) / float64(c.requests) }

// outputs are the ways to run k6 that are compared; each gets a folder for its
// files.
var outputs = []struct {
	name string
	run  func(b *testing.B, s plan.Stream, requests int) *exec.Cmd
}{
	{"none", bareK6()},
	{"resilience", ourK6},
	{"json", bareK6("json=out.json")},
	{"csv", bareK6("csv=out.csv")},
}

func bareK6(out ...string) func(*testing.B, plan.Stream, int) *exec.Cmd {
	return func(b *testing.B, s plan.Stream, _ int) *exec.Cmd {
		args := []string{"run", "--quiet", "--no-usage-report", "--summary-mode=disabled", "--no-thresholds"}
		for _, o := range out {
			args = append(args, "--out", o)
		}
		cmd := exec.Command(os.Args[0], append(args, s.Test.Load.Script)...)
		cmd.Dir, cmd.Env = s.Dir, k6Environment(s)
		text, err := cmd.CombinedOutput()
		require.NoError(b, err, string(text))
		return cmd
	}
}

func ourK6(b *testing.B, s plan.Stream, requests int) *exec.Cmd {
	c, err := newK6(b, s).start(runner{1, 1})
	require.NoError(b, err)
	out := &sink{}
	talk := &conversation{conn: c.conn, settings: plan.Settings{Source: "k6", Stream: s}, emit: out.emit}
	require.NoError(b, c.finish(b.Context(), talk, s))
	require.EqualValues(b, requests, out.sum(measure.MetricRequest, nil).Count)
	return c.cmd
}

// BenchmarkK6Output compares k6 with our output to k6 without any and with its
// own: processor time for each request, requests per second, and memory after
// 100,000 and 1,000,000 requests. It takes minutes.
func BenchmarkK6Output(b *testing.B) {
	server := serve(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	for b.Loop() {
		compareCPU(b, server.URL)
		compareMemory(b, server.URL)
	}
}

func spend(b *testing.B, target, script string, requests, mode int) cost {
	s := scriptTo(b, target, script, plan.Profile{Grace: seconds(30)})
	s.Env = map[string]string{"REQUESTS": fmt.Sprint(requests)}
	start := time.Now()
	cmd := outputs[mode].run(b, s, requests)
	state := cmd.ProcessState
	usage := state.SysUsage().(*syscall.Rusage)
	c := cost{cpu: state.UserTime() + state.SystemTime(), wall: time.Since(start), memory: usage.Maxrss << 10, requests: requests}
	files, _ := filepath.Glob(filepath.Join(s.Dir, "out.*"))
	for _, f := range files { // gigabytes
		require.NoError(b, os.Remove(f))
	}
	return c
}

// compareCPU runs all outputs in turns, so that what else the machine does
// hits them alike, and takes the median.
func compareCPU(b *testing.B, target string) {
	const rounds, requests = 7, 30_000
	costs := make([][]cost, len(outputs))
	for range rounds {
		for mode := range outputs {
			costs[mode] = append(costs[mode], spend(b, target, getting, requests, mode))
		}
	}
	fmt.Printf("\n%-12s %14s %8s %12s\n", "output", "CPU us/request", "ratio", "requests/s")
	for mode, o := range outputs {
		fmt.Printf("%-12s %14.1f %8.3f %12.0f\n", o.name, median(costs[mode], cost.perRequest),
			ratio(costs[mode], costs[0]), median(costs[mode], func(c cost) float64 { return float64(c.requests) / c.wall.Seconds() }))
	}
	b.ReportMetric(ratio(costs[1], costs[0]), "cpu-ratio")
}

// ratio is the median of the ratios of runs that were made one after the other.
func ratio(of, to []cost) float64 {
	ratios := make([]float64, len(of))
	for i := range of {
		ratios[i] = of[i].perRequest() / to[i].perRequest()
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

func median(costs []cost, of func(cost) float64) float64 {
	values := make([]float64, len(costs))
	for i, c := range costs {
		values[i] = of(c)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func compareMemory(b *testing.B, target string) {
	fmt.Printf("\n%-12s %14s %14s %10s\n", "output", "MiB at 100,000", "at 1,000,000", "growth")
	for mode, o := range outputs[:2] {
		few := spend(b, target, getting, 100_000, mode).memory
		many := spend(b, target, getting, 1_000_000, mode).memory
		fmt.Printf("%-12s %14.1f %14.1f %10.1f\n", o.name, mib(few), mib(many), mib(many-few))
		if mode == 1 {
			b.ReportMetric(mib(many-few), "MiB-growth")
		}
	}
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
