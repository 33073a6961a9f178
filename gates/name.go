package gates

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// reserved are the words of the grammar: as names they would have to be quoted
// in every gate, and a reader would stumble over them.
var reserved = []string{
	"of", "from", "within", "for", "not", "each", "in", "overall", "steady", "during", "after",
	"baseline", "max", "min", "mean",
}

// maxName is the longest name, in bytes.
const maxName = 200

// ValidName reports why a name of a plan (a test, a disruption, a dependency)
// can not be used in a gate, nil if it can. A name holds 1 to 200 bytes of
// printable text, does not start or end with a space, and is no word of the
// grammar.
func ValidName(name string) error {
	if err := validText(name); err != nil {
		return err
	}
	if slices.Contains(reserved, name) {
		return fmt.Errorf("%q is a word of the gate language and can not be a name; choose another", name)
	}
	return nil
}

func validText(name string) error {
	switch {
	case name == "":
		return errors.New("a name can not be empty")
	case len(name) > maxName:
		return fmt.Errorf("a name can not be longer than %d bytes", maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("the name %q is not valid UTF-8", name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("the name %q starts or ends with a space", name)
	case strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0:
		return fmt.Errorf("the name %q holds a character that can not be printed", name)
	}
	return nil
}

// quote writes a name so that the parser reads it back.
func quote(name string) string {
	plain := name != "" && !slices.Contains(reserved, name) &&
		strings.IndexFunc(name, func(r rune) bool { return !plainRune(r) }) < 0
	if plain {
		return name
	}
	return forceQuote(name)
}

func forceQuote(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// didYouMean ends a message with the candidate nearest to what was written,
// or with nothing when none is near, or when it is that already.
func didYouMean(written string, candidates []string) string {
	if near := Nearest(written, candidates); near != "" && near != written {
		return fmt.Sprintf("; did you mean %s?", near)
	}
	return ""
}

// Nearest gives what was probably meant by a word: the candidate with the
// fewest edits between them, at most two, or one for words of fewer than five
// letters; the earlier one of equals. It is empty when none is near.
func Nearest(word string, candidates []string) string {
	limit := 2
	if utf8.RuneCountInString(word) < 5 {
		limit = 1
	}
	best := ""
	for _, c := range candidates {
		if d := distance(word, c, limit); d <= limit {
			best, limit = c, d-1
		}
	}
	return best
}

// distance is the edit distance with swaps of neighbours (Damerau 1964,
// optimal string alignment); more than limit when the lengths say so.
func distance(a, b string, limit int) int {
	s, t := []rune(a), []rune(b)
	if len(s)-len(t) > limit || len(t)-len(s) > limit {
		return limit + 1
	}
	rows := make([][]int, len(s)+1)
	for i := range rows {
		rows[i] = make([]int, len(t)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(s)][len(t)]
}
