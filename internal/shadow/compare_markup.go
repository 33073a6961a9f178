package shadow

import (
	"bytes"
	"hash/maphash"
	"strconv"

	"golang.org/x/net/html"
)

// partNode is an element, a comment or a column that parts are in.
type partNode struct {
	parent   int32 // -1 of all of the text
	from, to int32 // of its tag; nothing of a column
	number   int32 // of a cell in its row, or of a column; 0 of others
	hash     uint64
}

// openDepth is how deep elements are told apart by what they are in.
const openDepth = 256

// open is an element that has not ended.
type open struct {
	name  uint64 // hash
	node  int32
	cells int32 // in it
}

// markupReader reads HTML and XML.
type markupReader struct {
	*parted
	z    *html.Tokenizer
	xml  bool
	open []open
	deep int  // elements beyond openDepth
	json bool // what is next is the content of a script of JSON
}

// markup reads HTML or XML: tags and words. It is as lenient as browsers are.
func (t *parted) markup(xml bool) {
	m := markupReader{parted: t, z: html.NewTokenizer(bytes.NewReader(t.text)), xml: xml, open: make([]open, 1, 32)}
	m.z.AllowCDATA(xml)
	for at := 0; !t.full(); {
		kind := m.z.Next()
		from := at
		at += len(m.z.Raw())
		t.newRun()
		data := m.json
		m.json = false
		switch kind {
		case html.ErrorToken:
			if at = min(at, len(t.text)); from < at || at < len(t.text) {
				t.words(from, len(t.text), m.top().node)
			}
			return
		case html.TextToken:
			m.text(from, at, data)
		case html.StartTagToken, html.SelfClosingTagToken:
			m.start(from, at, kind == html.SelfClosingTagToken)
		case html.EndTagToken:
			m.end(from, at)
		default: // comments and types of documents
			t.nodes = append(t.nodes, partNode{parent: m.top().node, from: int32(from), to: int32(at), hash: mix(t.nodes[m.top().node].hash, uint64(kind))})
			t.words(from, at, int32(len(t.nodes)-1))
		}
	}
}

func (m *markupReader) top() *open { return &m.open[len(m.open)-1] }

// text reads what is between tags, which may be data; white space alone is nothing.
func (m *markupReader) text(from, to int, data bool) {
	if data {
		m.data(from, to)
		return
	}
	for from < to && (m.parted.text[from] <= ' ') {
		from++
	}
	m.words(from, to, m.top().node)
}

// start reads the beginning of an element.
func (m *markupReader) start(from, to int, closed bool) {
	tag, more := m.z.TagName()
	name := maphash.Bytes(seed, tag)
	void := closed || !m.xml && voidTags[string(tag)]
	if !m.xml {
		m.endImplied(string(tag), name)
	} else {
		m.z.NextIsNotRawText()
	}
	script := !void && !m.xml && string(tag) == "script"
	cell := !m.xml && (string(tag) == "td" || string(tag) == "th")
	attributes, label, data := m.attributes(more)
	m.json = script && data && len(m.open) < openDepth
	node := partNode{parent: m.top().node, from: int32(from), to: int32(to)}
	if cell && m.deep == 0 {
		m.top().cells++
		node.number = m.top().cells
	}
	node.hash = mix(mix(m.nodes[node.parent].hash, mix(name, label)), uint64(node.number))
	m.nodes = append(m.nodes, node)
	number := int32(len(m.nodes) - 1)
	h := mix(mix(name, attributes), uint64(partOpen))
	m.parts = append(m.parts, part{from: int32(from), to: int32(to), end: int32(to), node: number, run: m.run, kind: partOpen, hash: h, key: mix(h, node.hash)})
	switch {
	case void:
	case len(m.open) >= openDepth:
		m.deep++
	default:
		m.open = append(m.open, open{name: name, node: number})
	}
}

// attributes gives a hash of the attributes, in any order, and of what tells the
// element from others, and tells whether its type is that of data.
func (m *markupReader) attributes(more bool) (all, label uint64, data bool) {
	best, typed := len(labelAttributes), false
	for more {
		var name, value []byte
		name, value, more = m.z.TagAttr()
		all += mix(maphash.Bytes(seed, name), maphash.Bytes(seed, value))
		if !typed && string(name) == "type" {
			typed, data = true, isDataScript(value)
		}
		if rank := labelRank(name); rank < best {
			if text := tagLabel(value); text != nil {
				best, label = rank, maphash.Bytes(seed, text)
			}
		}
	}
	return all, label, data
}

// end reads the end of an element, if one of its name has begun.
func (m *markupReader) end(from, to int) {
	tag, _ := m.z.TagName()
	name := maphash.Bytes(seed, tag)
	node := m.top().node
	if m.deep > 0 {
		m.deep--
	} else {
		for i := len(m.open) - 1; i > 0; i-- {
			if m.open[i].name == name {
				node, m.open = m.open[i].node, m.open[:i]
				break
			}
		}
	}
	h := mix(name, uint64(partEnd))
	m.parts = append(m.parts, part{from: int32(from), to: int32(to), end: int32(to), node: node, run: m.run, kind: partEnd, hash: h, key: mix(h, m.nodes[node].hash)})
}

