package plan

import (
	"errors"
	"strings"
	"unicode/utf8"

	yaml "github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// kind is what a node is.
type kind string

const (
	null    kind = "nothing"
	scalar  kind = "a single value"
	listing kind = "a list"
	mapping kind = "a mapping"
)

// node is a value in a YAML file that knows its place. Nodes are shared where
// aliases are used.
type node struct {
	kind    kind
	place   place
	text    string   // of a scalar, before variables
	plain   bool     // a scalar without quotes
	source  []string // lines of the file
	entries []entry  // of a mapping
	items   []*node  // of a list
	size    int      // nodes below and including this one

	resolved *string // of a scalar, after variables
}

// entry is a key of a mapping and its value.
type entry struct {
	key   string
	place place
	value *node
}

// get finds the value of a key, nil when there is none.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// keys gives the keys of a mapping.
func (n *node) keys() []string {
	if n == nil {
		return nil
	}
	keys := make([]string, len(n.entries))
	for i, e := range n.entries {
		keys[i] = e.key
	}
	return keys
}

// at gives the place of a byte of a scalar's text: exact where the text stands
// in the file as it is, the right line in a block of text, the beginning of
// the value where it was written with escapes.
func (n *node) at(offset int) place {
	if n.kind != scalar || offset < 0 || offset > len(n.text) {
		return n.place
	}
	line, column := n.place.line, n.place.column
	head := strings.TrimLeft(n.line(line, column), `"'`)
	if strings.HasPrefix(head, n.text) {
		quotes := utf8.RuneCountInString(n.line(line, column)) - utf8.RuneCountInString(head)
		return place{n.place.file, line, column + quotes + utf8.RuneCountInString(n.text[:offset])}
	}
	begin := strings.LastIndex(n.text[:offset], "\n") + 1
	written, _, _ := strings.Cut(n.text[begin:], "\n")
	line += 1 + strings.Count(n.text[:offset], "\n")
	if indent := strings.Index(n.line(line, 1), written); indent >= 0 && written != "" {
		return place{n.place.file, line, 1 + indent + utf8.RuneCountInString(n.text[begin:offset])}
	}
	return n.place
}

// line gives a line of the file from a column on.
func (n *node) line(line, column int) string {
	if line < 1 || line > len(n.source) {
		return ""
	}
	text := []rune(n.source[line-1])
	return string(text[min(max(column-1, 0), len(text)):])
}

// parse turns the file of a plan into a tree; nil when there is a mistake.
func (r *report) parse(file string, data []byte) *node {
	root := r.tree(file, data)
	if root != nil && root.kind != mapping {
		r.add(root.place, "begin with name: and phases:", "a plan is a mapping of keys to values, not %s", root.kind)
		return nil
	}
	return root
}

// tree turns a file into a tree, whatever it holds; nil when there is a mistake.
func (r *report) tree(file string, data []byte) (root *node) {
	tokens := r.guard(file, data)
	if tokens == nil {
		if len(r.errs) == 0 {
			r.add(place{file, 1, 1}, "`resilience demo` writes a plan to start from", "the file is empty")
		}
		return nil
	}
	defer func() { // the library has panicked on malformed input before
		if p := recover(); p != nil {
			r.add(place{file, 1, 1}, "", "not YAML: %v", p)
			root = nil
		}
	}()
	parsed, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(file, err)
		return nil
	}
	return r.document(file, data, parsed)
}

// syntax reports an error of the YAML library.
func (r *report) syntax(file string, err error) {
	var positioned yaml.Error
	if errors.As(err, &positioned) {
		r.add(tokenPlace(file, positioned.GetToken()), "", "not YAML: %s", firstLine(positioned.GetMessage()))
		return
	}
	r.add(place{file, 1, 1}, "", "not YAML: %s", firstLine(err.Error()))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return unshield.Replace(line)
}

