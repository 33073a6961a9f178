package measure

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// tally adds up samples by hand, the oracle of the aggregator.
type tally struct {
	count, failed, unfinished, dropped uint64
	values                             []float64
}

type moment struct {
	series Series
	start  int64
}

type windowKey struct {
	source string
	series Series
	start  int64
	part   uint32
}

func TestAggregatorLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := NewAggregator("k6", 3)
		want, added := map[moment]*tally{}, uint64(0)
		var windows []Window
		for range rapid.IntRange(0, 150).Draw(t, "samples") {
			s := Series{Metric: "request", Step: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "step")}
			start := rapid.Int64Range(-3, 3).Draw(t, "second")*Second + rapid.Int64Range(0, Second-1).Draw(t, "ns")
			value := float64(rapid.IntRange(0, 1000).Draw(t, "value"))
			fate := Fate(rapid.IntRange(0, 7).Draw(t, "fate"))
			m := moment{s, int64(math.Floor(float64(start)/float64(Second))) * Second}
			if want[m] == nil {
				want[m] = &tally{}
			}
			want[m].add(value, fate)
			a.Ref(s).Add(start, value, fate)
			added++
			if rapid.IntRange(0, 9).Draw(t, "take") == 0 {
				before := rapid.Int64Range(-3, 4).Draw(t, "before") * Second
				for _, w := range a.TakeBefore(before) {
					require.Less(t, w.Start, before)
					windows = append(windows, w)
				}
			}
		}
		windows = append(windows, a.Take()...)
		require.Empty(t, a.Take())
		require.Zero(t, a.Overflowed())
		checkConserved(t, want, windows)
	})
}

func (y *tally) add(value float64, fate Fate) {
	y.count++
	if fate != OK {
		y.failed++
	}
	if fate&Unfinished != 0 {
		y.unfinished++
	}
	if fate&Dropped != 0 {
		y.dropped++
	} else {
		y.values = append(y.values, value)
	}
}

// checkConserved merges windows and holds them against the tallies.
func checkConserved(t *rapid.T, want map[moment]*tally, windows []Window) {
	seen, merged := map[windowKey]bool{}, map[moment]*Window{}
	for _, w := range rapid.Permutation(windows).Draw(t, "order") {
		key := windowKey{w.Source, w.Series, w.Start, w.Part}
		require.False(t, seen[key], "twice: %v", key)
		seen[key] = true
		require.Equal(t, Second, w.Width)
		m := moment{w.Series, w.Start}
		if merged[m] == nil {
			merged[m] = &Window{}
		}
		merged[m].Merge(w)
	}
	require.Len(t, merged, len(want))
	for m, y := range want {
		w := merged[m]
		require.NotNil(t, w, m)
		require.Equal(t, [4]uint64{y.count, y.failed, y.unfinished, y.dropped}, [4]uint64{w.Count, w.Failed, w.Unfinished, w.Dropped})
		checkValues(t, w, y.values)
	}
}

func checkValues(t require.TestingT, w *Window, values []float64) {
	if len(values) == 0 {
		require.Nil(t, w.Sketch)
		return
	}
	sum, low, high := 0.0, math.Inf(1), math.Inf(-1)
	for _, v := range values {
		sum, low, high = sum+v, min(low, v), max(high, v)
	}
	require.Equal(t, [3]float64{sum, low, high}, [3]float64{w.Sum, w.Min, w.Max})
	requireSame(t, NewSketch(values...), w.Sketch)
}

func TestAggregatorFoldsWhatIsOverTheLimit(t *testing.T) {
	a := NewAggregator("k6", 2)
	for i := range 100 {
		a.Ref(Series{Metric: "request", Phase: "beta", Test: "t", Arm: Candidate, Step: fmt.Sprint(i), Tenant: "x", Status: "200"}).Add(0, 1, OK)
	}
	require.EqualValues(t, 98, a.Overflowed())
	windows := a.Take()
	require.Len(t, windows, 3)
	require.Equal(t, Series{Metric: "request", Phase: "beta", Test: "t", Arm: Candidate, Step: Overflow}, windows[2].Series)
	require.EqualValues(t, 98, windows[2].Count)
	require.EqualValues(t, 98, windows[2].Sketch.Count())

	a.Ref(Series{Metric: "request", Step: "1"}).Count(0, OK)
	a.Ref(Series{Metric: "request", Phase: "beta", Test: "t", Arm: Candidate, Step: "0", Tenant: "x", Status: "200"}).Count(0, OK)
	require.EqualValues(t, 99, a.Overflowed(), "a known series stays itself")
}