// endImplied ends an element that ends where another one of its kind begins.
func (m *markupReader) endImplied(tag string, name uint64) {
	if !impliedTags[tag] {
		return
	}
	other := name
	if twin := twinTags[tag]; twin != "" {
		other = maphash.String(seed, twin)
	}
	for i := len(m.open) - 1; i > 0; i-- {
		switch m.open[i].name {
		case name, other:
			m.open = m.open[:i]
			return
		case listHash[0], listHash[1], listHash[2], listHash[3], listHash[4], listHash[5]:
			return
		}
	}
}

var (
	voidTags    = setOf("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
	impliedTags = setOf("p", "li", "dt", "dd", "option", "optgroup", "tr", "td", "th", "tbody", "thead", "tfoot")
	twinTags    = map[string]string{"td": "th", "th": "td", "dt": "dd", "dd": "dt"}
	listHash    = [...]uint64{
		maphash.String(seed, "table"), maphash.String(seed, "ul"), maphash.String(seed, "ol"),
		maphash.String(seed, "dl"), maphash.String(seed, "select"), maphash.String(seed, "div"),
	}
)

func setOf(names ...string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return set
}

// labelAttributes are those that tell an element from others of its name, the best
// first.
var labelAttributes = [...]string{"name", "property", "itemprop", "id", "class"}

func labelRank(name []byte) int {
	for i, label := range labelAttributes {
		if string(name) == label {
			return i
		}
	}
	return len(labelAttributes)
}

// tagLabel is the first word of an attribute that is no data, nil for none. It may begin
// with underscores, as __NEXT_DATA__ does.
func tagLabel(value []byte) []byte {
	for len(value) > 0 {
		word := value
		if i := bytes.IndexByte(value, ' '); i >= 0 {
			word, value = value[:i], value[i+1:]
		} else {
			value = nil
		}
		if (len(word) == 1 && isLetter(word[0]) || isLabel(bytes.TrimLeft(word, "_"))) && bytes.IndexByte(word, '.') < 0 {
			return word
		}
	}
	return nil
}

// maxElements is the length of the part of a place that names elements, in bytes; of
// longer ones the end is told.
const maxElements = 160

// place gives the place of a node.
func (t *parted) place(node int32) string {
	var names []string
	length := 0
	for ; node > 0; node = t.nodes[node].parent {
		name := t.nameOf(&t.nodes[node])
		if length += len(name) + 1; length > maxElements {
			names = append(names, ".…")
			break
		}
		names = append(names, name)
	}
	place := []byte(t.base)
	for i := len(names) - 1; i >= 0; i-- {
		place = append(place, names[i]...)
	}
	return string(place)
}

// nameOf gives the name of a node, with what is before it in a place.
func (t *parted) nameOf(n *partNode) string {
	if n.to == 0 {
		return t.columnOf(n.number)
	}
	raw := t.text[n.from:n.to]
	z := html.NewTokenizer(bytes.NewReader(raw))
	if kind := z.Next(); kind == html.CommentToken || kind == html.DoctypeToken || kind == html.ErrorToken {
		return ".(" + map[html.TokenType]string{html.CommentToken: "comment", html.DoctypeToken: "doctype"}[kind] + ")"
	}
	tag, more := z.TagName()
	name := "." + elementName(tag)
	best, label := len(labelAttributes), ""
	for more {
		var attribute, value []byte
		attribute, value, more = z.TagAttr()
		if rank := labelRank(attribute); rank < best {
			if text := tagLabel(value); text != nil {
				best, label = rank, string(bytes.ToValidUTF8(text, []byte("?")))
			}
		}
	}
	switch {
	case label != "":
		return name + "(" + label + ")"
	case n.number > 0:
		return name + "(" + strconv.Itoa(int(n.number)) + ")"
	}
	return name
}

// elementName is a name as it stands in a place.
func elementName(tag []byte) string {
	if len(tag) > maxName || !isPlain(tag) || bytes.ContainsAny(tag, "()") {
		return "{key}"
	}
	return string(tag)
}

// attribute is one of a tag.
type attribute struct{ name, value []byte }

// tagAttributes reads the attributes of a tag, each name once, and its own name.
func tagAttributes(raw []byte) (tag string, all []attribute) {
	z := html.NewTokenizer(bytes.NewReader(raw))
	z.Next()
	name, more := z.TagName()
	tag = string(name)
	seen := map[string]bool{}
	for more {
		var key, value []byte
		key, value, more = z.TagAttr()
		if !seen[string(key)] {
			seen[string(key)] = true
			all = append(all, attribute{bytes.Clone(key), bytes.Clone(value)})
		}
	}
	return tag, all
}
