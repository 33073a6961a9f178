package store

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

// BenchmarkStateDay is a canary's day: 200 tenants in 4 cells and 3 classes try 5
// transactions, 1,000 attempts a minute, committed every half minute and
// pruned every ten minutes. The file is that after the day, heap and resident how much more
// memory there is at its end than after its first two hours.
func BenchmarkStateDay(b *testing.B) {
	for b.Loop() {
		path := filepath.Join(b.TempDir(), "state.db")
		s, err := OpenState(path, Keep{})
		require.NoError(b, err)
		r := rand.New(rand.NewPCG(1, 1))
		var heap, resident float64
		var longest time.Duration
		for step := range 24 * 120 {
			at := noon + int64(step)*int64(benchStep)
			begin := time.Now()
			require.NoError(b, s.Commit(benchAttempts(r, at, 500), nil))
			longest = max(longest, time.Since(begin))
			if step%20 == 0 {
				require.NoError(b, s.Prune(at))
			}
			if step == 2*120 {
				heap, resident = memoryNow()
			}
		}
		heapEnd, residentEnd := memoryNow()
		require.NoError(b, s.Close())
		b.ReportMetric(float64(size(b, path))/1e6, "MB/file")
		b.ReportMetric(heapEnd-heap, "MB/heap-growth")
		b.ReportMetric(residentEnd-resident, "MB/resident-growth")
		b.ReportMetric(residentEnd, "MB/resident")
		b.ReportMetric(float64(longest.Milliseconds()), "ms/longest-commit")
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/(24*60*1000), "us/attempt")
}

// benchStep is the time between two commits.
const benchStep = 30 * time.Second

// benchAttempts are those of one step, at random.
func benchAttempts(r *rand.Rand, at int64, n int) []measure.Attempt {
	var all []measure.Attempt
	for range n {
		tenant := r.IntN(200)
		a := measure.Attempt{
			Series: measure.Series{
				Metric: measure.MetricTransaction, Transaction: fmt.Sprintf("transaction-%d", r.IntN(5)), Tenant: fmt.Sprintf("tenant-%03d", tenant),
				Class: fmt.Sprintf("class-%d", tenant%3), Cell: fmt.Sprintf("cell-%d", tenant%4), Region: fmt.Sprintf("region-%d", tenant%2),
			},
			At: at + r.Int64N(int64(benchStep)), Took: 80 * math.Exp(0.5*r.NormFloat64()), Found: measure.Accepted | measure.Completed,
			Tries: 1, TraceID: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64()),
		}
		if r.IntN(200) == 0 {
			a.Found, a.Message = 0, fmt.Sprintf("POST /orders answered 503 in %v ms: upstream connect error or disconnect/reset before headers", a.Took)
		}
		all = append(all, a)
	}
	return all
}

// memoryNow gives the heap that is in use, and what the process has resident, in
// megabytes.
func memoryNow() (heap, resident float64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			pages, _ := strconv.ParseFloat(fields[1], 64)
			resident = pages * float64(os.Getpagesize()) / 1e6
		}
	}
	return float64(m.HeapAlloc) / 1e6, resident
}

// BenchmarkStateCommit is one commit: of a single attempt, of one with a
// document, which waits for the disk, and of a hundred.
func BenchmarkStateCommit(b *testing.B) {
	for name, c := range map[string]struct {
		attempts  int
		documents map[string][]byte
	}{
		"1":          {1, nil},
		"1+document": {1, map[string][]byte{"incident/a": make([]byte, 2000)}},
		"100":        {100, nil},
	} {
		b.Run(name, func(b *testing.B) {
			s := newState(b)
			r := rand.New(rand.NewPCG(1, 1))
			for i := 0; b.Loop(); i++ {
				require.NoError(b, s.Commit(benchAttempts(r, noon+int64(i)*1e9, c.attempts), c.documents))
			}
		})
	}
}
