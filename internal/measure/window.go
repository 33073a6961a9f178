package measure

import (
	"cmp"
	"math"
	"time"
)

// Second is the width of the windows that an [Aggregator] makes, in
// nanoseconds.
const Second = int64(time.Second)

// Merge adds another window of the same series and start: counts and sums add
// up, Min, Max and Sketch then tell about the values of both. The order in
// which windows are merged makes no difference (but for the last digits of
// Sum). Source, Series, Start, Width and Part stay. The other window's sketch
// is copied, never shared.
func (w *Window) Merge(o Window) {
	w.Count += o.Count
	w.Failed += o.Failed
	w.Unfinished += o.Unfinished
	w.Dropped += o.Dropped
	w.Sum = finite(w.Sum + o.Sum)
	if o.Sketch.Count() == 0 {
		return
	}
	if w.Sketch.Count() == 0 {
		w.Min, w.Max, w.Sketch = o.Min, o.Max, o.Sketch.Clone()
		return
	}
	w.Min = min(w.Min, o.Min)
	w.Max = max(w.Max, o.Max)
	w.Sketch.Merge(o.Sketch)
}

// observe adds one value, which is finite.
func (w *Window) observe(value float64) {
	if w.Sketch == nil {
		w.Sketch = &Sketch{}
		w.Min, w.Max = value, value
	}
	w.Sum = finite(w.Sum + value)
	w.Min = min(w.Min, value)
	w.Max = max(w.Max, value)
	w.Sketch.Add(value)
}

// Compare orders series field by field, for lists that are the same each time.
func (s Series) Compare(o Series) int {
	return cmp.Or(
		cmp.Compare(s.Phase, o.Phase),
		cmp.Compare(s.Test, o.Test),
		cmp.Compare(s.Arm, o.Arm),
		cmp.Compare(s.Metric, o.Metric),
		cmp.Compare(s.Transaction, o.Transaction),
		cmp.Compare(s.Step, o.Step),
		cmp.Compare(s.Tenant, o.Tenant),
		cmp.Compare(s.Class, o.Class),
		cmp.Compare(s.Cell, o.Cell),
		cmp.Compare(s.Region, o.Region),
		cmp.Compare(s.Instance, o.Instance),
		cmp.Compare(s.Status, o.Status),
	)
}

// finite keeps a sum within what JSON can say.
func finite(sum float64) float64 {
	return min(max(sum, -math.MaxFloat64), math.MaxFloat64)
}