// document builds the tree of the only document of a file.
func (r *report) document(file string, data []byte, parsed *ast.File) *node {
	var body ast.Node
	for _, d := range parsed.Docs {
		if d.Body == nil {
			continue
		}
		if body != nil {
			r.add(nodePlace(file, d.Body), "give each plan its own file",
				"a second YAML document begins here; a plan is one document")
			return nil
		}
		body = d.Body
	}
	if body == nil {
		r.add(place{file, 1, 1}, "`resilience demo` writes a plan to start from", "the file is empty")
		return nil
	}
	before := len(r.errs)
	b := builder{report: r, file: file, source: strings.Split(string(data), "\n"), anchors: map[string]*node{}}
	root := b.build(body, 0)
	if len(r.errs) > before {
		return nil
	}
	return root
}

// builder turns the nodes of the library into a tree.
type builder struct {
	*report
	file    string
	source  []string
	anchors map[string]*node // nil while the anchored value is being built
	size    int              // nodes so far, aliases expanded
}

func (b *builder) build(n ast.Node, depth int) *node {
	out := &node{kind: null, place: nodePlace(b.file, n), source: b.source, size: 1}
	if n == nil {
		return out
	}
	if depth > maxDepth {
		b.add(out.place, "", "nested deeper than %d", maxDepth)
		return out
	}
	switch n := n.(type) {
	case *ast.NullNode:
	case *ast.MappingNode:
		b.mapping(out, n.Values, depth)
	case *ast.MappingValueNode:
		b.mapping(out, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		b.list(out, n.Values, depth)
	case *ast.AnchorNode:
		return b.anchor(n, depth)
	case *ast.AliasNode:
		return b.alias(n)
	case *ast.LiteralNode:
		out.kind, out.text = scalar, unshield.Replace(n.Value.Value)
	case *ast.StringNode:
		t := n.Token.Type
		out.kind, out.text = scalar, unshield.Replace(n.Value)
		out.plain = t != token.SingleQuoteType && t != token.DoubleQuoteType
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		out.kind, out.text, out.plain = scalar, n.GetToken().Value, true
	case *ast.TagNode:
		b.add(out.place, "leave it out", "tags such as %s are not used in plans", n.Start.Value)
	default:
		b.add(out.place, "", "%s is not used in plans", strings.ToLower(n.Type().String()))
	}
	return out
}

// nodePlace gives the place where a node begins: a mapping at its first key.
func nodePlace(file string, n ast.Node) place {
	if n == nil {
		return place{file, 1, 1}
	}
	t := n.GetToken()
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			t = n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		t = n.Key.GetToken()
	}
	return tokenPlace(file, t)
}

func (b *builder) list(out *node, values []ast.Node, depth int) {
	out.kind = listing
	for _, v := range values {
		item := b.build(v, depth+1)
		out.items = append(out.items, item)
		out.size += item.size
	}
}

func (b *builder) mapping(out *node, values []*ast.MappingValueNode, depth int) {
	out.kind = mapping
	seen := map[string]place{}
	var merged []*node
	for _, v := range values {
		value := b.build(v.Value, depth+1)
		out.size += value.size
		if v.Key.Type() == ast.MergeKeyType {
			merged = append(merged, b.merged(value)...)
			continue
		}
		at := tokenPlace(b.file, v.Key.GetToken())
		key, ok := b.key(v.Key)
		if first, twice := seen[key]; twice && ok {
			b.add(at, "", "the key %q is already in line %d", key, first.line)
		}
		seen[key] = at
		out.entries = append(out.entries, entry{key, at, value})
	}
	out.inherit(merged)
}

// key gives the text of a key.
func (b *builder) key(k ast.MapKeyNode) (string, bool) {
	n := b.build(k, 0)
	if explicit, is := k.(*ast.MappingKeyNode); is {
		n = b.build(explicit.Value, 0)
	}
	if n.kind != scalar {
		b.add(n.place, "", "a key is a word, not %s", n.kind)
		return "", false
	}
	return n.text, true
}
