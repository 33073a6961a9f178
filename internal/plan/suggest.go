package plan

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean gives a hint with the candidate nearest to what was written, or
// the whole list when it is short and none is near.
func didYouMean(written string, candidates []string) string {
	best := nearest(written, candidates)
	switch {
	case best != "":
		return fmt.Sprintf("did you mean %q?", best)
	case len(candidates) == 0:
		return "there are none"
	case len(candidates) <= 12:
		return "there are: " + strings.Join(candidates, ", ")
	}
	return ""
}

// nearest gives the candidate nearest to what was written, "" when none is
// near: a third of the characters may differ.
func nearest(written string, candidates []string) string {
	slices.Sort(candidates)
	best, least := "", max(1, len(written)/3)+1
	for _, c := range candidates {
		if d := distance(written, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is the number of characters to change, add, drop or swap with a
// neighbour to get from a to b (optimal string alignment, after Damerau and
// Levenshtein). Words longer than 64 bytes are far from everything.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	s, t := []rune(a), []rune(b)
	d := make([][]int, len(s)+1)
	for i := range d {
		d[i] = make([]int, len(t)+1)
		d[i][0] = i
	}
	for j := range t {
		d[0][j+1] = j + 1
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			change := d[i-1][j-1]
			if s[i-1] != t[j-1] {
				change++
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, change)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(s)][len(t)]
}
