package plan

import (
	"bytes"
	"unicode/utf8"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// Limits of a file. The YAML library takes quadratic time in the number of
// tokens and recurses as deep as a file is nested; so both are bounded before
// it parses anything.
const (
	maxBytes  = 1 << 20
	maxTokens = 40_000
	maxDepth  = 64
	maxNodes  = 100_000 // after aliases and includes
)

// guard refuses what must not reach the parser and gives the tokens of the
// rest; nil when there is a mistake.
func (r *report) guard(file string, data []byte) token.Tokens {
	start := place{file, 1, 1}
	if len(data) > maxBytes {
		r.add(start, "split it with include:", "the file is larger than 1 MiB")
		return nil
	}
	if at := invalid(data); at >= 0 {
		r.add(placeAt(file, data, at), "save it as UTF-8", "the file is not UTF-8 text")
		return nil
	}
	tokens := lexer.Tokenize(shieldAll(string(data)))
	if len(tokens) > maxTokens {
		r.add(tokenPlace(file, tokens[maxTokens]), "split it with include:, or keep rows in a data: file",
			"the file has more than %d words and signs", maxTokens)
		return nil
	}
	for _, t := range tokens {
		if t.Type == token.InvalidType {
			r.add(tokenPlace(file, t), "", "not YAML: %s", firstLine(t.Error))
			return nil
		}
	}
	if t := tooDeep(tokens); t != nil {
		r.add(tokenPlace(file, t), "", "nested deeper than %d", maxDepth)
		return nil
	}
	return tokens
}

// invalid gives the offset of the first byte that is not UTF-8 text, -1 when
// there is none. Control characters other than tab and line ends are not text.
func invalid(data []byte) int {
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		control := c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f
		if c == utf8.RuneError && size == 1 || control || nonCharacter(c) {
			return i
		}
		i += size
	}
	return -1
}

func placeAt(file string, data []byte, offset int) place {
	line := 1 + bytes.Count(data[:offset], []byte("\n"))
	begin := bytes.LastIndexByte(data[:offset], '\n') + 1
	return place{file, line, 1 + utf8.RuneCount(data[begin:offset])}
}

func tokenPlace(file string, t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{file, 1, 1}
	}
	return place{file, max(1, t.Position.Line), max(1, t.Position.Column)}
}

// tooDeep gives the token at which a file is nested too deep, nil when it is
// not. Depth is the number of open brackets and of columns at which something
// began that has not ended.
func tooDeep(tokens token.Tokens) *token.Token {
	var columns []int
	brackets := 0
	var before *token.Token
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets = max(0, brackets-1)
		}
		if brackets == 0 && begins(before, t) {
			for len(columns) > 0 && columns[len(columns)-1] >= t.Position.Column {
				columns = columns[:len(columns)-1]
			}
			columns = append(columns, t.Position.Column)
		}
		if brackets+len(columns) > maxDepth {
			return t
		}
		before = t
	}
	return nil
}

// begins reports whether a token can begin a list or mapping outside of
// brackets: the first of its line, or what follows "-" or "?".
func begins(before, t *token.Token) bool {
	return before == nil || before.Position.Line != t.Position.Line ||
		before.Type == token.SequenceEntryType || before.Type == token.MappingKeyType
}
