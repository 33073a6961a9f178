package gates

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"resilience/internal/measure"
)

// damages are what may be wrong with a window so that it can be told by the
// window and the events of its test alone.
var damages = map[string]func(w *measure.Window){
	"sum NaN":               func(w *measure.Window) { w.Sum = math.NaN() },
	"sum infinite":          func(w *measure.Window) { w.Sum = math.Inf(1) },
	"sum negative":          func(w *measure.Window) { w.Sum = -1e9 },
	"sum tiny":              func(w *measure.Window) { w.Sum = -math.SmallestNonzeroFloat64 - 1 },
	"least NaN":             func(w *measure.Window) { w.Min = math.NaN() },
	"least negative":        func(w *measure.Window) { w.Min = -1 },
	"least infinite":        func(w *measure.Window) { w.Min = math.Inf(-1) },
	"greatest NaN":          func(w *measure.Window) { w.Max = math.NaN() },
	"greatest infinite":     func(w *measure.Window) { w.Max = math.Inf(1) },
	"greatest negative":     func(w *measure.Window) { w.Max = -7 },
	"sketch of infinities":  sketched(math.Inf(1)),
	"sketch of negatives":   sketched(-1),
	"sketch of zeros":       sketched(0),
	"sketch of one too few": func(w *measure.Window) { w.Sketch = measure.NewSketch(); w.Min, w.Max = 0, 0 },
	"more values than fit":  func(w *measure.Window) { w.Count = w.Sketch.Count() - 1 },
	"count overflown":       func(w *measure.Window) { w.Count = math.MaxUint64 },
	"count of 2^49":         func(w *measure.Window) { w.Count = 1 << 49 },
	"count of 2^33":         func(w *measure.Window) { w.Count = 1<<32 + 1 },
	"failed overflown":      func(w *measure.Window) { w.Failed = math.MaxUint64 },
	"failed over count":     func(w *measure.Window) { w.Failed = w.Count + 1_000_000 },
	"unfinished over count": func(w *measure.Window) { w.Unfinished = w.Count + 1 },
	"dropped over count":    func(w *measure.Window) { w.Dropped = w.Count + 1 },
	"dropped with values":   func(w *measure.Window) { w.Dropped = w.Count },
	"no width":              func(w *measure.Window) { w.Width = 0 },
	"negative width":        func(w *measure.Window) { w.Width = -second },
	"two seconds wide":      func(w *measure.Window) { w.Width = 2 * second },
	"an hour wide":          func(w *measure.Window) { w.Width = 3600 * second },
	"endless":               func(w *measure.Window) { w.Width = math.MaxInt64 },
	"before 1970":           func(w *measure.Window) { w.Start = -w.Start },
	"the first moment":      func(w *measure.Window) { w.Start = math.MinInt64 },
	"the last moment":       func(w *measure.Window) { w.Start = math.MaxInt64 },
	"before the test":       func(w *measure.Window) { w.Start = epoch - 3600*second },
	"far in the future":     func(w *measure.Window) { w.Start += 1000 * 3600 * second },
	"between seconds":       func(w *measure.Window) { w.Start += second / 2 },
}

// sketched gives the window as many values, all the same.
func sketched(value float64) func(w *measure.Window) {
	return func(w *measure.Window) {
		n := w.Sketch.Count()
		w.Sketch = measure.NewSketch()
		for range n {
			w.Sketch.Add(value)
		}
	}
}

// damagedGates are one gate at least for each SLI and way to compare.
var damagedGates = []string{
	"availability >= 99%", "availability > 99%", "availability <= 20%", "availability == 100%", "availability >= baseline - 1pp", "availability >= 99% for each tenant",
	"availability of checkout >= 99%", "reliability >= 99%", "errors <= 1%", "errors < 1%", "errors == 0", "errors <= 10", "errors <= baseline * 2",
	"latency p95 <= 300ms", "latency p50 < 300ms", "latency p99 >= 10s", "latency p95 <= baseline + 10%", "latency p95 <= max(300ms, baseline + 10%)",
	"latency mean <= 300ms", "latency mean >= 10s", "latency max <= 1s", "latency mean <= baseline + 10%", "latency p95 <= latency p50",
	"throughput >= 19/s", "throughput <= 5/s", "throughput >= baseline", "assertions >= 99%", "delivered >= 99%", "amplification of payments <= 1.1",
	"availability >= 99% overall", "latency p95 <= 300ms during d", "availability >= 99% after d", "recovery <= 3s after d",
	"render p95 <= 25ms", "orders >= 3/s", "orders >= 1000", "good >= 99%",
}

