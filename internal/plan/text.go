package plan

import (
	"fmt"
	"regexp"
	"strings"
)

// piece is a part of a text: plain text, the escape $${ or a placeholder.
type piece struct {
	offset  int    // bytes from the start of the text
	text    string // as it is written
	name    string // of a placeholder: NAME of ${NAME} and ${NAME:-...}
	instead string // its default
	has     bool   // whether it has a default
}

// textError is a mistake in a text, at an offset in bytes.
type textError struct {
	offset  int
	message string
	hint    string
}

func (e *textError) Error() string { return e.message }

const escape = "$${"

// maxDefaults is how deep placeholders may be nested in defaults.
const maxDefaults = 2

// split cuts a text into its pieces.
func split(text string) ([]piece, *textError) {
	var pieces []piece
	plain := 0
	flush := func(end int) {
		if end > plain {
			pieces = append(pieces, piece{offset: plain, text: text[plain:end]})
		}
	}
	for i := 0; i < len(text); {
		rest := text[i:]
		switch {
		case strings.HasPrefix(rest, escape):
			flush(i)
			pieces = append(pieces, piece{offset: i, text: escape, name: escape})
			i += len(escape)
			plain = i
		case strings.HasPrefix(rest, "${"):
			flush(i)
			end := closing(rest)
			if end < 0 {
				return nil, &textError{i, "a placeholder is not closed", `write ${NAME}, or $${ for the characters "${"`}
			}
			p := piece{offset: i, text: rest[:end+1]}
			p.name, p.instead, p.has = strings.Cut(rest[2:end], ":-")
			if p.name == "" {
				return nil, &textError{i, "a placeholder has no name", `write ${NAME}, or $${ for the characters "${"`}
			}
			pieces = append(pieces, p)
			i += end + 1
			plain = i
		default:
			i++
		}
	}
	flush(len(text))
	return pieces, nil
}

// closing finds the brace that closes the placeholder at the start of a text,
// -1 when there is none.
func closing(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			depth++
			i++
		case text[i] == '}':
			depth--
			if depth == 0 {
				return i
			}
		}
	}
	return -1
}

// variable is what ${VAR} may be called. The name of the placeholder ${port}
// is taken.
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func isVariable(name string) bool { return name != "port" && variable.MatchString(name) }

// isLater reports whether a placeholder is one that is replaced while a test or
// a disruption is at work: for the current row of a data file, or for what an
// answer said.
func isLater(name string) bool {
	return strings.HasPrefix(name, "data.") || strings.HasPrefix(name, "kept.")
}

// Expand replaces the placeholders of a text with what lookup knows, and the
// escape $${ with ${. A placeholder ${data.COLUMN} or ${kept.NAME} that lookup
// does not know stays, and so does its escape: see [ExpandData] and
// [ExpandKept]. Any other unknown one is an error. What lookup gives is not looked at again.
func Expand(text string, lookup func(name string) (string, bool)) (string, error) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	pieces, wrong := split(text)
	if wrong != nil {
		return "", fmt.Errorf("%q: %s", text, wrong.message)
	}
	var out strings.Builder
	for i, p := range pieces {
		switch {
		case p.name == "":
			out.WriteString(p.text)
		case p.name == escape && i+1 < len(pieces) && isLater(pieces[i+1].text):
			out.WriteString(escape)
		case p.name == escape:
			out.WriteString("${")
		default:
			value, ok := lookup(p.name)
			if !ok && !isLater(p.name) {
				return "", fmt.Errorf("nothing is known for the placeholder %s", p.text)
			}
			if !ok {
				value = p.text
			}
			out.WriteString(value)
		}
	}
	return out.String(), nil
}

// ExpandData replaces ${data.COLUMN} with the values of a row and its escape
// $${data. with ${data., and leaves everything else alone: it is for texts
// that [Bind] has been through. A column that the row does not have is an
// error.
func ExpandData(text string, column func(name string) (string, bool)) (string, error) {
	return expandLater(text, "${data.", "the data has no column %q", column)
}

// ExpandKept replaces ${kept.NAME} with what was kept of an answer, as
// [ExpandData] does columns.
func ExpandKept(text string, kept func(name string) (string, bool)) (string, error) {
	return expandLater(text, "${kept.", "nothing was kept as %q", kept)
}

func expandLater(text, open, unknown string, lookup func(name string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, open)
		if !found {
			out.WriteString(text)
			return out.String(), nil
		}
		if unescaped, escaped := strings.CutSuffix(before, "$"); escaped {
			out.WriteString(unescaped + open)
			text = rest
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", fmt.Errorf("%s%s: a placeholder is not closed", open, rest)
		}
		value, ok := lookup(name)
		if !ok {
			return "", fmt.Errorf(unknown, name)
		}
		out.WriteString(before + value)
		text = after
	}
}
