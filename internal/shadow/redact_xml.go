package shadow

import (
	"bytes"
	"strings"
)

// isXML tells XML from pages, whose elements have names for scripts and show texts.
func (k textKind) isXML() bool { return k.markup && !k.pages }

// isNaming tells attributes, and keys of YAML, whose value is a name: name="csrf_token"
// value="...".
func isNaming(name []byte) bool {
	return len(name) <= 8 && (bytes.EqualFold(name, []byte("name")) || bytes.EqualFold(name, []byte("id")) || bytes.EqualFold(name, []byte("key")) || bytes.EqualFold(name, []byte("property")))
}

// valueAttributes hold what an element that has a name is worth.
var valueAttributes = []string{"value", "content"}

// longestTag is how far from a name its value is looked for.
const longestTag = 4096

// named redacts the value of an element of HTML or XML whose attribute, which begins at
// a place, is the name of a secret. The value may stand before the name, and in XML be
// what is in the element, unless that is only called so by its id.
func (t *textRedaction) named(at int, quote string, id bool) int {
	size := bytes.Index(t.in[at:min(len(t.in), at+longestName+len(quote))], []byte(quote))
	if size <= 0 || !t.secret(t.in[at:at+size]) {
		return 0
	}
	from := max(t.kept, at-longestTag)
	start := bytes.LastIndexByte(t.in[from:at], '<')
	if start < 0 {
		return 0
	}
	start += from
	tag := t.in[start:min(len(t.in), start+2*longestTag)]
	end := bytes.IndexByte(tag, '>')
	if end >= 0 {
		tag = tag[:end]
	}
	for _, name := range valueAttributes {
		if value := attributeOf(tag, name); value > 0 {
			return t.quoted(start+value, quoteAfter(tag[value:]), true)
		}
	}
	if end > 0 && t.kind.isXML() && !id && tag[end-1] != '/' {
		return t.inElement(start + end + 1)
	}
	return 0
}

// attributeOf finds where the value of an attribute begins, with its quote; 0 for none.
func attributeOf(tag []byte, name string) int {
	for at := 1; ; {
		i := bytes.Index(tag[at:], []byte(name))
		if i < 0 {
			return 0
		}
		begin := at + i
		at = begin + len(name)
		if !isSpace(tag[begin-1]) {
			continue
		}
		value := at + spaceBefore(tag[at:])
		if value < len(tag) && tag[value] == '=' {
			value += 1 + spaceBefore(tag[value+1:])
			if quoteAfter(tag[value:]) != "" {
				return value
			}
		}
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// spaceBefore is how much white space a text begins with.
func spaceBefore(text []byte) int {
	return len(text) - len(bytes.TrimLeft(text, " \t\r\n"))
}

// element redacts <name>value</name>, of which the > is at a place, and in XML the value
// after <name>password</name>.
func (t *textRedaction) element(at int) int {
	end := at + 1
	for end < len(t.in) && t.in[end] != '<' && t.in[end] != '>' {
		end++
	}
	if end == at+1 || !bytes.HasPrefix(t.in[end:], []byte("</")) {
		return 0
	}
	name := t.in[end+2 : min(len(t.in), end+2+longestName)]
	size := bytes.IndexByte(name, '>')
	if size <= 0 {
		return 0
	}
	name = name[:size]
	tag := t.in[max(0, at-longestTag):at]
	tag = tag[bytes.LastIndexByte(tag, '<')+1:]
	local := name[bytes.LastIndexByte(name, ':')+1:]
	switch {
	case !bytes.HasPrefix(tag, name):
		return 0
	case t.secret(local):
		return t.hide(at+1, end)
	case t.kind.isXML() && isNaming(bytes.TrimPrefix(local, []byte("param-"))) && t.w.r.mayNameSecret(string(bytes.TrimSpace(t.in[at+1:end]))):
		if next := end + 2 + size + 1; t.valueTag(next) > 0 {
			return t.inElement(next)
		}
	}
	return 0
}

// inElement redacts a text in XML that begins at a place, or that of the element there
// which is called value.
func (t *textRedaction) inElement(at int) int {
	for range 3 { // <value><string>x</string></value>
		inside := t.valueTag(at)
		if inside == 0 {
			break
		}
		at = inside
	}
	at += spaceBefore(t.in[at:])
	size := bytes.IndexByte(t.in[at:], '<')
	if size <= 0 || !bytes.HasPrefix(t.in[at+size:], []byte("</")) {
		return 0
	}
	value := bytes.TrimRight(t.in[at:at+size], " \t\r\n")
	if isSecretLabel(value) {
		return at + size
	}
	return t.hide(at, at+len(value))
}

// valueElements hold what has a name.
var valueElements = []string{"value", "param-value", "val", "content", "string"}

// valueTag finds what is in the element at a place, if it is one of these; 0 otherwise.
func (t *textRedaction) valueTag(at int) int {
	at += spaceBefore(t.in[at:])
	if at >= len(t.in) || t.in[at] != '<' {
		return 0
	}
	size := bytes.IndexByte(t.in[at:min(len(t.in), at+longestName)], '>')
	if size < 0 {
		return 0
	}
	name, _, _ := bytes.Cut(t.in[at+1:at+size], []byte(" "))
	name = name[bytes.LastIndexByte(name, ':')+1:]
	for _, is := range valueElements {
		if strings.EqualFold(is, string(name)) {
			return at + size + 1
		}
	}
	return 0
}
