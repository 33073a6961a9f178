package shadow

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// How deep a script may be nested: parsers of JavaScript call themselves for each
// level, and a stack that is used up ends the whole program.
const (
	mostBrackets = 1000
	mostTokens   = 10_000 // in one expression
	mostNesting  = 20_000 // words and arrows that nest without brackets, in all
)

var errWild = errors.New("the script is nested deeper than any that somebody wrote")

// nestingWords make statements that may be parts of each other without brackets.
var nestingWords = []string{"if", "else", "for", "while", "with", "do"}

// operatorWords stand before a value.
var operatorWords = []string{"return", "typeof", "void", "delete", "new", "await", "yield", "throw", "case", "in", "of", "instanceof", "else", "do", "extends", "default"}

// tamer goes through the words of a script and counts, without understanding it.
type tamer struct {
	source   string
	at       int
	brackets []byte // that are open; ` is an expression in a template
	run      int    // tokens of an expression
	nesting  int
	value    bool // the last token was, or ended, a value
}

// tameScript refuses a script that would use up the stack of whoever parses it.
func tameScript(source string) error {
	t := &tamer{source: source}
	for t.at < len(source) {
		t.token()
		if len(t.brackets) > mostBrackets || t.run > mostTokens || t.nesting > mostNesting {
			return fmt.Errorf("%w, at byte %d", errWild, t.at)
		}
	}
	return nil
}

func (t *tamer) token() {
	c := t.source[t.at]
	rest := t.source[t.at:]
	switch {
	case strings.IndexByte(" \t\r\n", c) >= 0:
		t.at++
	case strings.HasPrefix(rest, "//"):
		t.at += before(rest, "\n\u2028\u2029")
	case strings.HasPrefix(rest, "/*"):
		t.at += 2 + until(rest[2:], "*/")
	case isWordByte(c):
		t.word()
	case c == '"' || c == '\'':
		t.at += quotedEnd(rest, c)
		t.isValue()
	case c == '`':
		t.at++
		t.template()
	case c == '/' && !t.value:
		t.at += regexpEnd(rest)
		t.isValue()
	default:
		t.mark(c)
	}
}

func isWordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c == '\\' || c == '#' || c >= 0x80
}

func (t *tamer) word() {
	start := t.at
	for t.at < len(t.source) && isWordByte(t.source[t.at]) {
		t.at++
	}
	word := t.source[start:t.at]
	if slices.Contains(nestingWords, word) {
		t.nesting++
	}
	t.isValue()
	if slices.Contains(operatorWords, word) {
		t.value = false
	}
}

// isValue counts a value. Where it follows another, a new statement begins.
func (t *tamer) isValue() {
	if t.value {
		t.run = 0
	}
	t.run++
	t.value = true
}

// mark counts a bracket or an operator.
func (t *tamer) mark(c byte) {
	t.at++
	t.run++
	switch c {
	case '(', '[', '{':
		t.brackets = append(t.brackets, c)
		t.value = false
	case ')', ']', '}':
		last := len(t.brackets) - 1
		inTemplate := last >= 0 && t.brackets[last] == '`'
		t.brackets = t.brackets[:max(last, 0)]
		t.value = true
		if c == '}' && inTemplate {
			t.template()
		}
	case ';', ',':
		t.run, t.value = 0, false
	case '>':
		if t.at >= 2 && t.source[t.at-2] == '=' {
			t.nesting++
		}
		t.value = false
	default:
		t.value = false
	}
}

// template reads text of a template, up to its end or to an expression in it.
func (t *tamer) template() {
	for t.at < len(t.source) {
		switch rest := t.source[t.at:]; {
		case rest[0] == '\\':
			t.at += 2
		case rest[0] == '`':
			t.at++
			t.isValue()
			return
		case strings.HasPrefix(rest, "${"):
			t.at += 2
			t.run++
			t.brackets, t.value = append(t.brackets, '`'), false
			return
		default:
			t.at++
		}
	}
}

// until is how much of a text there is up to the end of a mark.
func until(text, mark string) int {
	if i := strings.Index(text, mark); i >= 0 {
		return i + len(mark)
	}
	return len(text)
}

// quotedEnd is how long a string is, with its quotes.
func quotedEnd(text string, quote byte) int {
	for n := 1; n < len(text); n++ {
		switch text[n] {
		case '\\':
			n++
		case quote:
			return n + 1
		case '\n':
			return n
		}
	}
	return len(text)
}

// regexpEnd is how long a regular expression is.
func regexpEnd(text string) int {
	class := false
	for n := 1; n < len(text); n++ {
		switch c := text[n]; {
		case c == '\\':
			n++
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == '/' && !class:
			return n + 1
		case c == '\n':
			return n
		}
	}
	return len(text)
}
