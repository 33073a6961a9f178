package gates

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError says what is wrong with a gate's sentence, and where.
type SyntaxError struct {
	Offset int    // bytes from the start of the sentence
	Msg    string // what is wrong and what to write instead
}

// Error gives the message with its column, counted from one.
func (e *SyntaxError) Error() string { return fmt.Sprintf("column %d: %s", e.Offset+1, e.Msg) }

// maxText is the longest sentence that is parsed, in bytes.
const maxText = 4096

// lexer reads the words of a sentence. It has no tokens of its own: the
// parser knows what may come next, and "-" means something else inside a name
// than beside "baseline".
type lexer struct {
	text string
	pos  int
}

// word is a name as it was written.
type word struct {
	text   string
	quoted bool
	at     int
}

func (l *lexer) fail(at int, format string, args ...any) *SyntaxError {
	return &SyntaxError{Offset: at, Msg: fmt.Sprintf(format, args...)}
}

func (l *lexer) space() {
	for l.pos < len(l.text) && strings.IndexByte(" \t\r\n", l.text[l.pos]) >= 0 {
		l.pos++
	}
}

func (l *lexer) done() bool {
	l.space()
	return l.pos == len(l.text)
}

// peek gives the next byte after spaces, 0 at the end.
func (l *lexer) peek() byte {
	if l.done() {
		return 0
	}
	return l.text[l.pos]
}

// take consumes the literal if it comes next.
func (l *lexer) take(literal string) bool {
	l.space()
	if !strings.HasPrefix(l.text[l.pos:], literal) {
		return false
	}
	l.pos += len(literal)
	return true
}

// keyword consumes the word if it comes next as a whole word.
func (l *lexer) keyword(want string) bool {
	start := l.pos
	if w, err := l.name(); err == nil && !w.quoted && w.text == want {
		return true
	}
	l.pos = start
	return false
}

// identifier reads an SLI's name: letters, digits, "_", "." and "-", where a
// "-" belongs to it only between letters, so that "baseline-10%" is read as
// it looks.
func (l *lexer) identifier() (word, *SyntaxError) {
	if l.peek() == '"' {
		return l.quoted()
	}
	start := l.pos
	for l.pos < len(l.text) {
		r, size := utf8.DecodeRuneInString(l.text[l.pos:])
		dash := r == '-' && l.pos > start && letterAt(l.text, l.pos+1)
		if !dash && r != '_' && r != '.' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		l.pos += size
	}
	return l.word(start)
}

// name reads a name: quoted, or letters, digits and "_-./:*{}".
func (l *lexer) name() (word, *SyntaxError) {
	if l.peek() == '"' {
		return l.quoted()
	}
	start := l.pos
	for l.pos < len(l.text) {
		r, size := utf8.DecodeRuneInString(l.text[l.pos:])
		if !plainRune(r) {
			break
		}
		l.pos += size
	}
	return l.word(start)
}

func (l *lexer) word(start int) (word, *SyntaxError) {
	if start == l.pos {
		if l.pos == len(l.text) {
			return word{}, l.fail(start, "a name is missing at the end")
		}
		r, _ := utf8.DecodeRuneInString(l.text[l.pos:])
		return word{}, l.fail(start, "a name is expected here, not %q; put names with other characters in quotes", r)
	}
	return word{text: l.text[start:l.pos], at: start}, nil
}

// quoted reads a name in double quotes; a backslash takes the next character
// as it is.
func (l *lexer) quoted() (word, *SyntaxError) {
	start := l.pos
	var b strings.Builder
	for i := start + 1; i < len(l.text); i++ {
		switch c := l.text[i]; {
		case c == '"':
			l.pos = i + 1
			if err := validText(b.String()); err != nil {
				return word{}, l.fail(start, "%v", err)
			}
			return word{text: b.String(), quoted: true, at: start}, nil
		case c == '\\' && i+1 < len(l.text):
			i++
			b.WriteByte(l.text[i])
		default:
			b.WriteByte(c)
		}
	}
	return word{}, l.fail(start, "a quote is not closed")
}

// digits reads a number as it is written, without its unit; ok is false when
// none comes next.
func (l *lexer) digits() (text string, at int, ok bool) {
	l.space()
	at, i, seen := l.pos, l.pos, false
	if i < len(l.text) && l.text[i] == '-' {
		i++
	}
	for dot := false; i < len(l.text); i++ {
		switch c := l.text[i]; {
		case c >= '0' && c <= '9':
			seen = true
			continue
		case c == '.' && !dot && seen:
			dot = true
			continue
		}
		break
	}
	if !seen {
		return "", at, false
	}
	l.pos = i
	return l.text[at:i], at, true
}

func letterAt(s string, i int) bool {
	if i >= len(s) {
		return false
	}
	r, _ := utf8.DecodeRuneInString(s[i:])
	return unicode.IsLetter(r)
}

func plainRune(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_-./:*{}", r))
}
