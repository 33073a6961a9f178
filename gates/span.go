package gates

import (
	"math"
	"slices"
)

// second is the width of a window in nanoseconds.
const second = int64(1e9)

// span is a stretch of time, from the first nanosecond up to, not including,
// the last.
type span struct{ from, to int64 }

// spans are sorted and do not touch one another.
type spans []span

var always = spans{{math.MinInt64, math.MaxInt64}}

// union sorts and joins what overlaps or touches; empty spans go.
func union(all ...span) spans {
	all = slices.DeleteFunc(slices.Clone(all), func(s span) bool { return s.from >= s.to })
	slices.SortFunc(all, func(a, b span) int {
		switch {
		case a.from < b.from:
			return -1
		case a.from > b.from:
			return 1
		}
		return 0
	})
	var out spans
	for _, s := range all {
		if n := len(out); n > 0 && s.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, s.to)
			continue
		}
		out = append(out, s)
	}
	return out
}

// without gives what of s lies in none of the others.
func (s spans) without(others spans) spans {
	var out spans
	for _, part := range s {
		for _, o := range others {
			if o.to <= part.from || o.from >= part.to {
				continue
			}
			if o.from > part.from {
				out = append(out, span{part.from, o.from})
			}
			part.from = o.to
			if part.from >= part.to {
				break
			}
		}
		if part.from < part.to {
			out = append(out, part)
		}
	}
	return out
}

// intersect gives what lies in both.
func (s spans) intersect(o spans) spans {
	var out spans
	for _, a := range s {
		for _, b := range o {
			if from, to := max(a.from, b.from), min(a.to, b.to); from < to {
				out = append(out, span{from, to})
			}
		}
	}
	return out
}

// contains reports whether one of the spans holds all of [from, to): a window
// with the edge of a period in it belongs to neither side.
func (s spans) contains(from, to int64) bool {
	i, found := slices.BinarySearchFunc(s, from, func(p span, t int64) int {
		switch {
		case p.from < t:
			return -1
		case p.from > t:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	return i >= 0 && to <= s[i].to
}

// wholeSeconds shrinks every span to the whole seconds in it and counts them.
func (s spans) wholeSeconds() (spans, uint64) {
	var out spans
	var n uint64
	for _, p := range s {
		from, to := ceilSecond(p.from), floorSecond(p.to)
		if from < to {
			out = append(out, span{from, to})
			n += uint64(to/second - from/second)
		}
	}
	return out, n
}

func floorSecond(t int64) int64 {
	if r := t % second; r < 0 && t >= math.MinInt64+second {
		return t - r - second
	} else if r > 0 {
		return t - r
	}
	return t
}

func ceilSecond(t int64) int64 {
	if f := floorSecond(t); f != t && f <= math.MaxInt64-second {
		return f + second
	}
	return t
}
