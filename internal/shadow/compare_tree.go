package shadow

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"
	"unicode/utf8"
)

// jsonType is the type of a JSON value.
type jsonType uint8

const (
	jsonNull jsonType = iota
	jsonBool
	jsonNumber
	jsonString
	jsonList
	jsonObject
)

// jsonNode is a value within a tree. What is in a list or an object follows it; its
// siblings are found by next.
type jsonNode struct {
	start, end int32 // of its text
	name, stop int32 // of the text of its name, without quotes; both 0 in lists
	next       int32 // the node after all that is in it
	count      int32 // values in it
	kind       jsonType
	escaped    bool // its name has a backslash
}

// jsonTree is a JSON text, its values in the order in which they stand there. It
// takes 28 bytes for a value, and 8 where lists are out of order, whatever the text
// is.
type jsonTree struct {
	text   []byte
	nodes  []jsonNode
	hashes []uint64 // of the values, where one was asked for; 0 is not known
}

// Limits of what is compared as JSON; what exceeds them is compared as text.
const (
	jsonDepth = 1000
	jsonNodes = 1 << 20
	jsonBytes = 16 << 20
)

var (
	errNoJSON  = errors.New("not JSON")
	errTooDeep = errors.New("too deeply nested or too large to be compared as JSON")
)

// treePool keeps the memory of trees.
var treePool = sync.Pool{New: func() any { return new(jsonTree) }}

// release gives a tree back; nothing of it may be used afterwards.
func (t *jsonTree) release() {
	t.text = nil
	if cap(t.nodes) > 1<<16 {
		t.nodes, t.hashes = nil, nil // of an uncommonly great body
	}
	treePool.Put(t)
}

// parsed gives the tree of a body, whose text is given, or of another text.
func (b Body) parsed(text []byte) (*jsonTree, error) {
	if b.tree != nil && len(text) == len(b.Data) {
		return b.tree, nil
	}
	t := treePool.Get().(*jsonTree)
	return t, t.parse(text)
}

// unparsed releases what parsed gave, unless it is somebody else's.
func (b Body) unparsed(t *jsonTree) {
	if t != b.tree {
		t.release()
	}
}

// share parses a body that several will look at, if it is JSON.
func (b *Body) share() {
	if b.Cut || b.Damage != "" || !looksJSON(b.Data) {
		return
	}
	t := treePool.Get().(*jsonTree)
	if t.parse(b.Data) != nil {
		t.release()
		return
	}
	b.tree = t
}

// unshare releases what share parsed.
func (b *Body) unshare() {
	if b.tree != nil {
		b.tree.release()
		b.tree = nil
	}
}

// parse reads a text. Several values, one after the other, are a list of them.
func (t *jsonTree) parse(text []byte) error {
	t.text, t.nodes, t.hashes = text, t.nodes[:0], t.hashes[:0]
	if len(text) > jsonBytes {
		return errTooDeep
	}
	p := jsonParser{tree: t}
	p.space()
	if err := p.value(0); err != nil {
		return err
	}
	if p.space(); p.at == len(text) {
		return nil
	}
	return t.parseLines()
}

// parseLines reads values that follow one another, such as JSON lines.
func (t *jsonTree) parseLines() error {
	t.nodes = append(t.nodes[:0], jsonNode{kind: jsonList, end: int32(len(t.text))})
	p := jsonParser{tree: t}
	for count := int32(1); ; count++ {
		p.space()
		if p.at == len(t.text) {
			t.nodes[0].next, t.nodes[0].count = int32(len(t.nodes)), count-1
			return nil
		}
		if c := t.text[p.at]; c != '{' && c != '[' {
			return errNoJSON
		}
		if err := p.value(1); err != nil {
			return err
		}
	}
}

// raw gives the text of a node.
func (t *jsonTree) raw(n int32) []byte { return t.text[t.nodes[n].start:t.nodes[n].end] }

// name gives the name of a member of an object.
func (t *jsonTree) name(n int32) []byte {
	node := &t.nodes[n]
	if !node.escaped {
		return t.text[node.name:node.stop]
	}
	return unescapedJSON(t.text[node.name-1 : node.stop+1])
}

// unescapedJSON gives what a JSON string, with its quotes, stands for.
func unescapedJSON(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var s string
	if utf8.Valid(inner) && json.Unmarshal(quoted, &s) == nil {
		return []byte(s)
	}
	return inner // escapes beside bytes that are no UTF-8: taken as they are
}

// jsonParser reads a JSON text by the grammar of RFC 8259.
type jsonParser struct {
	tree *jsonTree
	at   int
}

func (p *jsonParser) space() {
	text := p.tree.text
	for p.at < len(text) {
		if c := text[p.at]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return
		}
		p.at++
	}
}

