package measure

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// latencies are values like those of a service: most alike, some far off.
func latencies(n int, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	values := make([]float64, n)
	for i := range values {
		values[i] = 50 * math.Exp(0.8*r.NormFloat64())
	}
	return values
}

func anyValues(t *rapid.T) []float64 {
	value := rapid.OneOf(
		rapid.Float64Range(0.1, 10_000),
		rapid.Float64(),
		rapid.SampledFrom([]float64{0, -1, 1, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64, 2.3e-308}),
	)
	return rapid.SliceOfN(value, 0, 200).Draw(t, "values")
}

func TestSketchAgreesWithItsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := anyValues(t)
		s := NewSketch(values...)
		checkSketch(t, s, values)
		checkRoundTrip(t, s)
	})
}

func TestSketchMergesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := anyValues(t)
		parts := make([]*Sketch, rapid.IntRange(1, 8).Draw(t, "parts"))
		for i := range parts {
			parts[i] = NewSketch()
		}
		for _, v := range values {
			parts[rapid.IntRange(0, len(parts)-1).Draw(t, "part")].Add(v)
		}
		merged := NewSketch()
		for _, i := range rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7}).Draw(t, "order") {
			if i < len(parts) {
				merged.Merge(parts[i])
			}
		}
		requireSame(t, NewSketch(values...), merged)
		checkSketch(t, merged, values)
	})
}

func TestSketchOfManyMergedSeconds(t *testing.T) {
	values := latencies(100_000, 7)
	merged := NewSketch()
	for i := 0; i < len(values); i += 100 {
		merged.Merge(NewSketch(values[i : i+100]...))
	}
	requireSame(t, NewSketch(values...), merged)
	slices.Sort(values)
	for _, q := range quantiles {
		got, ok := merged.Quantile(q)
		require.True(t, ok)
		requireClose(t, values[nearestRank(q, len(values))], got)
	}
}

func TestSketchStaysSmall(t *testing.T) {
	data, err := NewSketch(latencies(100, 3)...).MarshalBinary()
	require.NoError(t, err)
	require.Less(t, len(data), 300)
	data, err = NewSketch(12.5).MarshalBinary()
	require.NoError(t, err)
	require.Less(t, len(data), 8)

	// However often they come, the same values take the same room.
	everything, r := NewSketch(), rand.New(rand.NewPCG(1, 1))
	values := make([]float64, 10_000)
	for i := range values {
		values[i] = math.Float64frombits(r.Uint64())
		everything.Add(values[i])
	}
	bins := len(everything.bins)
	require.LessOrEqual(t, bins, 2*int(lastIndex-firstIndex+1)+1)
	for range 10 {
		everything.Merge(NewSketch(values...))
	}
	require.Len(t, everything.bins, bins)
}

func TestQuantileOfNothing(t *testing.T) {
	var none *Sketch
	for name, s := range map[string]*Sketch{"nil": none, "zero": {}, "only NaN": NewSketch(math.NaN())} {
		_, ok := s.Quantile(0.5)
		require.False(t, ok, name)
		require.Zero(t, s.Count(), name)
		require.Zero(t, s.CountAbove(0), name)
	}
	for _, q := range []float64{-0.01, 1.01, math.NaN(), math.Inf(1)} {
		_, ok := NewSketch(1).Quantile(q)
		require.False(t, ok, q)
	}
}

func TestRankOfDecimalShares(t *testing.T) {
	for _, c := range []struct {
		q    float64
		n    uint64
		want uint64
	}{
		{0, 10, 1},
		{1, 10, 10},
		{0.07, 100, 7}, // 0.07*100 is a little over 7 in floating point
		{0.5, 2, 1},
		{0.95, 10, 10},
		{0.99, 100, 99},
		{0.999, 1000, 999},
		{0.999, 999, 999},
		{1, 1 << 60, 1 << 60},
	} {
		require.Equal(t, c.want, rank(c.q, c.n), "%v of %d", c.q, c.n)
	}
}

