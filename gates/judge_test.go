package gates

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"resilience/internal/measure"
)

func mustParse(t testing.TB, texts ...string) (all []Gate) {
	for _, text := range texts {
		g, err := Parse(text)
		require.NoError(t, err)
		all = append(all, g)
	}
	return all
}

// typical is a record with a bit of everything.
func typical(t testing.TB, seconds string) *sheet {
	s := &sheet{}
	for _, line := range []string{
		"test t 0.." + seconds, "disruption d 20..30", "transactions t checkout 0.." + seconds + " count=20 failed=1 latency=lognormal(100,0.5)",
		"requests t /cart 0.." + seconds + " count=20 latency=lognormal(50,0.5)", "outcomes t 0.." + seconds + " count=20 transaction=checkout",
	} {
		require.NoError(t, s.load(line))
	}
	return s
}

var several = []string{
	"availability >= 90%", "latency p95 <= 300ms", "latency mean <= 1s", "throughput >= 5/s", "reliability >= 90%",
	"errors <= 5%", "recovery <= 20s after d", "availability >= 90% for each cell", "latency p99 <= 400ms during each",
}

func TestSameRecordSameVerdict(t *testing.T) {
	var first []byte
	for range 5 {
		data, err := json.Marshal(Judge(mustParse(t, several...), typical(t, "60").record()))
		require.NoError(t, err)
		if first == nil {
			first = data
		}
		require.Equal(t, string(first), string(data))
	}
}

// TestBrokenWindows: numbers that can not be never pass and never panic.
func TestBrokenWindows(t *testing.T) {
	for name, spoil := range map[string]func(*measure.Window){
		"NaN":      func(w *measure.Window) { w.Sum = math.NaN() },
		"infinite": func(w *measure.Window) { w.Max = math.Inf(1) },
		"negative": func(w *measure.Window) { w.Count, w.Failed = math.MaxUint64, 0 },
		"dropped":  func(w *measure.Window) { w.Dropped = w.Count + 1 },
		"width":    func(w *measure.Window) { w.Width = 0 },
		"time":     func(w *measure.Window) { w.Start = math.MinInt64 },
		"skewed":   func(w *measure.Window) { w.Start += 3600 * second },
		"missing":  func(w *measure.Window) { w.Count = 1 },
	} {
		s := typical(t, "60")
		spoil(&s.windows[3])
		v := Judge(mustParse(t, "availability >= 90%", "latency p95 <= 300ms"), s.record())
		require.NotEqual(t, Pass, v.Outcome, name)
		require.NotEmpty(t, v.Warnings, name)
		_, err := json.Marshal(v)
		require.NoError(t, err, name)
	}
}

func TestEmptyRecord(t *testing.T) {
	for _, r := range []Record{{}, {Phase: "p"}, (&sheet{}).record()} {
		v := Judge(mustParse(t, several...), r)
		require.Equal(t, Inconclusive, v.Outcome)
		for _, c := range v.Checks {
			require.Equal(t, Inconclusive, c.Outcome, c.Text)
			require.NotEmpty(t, c.Reason)
		}
	}
}

func TestGateThatIsOnlyText(t *testing.T) {
	v := Judge([]Gate{{Text: "availability >= 90%"}, {Text: "nonsense"}}, typical(t, "60").record())
	require.Equal(t, Pass, v.Checks[0].Outcome)
	require.Contains(t, v.Checks[1].Reason, "not understood")
	require.Equal(t, Inconclusive, v.Outcome)
}

func TestTraffic(t *testing.T) {
	v := Judge(nil, typical(t, "60").record())
	require.Len(t, v.Traffic, 1)
	got := v.Traffic[0]
	require.Equal(t, uint64(1200), got.Attempts)
	require.Equal(t, uint64(60), got.Failed)
	require.Equal(t, 60.0, got.Seconds)
	require.True(t, got.Complete)
	require.InEpsilon(t, 100, got.P50, 0.1)
}

func TestExitCodes(t *testing.T) {
	require.Equal(t, ExitPass, Verdict{Outcome: Pass}.ExitCode())
	require.Equal(t, ExitSystem, Verdict{Outcome: Fail, Cause: System}.ExitCode())
	require.Equal(t, ExitEvidence, Verdict{}.ExitCode())
	require.Equal(t, ExitDisruption, Verdict{Cause: Disruption}.ExitCode())
	require.Equal(t, ExitGenerator, Verdict{Cause: Generator}.ExitCode())
	order := []int{6, 2, 1, 130, 99, 5, 4, 3, 0}
	for i, code := range order {
		require.Equal(t, code, Worst(order[i:]...))
	}
	require.Equal(t, 1, Worst(0, 77))
	require.Equal(t, 0, Worst())
}

func TestNeedAndCanShow(t *testing.T) {
	g := mustParse(t, "availability >= 99.9%", "latency p99 <= baseline + 10%", "throughput >= 5/s", "errors == 0",
		"errors <= 60%", "availability >= 40%", "latency p95 >= 1ms", "latency max <= 1s")
	n, ok := Need(g[0])
	require.True(t, ok)
	require.Equal(t, uint64(2995), n)
	require.Equal(t, "1,240 samples cannot confirm 99.9 %; 2,995 can", CanShow(g[0], 1240, 1))
	require.Equal(t, "3,000 samples can confirm 99.9 %; 7 against it would fail it", CanShow(g[0], 3000, 1))
	n, _ = Need(g[1])
	require.Equal(t, uint64(299), n)
	_, ok = Need(g[2])
	require.False(t, ok)
	require.Equal(t, "3,000 samples can confirm 99.9 %; 9 against it would fail it", CanShow(g[0], 3000, 10))
	n, ok = Need(g[3])
	require.True(t, ok)
	require.Equal(t, uint64(299), n)
	require.Equal(t, "40 samples cannot confirm == 0; 299 can", CanShow(g[3], 40, 1))
	require.Contains(t, CanShow(g[3], 400, 1), "at most 0.75 % fail")
	require.Contains(t, CanShow(g[4], 100, 1), "; 69 against it", "60 % may fail")
	require.Contains(t, CanShow(g[5], 100, 1), "; 69 against it")
	require.Contains(t, CanShow(g[6], 100, 1), "; 99 against it", "95 % may be faster")
	n, ok = Need(g[7])
	require.True(t, ok)
	require.Equal(t, uint64(299), n)
}

func TestChangeKeepsAnIntervalInOrder(t *testing.T) {
	b := bound{low: 80, value: 100, high: 120}
	b.change(Value{Change: "-", Number: 1.5, Unit: "%"})
	require.InDeltaSlice(t, []float64{-60, -50, -40}, []float64{b.low, b.value, b.high}, 1e-9)
}

func TestCheckTellsSeverityAndNote(t *testing.T) {
	g, err := ParseWith("availability >= 99.99%", Options{Severity: Warning, Note: "for now"})
	require.NoError(t, err)
	data, err := json.Marshal(Judge([]Gate{g}, typical(t, "60").record()).Checks[0])
	require.NoError(t, err)
	require.Contains(t, string(data), `"severity":"warning","note":"for now"`)
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{"latncy": "latency", "latecny": "latency", "aff": "off", "abc": "", "": ""} {
		require.Equal(t, want, Nearest(word, []string{"latency", "off"}), word)
	}
}

func BenchmarkJudge(b *testing.B) {
	s := typical(b, "2000")
	r := s.record()
	g := mustParse(b, several...)
	b.ResetTimer()
	for b.Loop() {
		Judge(g, r)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(s.windows)), "ns/window")
}