// damageable is a record in which everything that gates look at is bad, or only
// too little. Each window of the lines is one that may be damaged.
func damageable(t require.TestingT, bad bool) *sheet {
	s := &sheet{}
	failed, slow, seconds := "0", "100", "5"
	if bad {
		failed, slow, seconds = "4", "5000", "60"
	}
	for _, line := range []string{
		"test t 0..60", "test t 0..60 arm=baseline", "disruption d 20..30 settle=2s",
		"event metric orders type=counter", "event metric good type=rate", "event metric render type=trend contains=time",
		"transactions t checkout 0.." + seconds + " tenant=a count=20 failed=" + failed + " latency=lognormal(" + slow + ",0.5)",
		"transactions t checkout 0..60 arm=baseline count=20 latency=lognormal(100,0.5)",
		"requests t /pay 0.." + seconds + " count=20 transaction=checkout failed=" + failed + " latency=" + slow,
		"requests t /pay 0..60 arm=baseline count=20 transaction=checkout latency=100",
		"outcomes t 0.." + seconds + " transaction=checkout count=20 failed=" + failed + " latency=1",
		"assertions t ok 0.." + seconds + " count=20 failed=" + failed + " latency=1",
		"arrivals t 0.." + seconds + " count=20 failed=1 dropped=1 latency=100",
		"metric t 0.." + seconds + " name=orders count=1 latency=1", "metric t 0.." + seconds + " name=good count=20 failed=" + failed + " latency=1",
		"metric t 0.." + seconds + " name=render count=20 latency=" + slow,
	} {
		if err := s.load(line); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	return s
}

// TestDamageMakesNoPass: whatever is done to one window of a record that did not
// pass a gate, it does not pass it then, and the verdict says that something is
// wrong with the record.
func TestDamageMakesNoPass(t *testing.T) {
	for _, bad := range []bool{true, false} {
		clean := damageable(t, bad)
		windows := firstOfEach(clean)
		for turn, text := range damagedGates {
			g := mustParse(t, text)
			if Judge(g, clean.record()).Outcome == Pass {
				continue
			}
			for n, name := range slices.Sorted(maps.Keys(damages)) {
				for k := range 2 { // the next ones with the next gate
					i := windows[(turn+n+k*len(windows)/2)%len(windows)]
					s := damaged(clean, i, damages[name])
					v := Judge(g, s.record())
					require.NotEqual(t, Pass, v.Outcome, "%s with the window %d (%s): %s", text, i, s.windows[i].Series.Metric, name)
					_, err := json.Marshal(v)
					require.NoError(t, err)
				}
			}
		}
	}
}

// firstOfEach gives an early window of each series.
func firstOfEach(s *sheet) (list []int) {
	seen := map[measure.Series]int{}
	for i, w := range s.windows {
		if seen[w.Series]++; seen[w.Series] == 3 {
			list = append(list, i)
		}
	}
	return list
}

func damaged(clean *sheet, i int, damage func(*measure.Window)) *sheet {
	s := &sheet{events: clean.events, windows: slices.Clone(clean.windows)}
	s.windows[i].Sketch = s.windows[i].Sketch.Clone()
	damage(&s.windows[i])
	return s
}

// TestDamageIsSaid: each damage is a warning of the verdict, or of the check, and
// turns a pass inconclusive. More failures than attempts are failures.
func TestDamageIsSaid(t *testing.T) {
	clean := sheetOf(t, "test t 0..60", "requests t /a 0..60 count=50 latency=lognormal(100,0.3)")
	g := mustParse(t, "availability >= 99%")
	require.Equal(t, Pass, Judge(g, clean.record()).Outcome)
	for name, damage := range damages {
		v := Judge(g, damaged(clean, 7, damage).record())
		if name != "failed over count" {
			require.Equal(t, Inconclusive, v.Outcome, name)
			require.Equal(t, Evidence, v.Cause, name)
		}
		require.NotEqual(t, Pass, v.Outcome, name)
		require.NotEmpty(t, append(v.Warnings, v.Checks[0].Warnings...), name)
	}
}

// TestOddWindows: those that are strange, and yet may be, change nothing.
func TestOddWindows(t *testing.T) {
	clean := sheetOf(t, "test t 0..60", "requests t /a 0..60 count=50 latency=lognormal(100,0.3)")
	g := mustParse(t, "availability >= 99%", "latency p95 <= 300ms", "latency mean <= 200ms", "throughput >= 40/s", "errors == 0")
	want := Judge(g, clean.record())
	require.Equal(t, Pass, want.Outcome)
	reversed := &sheet{events: clean.events, windows: slices.Clone(clean.windows)}
	slices.Reverse(reversed.windows)
	require.Equal(t, Pass, Judge(g, reversed.record()).Outcome, "out of order")
	with := func(more ...measure.Window) Verdict {
		s := &sheet{events: clean.events, windows: slices.Concat(more, clean.windows)}
		return Judge(g, s.record())
	}
	empty := clean.windows[0]
	empty.Count, empty.Sum, empty.Min, empty.Max, empty.Sketch = 0, 0, 0, 0, nil
	require.Equal(t, want, with(empty), "an empty one")
	failed := clean.windows[0]
	failed.Failed = failed.Count
	require.Equal(t, Fail, with(failed).Outcome, "one in which all failed: errors == 0")
	one := empty
	one.Count, one.Sum, one.Min, one.Max, one.Sketch = 1, 100, 100, 100, measure.NewSketch(100)
	v := Judge(mustParse(t, "availability >= 99%"), (&sheet{events: clean.events, windows: []measure.Window{one}}).record())
	require.Equal(t, Inconclusive, v.Outcome)
	require.Equal(t, "1 sample cannot confirm 99 %; 299 can", v.Checks[0].Reason)
}

// aDamage is one damage, possibly of strange numbers.
func aDamage(t *rapid.T) func(*measure.Window) {
	names := slices.Sorted(maps.Keys(damages))
	one := damages[rapid.SampledFrom(names).Draw(t, "damage")]
	if !rapid.Bool().Draw(t, "numbers") {
		return one
	}
	strange := rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, -math.MaxFloat64, math.MaxFloat64})
	sum := strange.Draw(t, "sum")
	count := rapid.Uint64Min(1<<32+1).Draw(t, "count")
	return func(w *measure.Window) {
		w.Sum = sum
		if one(w); w.Count > 0 && w.Count%2 == 0 {
			w.Count = count
		}
	}
}

func damagesMakeNoPass(t *rapid.T) {
	clean := damageable(t, rapid.Bool().Draw(t, "bad"))
	text := rapid.SampledFrom(damagedGates).Draw(t, "gate")
	g, err := Parse(text)
	require.NoError(t, err)
	if Judge([]Gate{g}, clean.record()).Outcome == Pass {
		return // it passes before
	}
	s := clean
	var what []string
	for range rapid.IntRange(1, 3).Draw(t, "windows") {
		i := rapid.IntRange(0, len(s.windows)-1).Draw(t, "window")
		if s.windows[i].Sketch.Count() == 0 {
			continue // is damaged already
		}
		s, what = damaged(s, i, aDamage(t)), append(what, fmt.Sprint(i))
	}
	v := Judge([]Gate{g}, s.record())
	require.NotEqual(t, Pass, v.Outcome, "%s with the windows %v", text, what)
	_, err = json.Marshal(v)
	require.NoError(t, err)
}

func TestDamagesMakeNoPass(t *testing.T) { rapid.Check(t, damagesMakeNoPass) }

func FuzzDamagesMakeNoPass(f *testing.F) { f.Fuzz(rapid.MakeFuzz(damagesMakeNoPass)) }
