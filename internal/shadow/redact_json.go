package shadow

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth is how deep JSON may be nested. What is deeper is not understood.
const maxJSONDepth = 512

var errJSON = errors.New("it is not JSON")

// pathNode is a place in the tree of the paths that were declared.
type pathNode struct {
	members  map[string]*pathNode // in lower case; * for any
	elements *pathNode            // of an array
	end      bool                 // a path ends here: all of it is redacted
}

// readPaths reads "user.email", "cards[*].number", "$.items[*][*]".
func readPaths(paths []string) (*pathNode, error) {
	root := &pathNode{}
	for _, text := range paths {
		node, rest := root, strings.TrimPrefix(strings.TrimPrefix(text, "$"), ".")
		for rest != "" {
			if after, is := strings.CutPrefix(rest, "[*]"); is {
				if node.elements == nil {
					node.elements = &pathNode{}
				}
				node, rest = node.elements, strings.TrimPrefix(after, ".")
				continue
			}
			end := strings.IndexAny(rest, ".[")
			if end < 0 {
				end = len(rest)
			}
			name := strings.ToLower(rest[:end])
			if name == "" || strings.HasPrefix(rest[end:], "[") && !strings.HasPrefix(rest[end:], "[*]") || rest[end:] == "." {
				return nil, fmt.Errorf(`JSON path %q: write names with dots between them, and [*] for all of a list: "cards[*].number"`, text)
			}
			node = node.member(name)
			rest = strings.TrimPrefix(rest[end:], ".")
		}
		if node == root {
			return nil, fmt.Errorf("JSON path %q names nothing", text)
		}
		node.end = true
	}
	return root, nil
}

func (n *pathNode) member(name string) *pathNode {
	if n.members == nil {
		n.members = map[string]*pathNode{}
	}
	if n.members[name] == nil {
		n.members[name] = &pathNode{}
	}
	return n.members[name]
}

// jsonRedaction copies JSON and replaces secrets; numbers, order and white space
// of all else stay as they are. It reads bytes, because what encoding/json reads it
// would write otherwise.
type jsonRedaction struct {
	w    *redaction
	in   []byte
	at   int
	out  []byte
	kept int // of in, up to where out has it

	whole int // where the last value ends that was read

	numbers numberSecrecy // of the number, or the list of some, that comes next
	row     bool          // the list that comes next is in a list
}

// hiding says how much of a value is hidden.
type hiding byte

const (
	hideNothing hiding = iota
	hideTexts          // the name of it, or of what it is in, is that of a secret
	hideAll            // its path was declared
)

// json redacts a text of one or more JSON values. What is not JSON is an error.
func (w *redaction) json(text []byte) ([]byte, error) {
	j := &jsonRedaction{w: w, in: text}
	j.space()
	for j.at < len(j.in) {
		if err := j.value([]*pathNode{w.r.paths}, hideNothing, 0); err != nil {
			return nil, err
		}
		j.space()
	}
	if j.out == nil {
		return text, nil
	}
	return append(j.out, j.in[j.kept:]...), nil
}

func (j *jsonRedaction) space() {
	for j.at < len(j.in) && strings.IndexByte(" \t\r\n", j.in[j.at]) >= 0 {
		j.at++
	}
}

// next gives the next byte that is no space, 0 at the end.
func (j *jsonRedaction) next() byte {
	if j.space(); j.at < len(j.in) {
		return j.in[j.at]
	}
	return 0
}

// value reads a value that is at some nodes of the tree.
func (j *jsonRedaction) value(nodes []*pathNode, hidden hiding, depth int) error {
	err := j.oneValue(nodes, hidden, depth)
	if err == nil {
		j.whole = j.at
	}
	return err
}

func (j *jsonRedaction) oneValue(nodes []*pathNode, hidden hiding, depth int) error {
	if depth > maxJSONDepth {
		return fmt.Errorf("it is nested more than %d deep", maxJSONDepth)
	}
	for _, n := range nodes {
		if n.end {
			hidden = hideAll
		}
	}
	numbers, row := j.numbers, j.row
	j.numbers, j.row = plainNumber, false
	switch c := j.next(); {
	case c == '{':
		return j.object(nodes, hidden, depth)
	case c == '[':
		return j.array(nodes, hidden, numbers, row, depth)
	case c == '"':
		start := j.at
		text, err := j.text()
		if err == nil && hidden != hideNothing && text != "" {
			j.replace(start, text)
		} else if err == nil {
			j.inner(start, text)
		}
		return err
	case c == 0:
		return errJSON
	}
	start := j.at
	for j.at < len(j.in) && strings.IndexByte(",]} \t\r\n", j.in[j.at]) < 0 {
		j.at++
	}
	word := j.in[start:j.at]
	if !json.Valid(word) {
		return errJSON
	}
	switch {
	case word[0] == 'n': // null hides nothing
	case hidden == hideAll:
		j.replace(start, string(word))
	case numbers != plainNumber && (isDigit(word[0]) || word[0] == '-') && numbers.takes(string(word)):
		j.out = append(append(j.out, j.in[j.kept:start]...), j.w.hideNumber(string(word))...)
		j.kept = j.at
	}
	return nil
}