func TestAggregatorBoundsEvenOverflow(t *testing.T) {
	a := NewAggregator("k6", 10)
	for i := range 1000 {
		a.Ref(Series{Metric: fmt.Sprint(i)}).Add(0, 1, OK)
	}
	windows := a.Take()
	require.Len(t, windows, 21)
	var total uint64
	for _, w := range windows {
		total += w.Count
	}
	require.EqualValues(t, 1000, total)
}

func TestRefWithoutValues(t *testing.T) {
	a := NewAggregator("k6", 10)
	ref := a.Ref(Series{Metric: MetricIteration})
	ref.Count(Second+1, Dropped)
	ref.Add(Second+2, math.NaN(), OK)
	ref.Add(Second+2, math.Inf(1), Failed)
	ref.Correct(Second+3, 1)
	ref.Correct(Second+3, 0)
	require.Equal(t, []Window{{
		Source: "k6", Series: Series{Metric: MetricIteration}, Start: Second, Width: Second, Part: 1,
		Count: 3, Failed: 3, Dropped: 1,
	}}, a.Take())
	ref.Correct(Second, 2)
	require.Equal(t, []Window{{
		Source: "k6", Series: Series{Metric: MetricIteration}, Start: Second, Width: Second, Part: 2, Failed: 2,
	}}, a.Take())
}

func TestMergeOfWindows(t *testing.T) {
	none := Window{Count: 2, Failed: 2, Dropped: 2}
	some := Window{Count: 2, Sum: 7, Min: 3, Max: 4, Sketch: NewSketch(3, 4)}
	less := Window{Count: 1, Sum: -1, Min: -1, Max: -1, Sketch: NewSketch(-1)}
	for name, order := range map[string][]Window{"none first": {none, some, less}, "none last": {less, some, none}} {
		w := Window{Source: "a", Start: 5, Part: 9}
		for _, o := range order {
			w.Merge(o)
		}
		require.Equal(t, Window{
			Source: "a", Start: 5, Part: 9, Count: 5, Failed: 2, Dropped: 2,
			Sum: 6, Min: -1, Max: 4, Sketch: w.Sketch,
		}, w, name)
		requireSame(t, NewSketch(-1, 3, 4), w.Sketch)
	}
	requireSame(t, NewSketch(3, 4), some.Sketch) // neither shared nor changed
	requireSame(t, NewSketch(-1), less.Sketch)
}

func TestSumStaysPrintable(t *testing.T) {
	a := NewAggregator("k6", 1)
	ref := a.Ref(Series{})
	ref.Add(0, math.MaxFloat64, OK)
	ref.Add(0, math.MaxFloat64, OK)
	w := a.Take()[0]
	w.Merge(w)
	_, err := json.Marshal(w)
	require.NoError(t, err)
}

func BenchmarkRefAdd(b *testing.B) {
	a := NewAggregator("k6", 10)
	ref := a.Ref(Series{})
	values := latencies(1000, 1)
	for i := 0; b.Loop(); i++ {
		ref.Add(int64(i)*Second/1000, values[i%1000], OK)
		if i%1000 == 0 {
			a.Take()
		}
	}
}

func TestMergeIsAssociative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		windows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Window {
			w := Window{Count: rapid.Uint64Range(0, 9).Draw(t, "count"), Failed: rapid.Uint64Range(0, 9).Draw(t, "failed")}
			for range rapid.IntRange(0, 4).Draw(t, "values") {
				w.observe(float64(rapid.IntRange(-50, 50).Draw(t, "value")))
			}
			return w
		}), 3, 3).Draw(t, "windows")
		a, b, c := windows[0], windows[1], windows[2]
		left, right, inner := Window{}, Window{}, Window{}
		for _, w := range []Window{a, b, c} {
			left.Merge(w) // (a + b) + c
		}
		inner.Merge(c)
		inner.Merge(b)
		right.Merge(inner)
		right.Merge(a) // (c + b) + a
		require.Equal(t, left.Sketch.Count(), right.Sketch.Count())
		if left.Sketch != nil {
			requireSame(t, left.Sketch, right.Sketch)
		}
		left.Sketch, right.Sketch = nil, nil
		require.Equal(t, left, right)
	})
}

func TestCompareOfSeries(t *testing.T) {
	full := Series{"m", "p", "t", "a", "tr", "st", "te", "cl", "ce", "re", "in", "200"}
	require.Zero(t, full.Compare(full))
	for i := range reflect.TypeFor[Series]().NumField() {
		other := full
		reflect.ValueOf(&other).Elem().Field(i).SetString("z")
		require.Negative(t, full.Compare(other), "field %d", i)
		require.Positive(t, other.Compare(full), "field %d", i)
	}
}
