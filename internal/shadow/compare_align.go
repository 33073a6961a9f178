package shadow

import (
	"cmp"
	"slices"
)

// span is what of two texts has no equal between two places that have one: parts
// a[a0:a1] and b[b0:b1].
type span struct{ a0, a1, b0, b1 int32 }

// alignment finds spans of two lists of parts. It is that of a patience diff (Cohen
// 2003): what is equal at the beginning and the end, then the parts that there are once
// in both, the longest run of them that is in the same order, and so on between them.
// It takes time in proportion to n log n: it goes two levels down, first by words and
// the word before, then by words alone.
type alignment struct {
	a, b  []part
	spans []span
}

// Levels of an alignment.
const (
	byKeys = iota
	byHashes
	byNothing
)

func (l *alignment) find(s span, level int) {
	for {
		s = l.trimmed(s)
		n := l.replaced(s)
		if n == 0 {
			break
		}
		l.spans = append(l.spans, span{s.a0, s.a0 + n, s.b0, s.b0 + n})
		s.a0, s.b0 = s.a0+n, s.b0+n
	}
	switch {
	case s.a0 == s.a1 && s.b0 == s.b1:
	case s.a0 == s.a1 || s.b0 == s.b1 || level == byNothing:
		l.spans = append(l.spans, s)
	default:
		for _, anchor := range append(l.anchors(s, level), [2]int32{s.a1, s.b1}) {
			l.find(span{s.a0, anchor[0], s.b0, anchor[1]}, level+1)
			s.a0, s.b0 = anchor[0], anchor[1]
		}
	}
}

// trimmed leaves out what is equal at the beginning and the end.
func (l *alignment) trimmed(s span) span {
	for s.a0 < s.a1 && s.b0 < s.b1 && l.a[s.a0].hash == l.b[s.b0].hash {
		s.a0, s.b0 = s.a0+1, s.b0+1
	}
	for s.a0 < s.a1 && s.b0 < s.b1 && l.a[s.a1-1].hash == l.b[s.b1-1].hash {
		s.a1, s.b1 = s.a1-1, s.b1-1
	}
	return s
}

// maxReplaced is how many parts in a row may stand in the place of as many others.
const maxReplaced = 4

// replaced tells how many parts have others in their place, if two after them are
// equal: most noise is that.
func (l *alignment) replaced(s span) int32 {
	for n := int32(1); n <= maxReplaced && s.a0+n+2 <= s.a1 && s.b0+n+2 <= s.b1; n++ {
		if l.a[s.a0+n].hash == l.b[s.b0+n].hash && l.a[s.a0+n+1].hash == l.b[s.b0+n+1].hash {
			return n
		}
	}
	return 0
}

// anchors gives the parts that there are once in both, as many as are in the same
// order.
func (l *alignment) anchors(s span, level int) [][2]int32 {
	of := func(p *part) uint64 {
		if level == byKeys {
			return p.key
		}
		return p.hash
	}
	type place struct{ a, b int32 } // from 1; -1 is several
	once := make(map[uint64]place, s.a1-s.a0)
	note := func(at *int32, i int32) {
		if *at != 0 {
			i = -2
		}
		*at = i + 1
	}
	for i := s.a0; i < s.a1; i++ {
		p := once[of(&l.a[i])]
		note(&p.a, i)
		once[of(&l.a[i])] = p
	}
	for i := s.b0; i < s.b1; i++ {
		if p, both := once[of(&l.b[i])]; both {
			note(&p.b, i)
			once[of(&l.b[i])] = p
		}
	}
	var pairs [][2]int32
	for i := s.a0; i < s.a1; i++ {
		if p := once[of(&l.a[i])]; p.a > 0 && p.b > 0 {
			pairs = append(pairs, [2]int32{i, p.b - 1})
		}
	}
	return longestRun(pairs)
}

// longestRun gives the longest list of pairs, sorted by the first, that are sorted by
// the second as well (Schensted 1961).
func longestRun(pairs [][2]int32) [][2]int32 {
	before := make([]int32, len(pairs))
	var ends []int32 // the pair that ends the best list of each length
	for i, p := range pairs {
		at, _ := slices.BinarySearchFunc(ends, p[1], func(e, want int32) int { return cmp.Compare(pairs[e][1], want) })
		if before[i] = -1; at > 0 {
			before[i] = ends[at-1]
		}
		if at == len(ends) {
			ends = append(ends, 0)
		}
		ends[at] = int32(i)
	}
	if len(ends) == 0 {
		return nil
	}
	run := make([][2]int32, len(ends))
	for i, at := len(ends)-1, ends[len(ends)-1]; i >= 0; i-- {
		run[i], at = pairs[at], before[at]
	}
	return run
}