// replace puts a pseudonym in the place of a value that begins at start.
func (j *jsonRedaction) replace(start int, text string) {
	j.out = append(j.out, j.in[j.kept:start]...)
	j.out = append(append(append(j.out, '"'), j.w.credentials(text)...), '"')
	j.kept = j.at
}

// inner redacts what is in a string: JSON, as the messages of queues are, the query of a
// URL, which names secrets as that of a request does, or a text, as the queries of
// GraphQL are.
func (j *jsonRedaction) inner(start int, text string) {
	if strings.IndexByte(text, ':') < 0 && strings.IndexByte(text, '=') < 0 && strings.IndexByte(text, '>') < 0 && !strings.HasPrefix(text, "[") {
		return // most strings
	}
	clean := j.cleanText(text)
	if clean == text {
		return
	}
	quoted := k6JSON(clean)
	j.out = append(append(j.out, j.in[j.kept:start]...), quoted...)
	j.kept = j.at
}

func (j *jsonRedaction) cleanText(text string) string {
	if mayBeJSON([]byte(text)) {
		if clean, err := j.w.json([]byte(text)); err == nil {
			return string(clean)
		}
	}
	if queryOf(text) != nil {
		return j.w.url(text)
	}
	page := strings.Contains(text, "</")
	return string(j.w.text([]byte(text), textKind{pages: page, markup: page}))
}

func (j *jsonRedaction) object(nodes []*pathNode, hidden hiding, depth int) error {
	j.at++
	if j.next() == '}' {
		j.at++
		return nil
	}
	of := pair{begin: j.at}
	for {
		if j.next() != '"' {
			return errJSON
		}
		name, err := j.text()
		if err != nil {
			return err
		}
		if j.next() != ':' {
			return errJSON
		}
		j.at++
		known := j.w.r.names.of(name)
		inside := j.hides(name, known, hidden)
		if secret := j.member(&of, known.role); secret != "" {
			inside, known = max(inside, hideTexts), j.w.r.names.of(secret)
		}
		j.names(known)
		if err := j.value(membersOf(nodes, name), inside, depth+1); err != nil {
			return err
		}
		switch j.next() {
		case ',':
			j.at++
		case '}':
			j.at++
			return nil
		default:
			return errJSON
		}
	}
}

// names prepares for the number, or the list of some, after a name, which may be a
// secret by that name.
func (j *jsonRedaction) names(known nameSecrecy) {
	switch c := j.next(); {
	case c == '[':
		j.numbers = known.listed
	case isDigit(c) || c == '-':
		j.numbers = known.number
	}
}

// hides tells how much is hidden of the value after a name, in an object of which as
// much is hidden.
func (j *jsonRedaction) hides(name string, known nameSecrecy, within hiding) hiding {
	if c := j.next(); within == hideAll || c != '"' && c != '{' && c != '[' {
		return within
	}
	switch {
	case known.text || j.w.grant && name == "code":
		return hideTexts
	case known.within:
		return hideNothing
	}
	return within
}

func membersOf(nodes []*pathNode, name string) []*pathNode {
	var found []*pathNode
	lower := ""
	for _, n := range nodes {
		if n.members == nil {
			continue
		}
		if lower == "" {
			lower = strings.ToLower(name)
		}
		for _, key := range []string{lower, "*"} {
			if m := n.members[key]; m != nil {
				found = append(found, m)
			}
		}
	}
	return found
}

func (j *jsonRedaction) array(nodes []*pathNode, hidden hiding, numbers numberSecrecy, row bool, depth int) error {
	inside, name := elementsOf(nodes), ""
	if row {
		name = j.rowName()
	}
	j.at++
	if j.next() == ']' {
		j.at++
		return nil
	}
	for i := 0; ; i++ {
		if c := j.next(); isDigit(c) || c == '-' {
			j.numbers = numbers
		}
		if i == 1 && name != "" {
			hidden = max(hidden, hideTexts)
			j.names(j.w.r.names.of(name))
		}
		j.row = true
		if err := j.value(inside, hidden, depth+1); err != nil {
			return err
		}
		switch j.next() {
		case ',':
			j.at++
		case ']':
			j.at++
			return nil
		default:
			return errJSON
		}
	}
}

// text reads a string. Bytes that are no UTF-8 are taken as they are: whoever
// reads the body later may take them, too.
func (j *jsonRedaction) text() (string, error) {
	start := j.at
	escaped := false
	for j.at++; j.at < len(j.in); j.at++ {
		switch c := j.in[j.at]; {
		case c == '\\':
			escaped = true
			j.at++
		case c == '"':
			j.at++
			return unquoted(j.in[start:j.at], escaped)
		case c < ' ':
			return "", errJSON
		}
	}
	return "", errJSON
}

func unquoted(quoted []byte, escaped bool) (string, error) {
	inner := quoted[1 : len(quoted)-1]
	if !escaped {
		return string(inner), nil
	}
	if !utf8.Valid(inner) {
		return string(inner), nil
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "", errJSON
	}
	return s, nil
}