func TestCloneIsIndependent(t *testing.T) {
	s := NewSketch(1, 2, 3)
	c := s.Clone()
	c.Add(1)
	c.Add(100)
	requireSame(t, NewSketch(1, 2, 3), s)
	requireSame(t, NewSketch(1, 1, 2, 3, 100), c)
	s.Merge(s)
	requireSame(t, NewSketch(1, 1, 2, 2, 3, 3), s)
}

func TestDamagedSketch(t *testing.T) {
	key := func(k int64, count uint64) []byte {
		return binary.AppendUvarint(binary.AppendVarint(nil, k), count)
	}
	after := func(parts ...[]byte) []byte {
		data := []byte{sketchVersion}
		for _, p := range parts {
			data = append(data, p...)
		}
		return data
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":           {nil, "ends early"},
		"version":         {[]byte{9}, "version 9"},
		"no count":        {after(binary.AppendVarint(nil, 5)), "ends early"},
		"endless varint":  {after([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), "ends early"},
		"no values":       {after(key(5, 0)), "impossible count"},
		"too many values": {after(key(5, 1<<60)), "impossible count"},
		"sum too great":   {after(key(5, maxCount), key(1, 1)), "impossible count"},
		"same key twice":  {after(key(5, 1), key(0, 1)), "out of order"},
		"backwards":       {after(key(5, 1), key(-1, 1)), "out of order"},
		"too far up":      {after(key(1<<40, 1)), "out of range"},
		"just too far up": {after(key(int64(lastIndex-firstIndex)+2, 1)), "out of range"},
		"too far down":    {after(key(math.MinInt64, 1)), "out of range"},
	} {
		s := NewSketch(1)
		require.ErrorContains(t, s.UnmarshalBinary(c.data), c.want, name)
		requireSame(t, NewSketch(1), s)
	}
	for _, text := range []string{`"!!"`, `{}`, `12`, `""`} {
		require.Error(t, json.Unmarshal([]byte(text), &Sketch{}), text)
	}
}

func FuzzSketchBytes(f *testing.F) {
	for _, values := range [][]float64{nil, {1}, {0, -1, 1e300}, latencies(50, 1)} {
		data, err := NewSketch(values...).MarshalBinary()
		require.NoError(f, err)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var s Sketch
		if s.UnmarshalBinary(data) != nil {
			return
		}
		checkRoundTrip(t, &s)
		low, lowOK := s.Quantile(0)
		high, highOK := s.Quantile(1)
		require.Equal(t, s.Count() > 0, lowOK && highOK)
		require.LessOrEqual(t, low, high)
		s.Merge(s.Clone())
	})
}

func FuzzSketchValues(f *testing.F) {
	f.Add([]byte("12345678abcdefgh"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		var values []float64
		for ; len(data) >= 8 && len(values) < 300; data = data[8:] {
			values = append(values, math.Float64frombits(binary.LittleEndian.Uint64(data)))
		}
		at := min(int(cut), len(values))
		s, o := NewSketch(values[:at]...), NewSketch(values[at:]...)
		s.Merge(o)
		checkSketch(t, s, values)
		checkRoundTrip(t, s)
	})
}

func BenchmarkSketchAdd(b *testing.B) {
	for name, n := range map[string]int{"10": 10, "100": 100, "10000": 10_000} {
		values := latencies(n, 1)
		b.Run(name, func(b *testing.B) {
			s := NewSketch()
			for i := 0; b.Loop(); i++ {
				if i%n == 0 {
					s = NewSketch()
				}
				s.Add(values[i%n])
			}
		})
	}
}

func BenchmarkSketchMerge(b *testing.B) {
	total, second := NewSketch(latencies(100_000, 1)...), NewSketch(latencies(20, 2)...)
	for b.Loop() {
		total.Merge(second)
	}
}

func BenchmarkSketchDecode(b *testing.B) {
	data, err := NewSketch(latencies(100, 1)...).MarshalBinary()
	require.NoError(b, err)
	for b.Loop() {
		var s Sketch
		if err := s.UnmarshalBinary(data); err != nil {
			b.Fatal(err)
		}
	}
}