// value reads one value and appends its nodes.
func (p *jsonParser) value(depth int) error {
	if depth > jsonDepth || len(p.tree.nodes) >= jsonNodes {
		return errTooDeep
	}
	if p.at >= len(p.tree.text) {
		return errNoJSON
	}
	self := len(p.tree.nodes)
	p.tree.nodes = append(p.tree.nodes, jsonNode{start: int32(p.at)})
	kind, count, err := jsonNull, int32(0), error(nil)
	switch c := p.tree.text[p.at]; {
	case c == '{':
		kind = jsonObject
		count, err = p.object(depth)
	case c == '[':
		kind = jsonList
		count, err = p.list(depth)
	case c == '"':
		kind = jsonString
		_, err = p.quoted()
	case c == '-' || '0' <= c && c <= '9':
		kind = jsonNumber
		err = p.number()
	case c == 'n':
		err = p.word("null")
	case c == 't':
		kind = jsonBool
		err = p.word("true")
	case c == 'f':
		kind = jsonBool
		err = p.word("false")
	default:
		err = errNoJSON
	}
	node := &p.tree.nodes[self]
	node.kind, node.count, node.end, node.next = kind, count, int32(p.at), int32(len(p.tree.nodes))
	return err
}

func (p *jsonParser) word(w string) error {
	if !bytes.HasPrefix(p.tree.text[p.at:], []byte(w)) {
		return errNoJSON
	}
	p.at += len(w)
	return nil
}

// next takes one byte if it is the one.
func (p *jsonParser) next(c byte) bool {
	if p.at < len(p.tree.text) && p.tree.text[p.at] == c {
		p.at++
		return true
	}
	return false
}

func (p *jsonParser) list(depth int) (count int32, err error) {
	p.at++
	if p.space(); p.next(']') {
		return 0, nil
	}
	for {
		p.space()
		if err := p.value(depth + 1); err != nil {
			return 0, err
		}
		count++
		if p.space(); p.next(',') {
			continue
		}
		if p.next(']') {
			return count, nil
		}
		return 0, errNoJSON
	}
}

func (p *jsonParser) object(depth int) (count int32, err error) {
	p.at++
	if p.space(); p.next('}') {
		return 0, nil
	}
	for {
		if err := p.member(depth); err != nil {
			return 0, err
		}
		count++
		if p.space(); p.next(',') {
			continue
		}
		if p.next('}') {
			return count, nil
		}
		return 0, errNoJSON
	}
}

// member reads a name and its value.
func (p *jsonParser) member(depth int) error {
	if p.space(); p.at >= len(p.tree.text) || p.tree.text[p.at] != '"' {
		return errNoJSON
	}
	name := p.at + 1
	escaped, err := p.quoted()
	if err != nil {
		return err
	}
	stop := p.at - 1
	if p.space(); !p.next(':') {
		return errNoJSON
	}
	p.space()
	self := len(p.tree.nodes)
	if err := p.value(depth + 1); err != nil {
		return err
	}
	node := &p.tree.nodes[self]
	node.name, node.stop, node.escaped = int32(name), int32(stop), escaped
	return nil
}

// quoted reads a string. Bytes that are no UTF-8 are fine, as those that are not
// to be found in a string are not.
func (p *jsonParser) quoted() (escaped bool, err error) {
	text := p.tree.text
	for i := p.at + 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			p.at = i + 1
			return escaped, nil
		case c == '\\':
			escaped = true
			n := escapeLength(text[i:])
			if n == 0 {
				return false, errNoJSON
			}
			i += n - 1
		case c < ' ':
			return false, errNoJSON
		}
	}
	return false, errNoJSON
}

// escapeLength is that of the escape that a text begins with, 0 for none.
func escapeLength(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) >= 6 && allHex(text[2:6]) {
			return 6
		}
	}
	return 0
}

func allHex[T []byte | string](digits T) bool {
	for i := range len(digits) {
		if c := digits[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}

func (p *jsonParser) number() error {
	p.next('-')
	if !p.next('0') && p.digits() == 0 {
		return errNoJSON
	}
	if p.next('.') && p.digits() == 0 {
		return errNoJSON
	}
	if p.next('e') || p.next('E') {
		if !p.next('+') {
			p.next('-')
		}
		if p.digits() == 0 {
			return errNoJSON
		}
	}
	return nil
}

// digits takes all digits there are, and counts them.
func (p *jsonParser) digits() (n int) {
	text := p.tree.text
	for p.at < len(text) && '0' <= text[p.at] && text[p.at] <= '9' {
		p.at++
		n++
	}
	return n
}
