package gates

import (
	"math"

	"resilience/internal/measure"
)

// maxCount is more than any window of one second can hold. Four billion windows
// of so many attempts do not overflow a sum.
const maxCount = 1 << 32

// broken says why a window can not be true, "" if it can. Failures may be more
// than the count: corrections come in windows of their own. What was measured
// is checked in several ways against itself, because a window that is damaged
// must not make a gate pass.
func broken(w *measure.Window) string {
	switch {
	case w.Width != second && !isStep(w):
		return "a width that is none"
	case w.Start < 0 || w.Start > math.MaxInt64-w.Width || w.Start%second != 0:
		return "a time that can not be"
	case w.Count > maxCount || w.Failed > maxCount || w.Unfinished > w.Count || w.Dropped > w.Count:
		return "counts that can not be"
	case bad(w.Sum) || bad(w.Min) || bad(w.Max):
		return "values that are not numbers"
	case valuesIn(w) > w.Count-w.Dropped:
		return "more values than attempts"
	case classOf(w.Series) <= requests && w.Min < 0:
		return "durations that are negative"
	case valuesIn(w) == 0 && classOf(w.Series) <= requests && w.Sum != 0, valuesIn(w) > 0 && !agree(w):
		return "values that contradict each other"
	}
	return ""
}

// isStep reports whether a window may be the answer to a query, which is about
// the whole seconds of its step.
func isStep(w *measure.Window) bool {
	const longest = 3600 * second
	return w.Series.Test == "" && classOf(w.Series) == others && w.Width > 0 && w.Width <= longest && w.Width%second == 0
}

func bad(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }

// agree reports whether the sum, the least and the greatest value of a window
// are those of its sketch, as far as a sketch can tell.
func agree(w *measure.Window) bool {
	least, _ := w.Sketch.Quantile(0)
	most, _ := w.Sketch.Quantile(1)
	n := float64(w.Sketch.Count())
	room := n * (math.Abs(w.Min) + math.Abs(w.Max)) * 1e-6 // sums are rounded
	return near(most, w.Max) && (least >= w.Min || near(least, w.Min)) && w.Sum >= n*w.Min-room && w.Sum <= n*w.Max+room
}

// near reports whether a sketch may have made the one of the other: by its
// relative error, or because it knows nothing so small or so great.
func near(sketched, value float64) bool {
	const tiny, huge = 1e-300, 1e308
	return math.Abs(sketched-value) <= sketchError*math.Abs(value) ||
		math.Abs(sketched) < tiny && math.Abs(value) < tiny ||
		math.Min(math.Abs(sketched), math.Abs(value)) > huge && math.Signbit(sketched) == math.Signbit(value)
}
