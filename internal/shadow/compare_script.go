package shadow

import (
	"bytes"
	"hash/maphash"
	"strings"
)

// Pages have data in scripts: the state of an application, or what search engines read
// (JSON-LD). Such a script is one part of the page, and what is in it is compared as a
// body of JSON is.

// isDataScript tells the types of scripts that are JSON.
func isDataScript(kind []byte) bool {
	media, _, _ := strings.Cut(strings.ToLower(string(kind)), ";")
	switch media = strings.TrimSpace(media); media {
	case "application/json", "text/json", "importmap", "speculationrules":
		return true
	}
	return strings.HasSuffix(media, "+json")
}

// data reads a script of data.
func (m *markupReader) data(from, to int) {
	text := m.parted.text
	end := to
	for from < to && text[from] <= ' ' {
		from++
	}
	for to > from && text[to-1] <= ' ' {
		to--
	}
	if from == to {
		return
	}
	node := m.top().node
	h := mix(maphash.Bytes(seed, text[from:to]), uint64(partData))
	m.parts = append(m.parts, part{from: int32(from), to: int32(to), end: int32(end), node: node, run: m.run, kind: partData, hash: h, key: mix(h, m.nodes[node].hash)})
}

// withoutData is a text without its scripts of data: in these it does not matter how
// something is written.
func (t *parted) withoutData() []byte {
	var out []byte
	at := int32(0)
	for _, p := range t.parts {
		if p.kind == partData {
			out = append(out, bytes.TrimRight(t.text[at:p.from], " \t\r\n\f")...)
			at = p.end
		}
	}
	return append(out, t.text[at:]...)
}

// data compares two scripts at the place: as JSON, or as texts where one of them is
// none.
func (t *textual) data(a, b []byte) {
	if t.swapped {
		a, b = b, a
	}
	if differs, ok := t.r.embeddedJSON(a, b); ok {
		t.anything = t.anything || differs
		return
	}
	var texts [2]parted
	differs, _ := t.r.inParts(&texts, a, b, "", "", formJSON)
	t.anything = t.anything || differs
}

// embeddedJSON compares two values of JSON within something else, and tells whether they
// differ, and whether both are some.
func (r *comparison) embeddedJSON(a, b []byte) (differs, ok bool) {
	x, y := treePool.Get().(*jsonTree), treePool.Get().(*jsonTree)
	defer x.release()
	defer y.release()
	if x.parse(a) != nil || y.parse(b) != nil {
		return false, false
	}
	outer, outer2, embedded, before := r.a, r.b, r.embedded, r.differed
	r.a, r.b, r.embedded, r.differed = x, y, true, false
	r.value(0, 0)
	differs = r.differed
	r.a, r.b, r.embedded, r.differed = outer, outer2, embedded, before || differs
	return differs, true
}
