package shadow

import (
	"bytes"
	"slices"
	"strconv"
)

// value compares two values at the place.
func (r *comparison) value(x, y int32) {
	a, b := r.a.raw(x), r.b.raw(y)
	if r.full || bytes.Equal(a, b) {
		return
	}
	kind := r.a.nodes[x].kind
	if kind != r.b.nodes[y].kind {
		r.differ(Type, a, b)
		return
	}
	switch kind {
	case jsonObject:
		r.object(x, y)
	case jsonList:
		r.list(x, y)
	case jsonString:
		if s, t := unescapedJSON(a), unescapedJSON(b); !bytes.Equal(s, t) {
			r.sentences(s, t, a, b)
		}
	case jsonNumber:
		r.numbers(a, b)
	default: // true and false
		r.differ(Changed, a, b)
	}
}

// numbers compares two numbers that are not written the same.
func (r *comparison) numbers(a, b []byte) {
	if sameNumber(a, b) {
		r.differ(Format, a, b)
		return
	}
	if r.moments(a, b, a, b) {
		return
	}
	if len(a) == len(b) {
		_, ok := timeOf(string(a))
		if _, ok2 := timeOf(string(b)); ok && ok2 {
			r.differ(Time, a, b)
			return
		}
	}
	r.differ(Changed, a, b)
}

// manyNames is how many members an object has that is taken for a table: its names
// are data, and all one place.
const manyNames = 200

// object compares two objects. As long as names come in the same order, which is
// nearly always, nothing must be looked up.
func (r *comparison) object(x, y int32) {
	m, n := &r.a.nodes[x], &r.b.nodes[y]
	table := max(m.count, n.count) > manyNames
	i, j := x+1, y+1
	for i < m.next && j < n.next && r.sameName(i, j) {
		if !bytes.Equal(r.a.raw(i), r.b.raw(j)) {
			r.member(r.a.name(i), table, func() { r.value(i, j) })
		}
		i, j = r.a.nodes[i].next, r.b.nodes[j].next
	}
	if i < m.next || j < n.next {
		r.disordered(i, m.next, j, n.next, table)
	}
}

func (r *comparison) sameName(i, j int32) bool {
	a, b := &r.a.nodes[i], &r.b.nodes[j]
	if !a.escaped && !b.escaped {
		return bytes.Equal(r.a.text[a.name:a.stop], r.b.text[b.name:b.stop])
	}
	return bytes.Equal(r.a.name(i), r.b.name(j))
}

// member does something at the place of a member of the object here.
func (r *comparison) member(name []byte, table bool, do func()) {
	length := len(r.place)
	r.place = appendName(r.place, name, table)
	if r.embedded && bytes.HasPrefix(r.place[length:], []byte(".@")) { // else it would be that of an attribute
		r.place = strconv.AppendQuote(r.place[:length+1], string(name))
	}
	do()
	r.place = r.place[:length]
}

// named is a member with its name, as bytes that may have been unescaped.
type named struct {
	name []byte
	node int32
}

// disordered compares members, from one node to another, in any order. Of a name
// that is there several times, the first is compared with the first, and so on.
func (r *comparison) disordered(i, iEnd, j, jEnd int32, table bool) {
	a, b := members(r.a, i, iEnd), members(r.b, j, jEnd)
	for len(a) > 0 || len(b) > 0 {
		switch order := nextName(a, b); {
		case order < 0:
			r.member(a[0].name, table, func() { r.differ(Missing, r.a.raw(a[0].node), nil) })
			a = a[1:]
		case order > 0:
			r.member(b[0].name, table, func() { r.differ(Added, nil, r.b.raw(b[0].node)) })
			b = b[1:]
		default:
			r.member(a[0].name, table, func() { r.value(a[0].node, b[0].node) })
			a, b = a[1:], b[1:]
		}
	}
}

// nextName tells which of two sorted lists has the next name.
func nextName(a, b []named) int {
	switch {
	case len(b) == 0:
		return -1
	case len(a) == 0:
		return 1
	}
	return bytes.Compare(a[0].name, b[0].name)
}

// members lists members sorted by name; those of one name stay in their order.
func members(t *jsonTree, from, end int32) []named {
	var all []named
	for i := from; i < end; i = t.nodes[i].next {
		all = append(all, named{t.name(i), i})
	}
	slices.SortStableFunc(all, func(p, q named) int { return bytes.Compare(p.name, q.name) })
	return all
}

// maxPlace is the length of a place, in bytes, within which no other is told apart.
const maxPlace = 512

// maxName is the length of a name that is taken for a field's, in bytes.
const maxName = 64

// appendName appends a member's name to a place: {key} where it looks like data.
func appendName(place, name []byte, table bool) []byte {
	if len(place) > maxPlace {
		return place
	}
	place = append(place, '.')
	switch {
	case table || isData(name):
		return append(place, "{key}"...)
	case isPlain(name):
		return append(place, name...)
	}
	return strconv.AppendQuote(place, string(name))
}

// isData tells names that are ids, dates, numbers or addresses, and so no field's.
func isData(name []byte) bool {
	if len(name) > maxName {
		return true
	}
	if bytes.IndexByte(name, '@') > 0 { // not @type and the like
		return true
	}
	letters, digits := 0, 0
	for _, c := range name {
		switch {
		case '0' <= c && c <= '9':
			digits++
		default:
			letters++
		}
	}
	switch {
	case digits == 0:
		return false
	case letters == 0:
		return true
	case len(name) < 10:
		return false
	}
	if _, ok := timeOf(string(name)); ok {
		return true
	}
	return len(name) >= 12 && allHex(name) || idShape(string(name)) != ""
}

// isPlain tells names that need no quotes in a place.
func isPlain(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c >= 0x7f || bytes.IndexByte([]byte(`."[]{}*\~`), c) >= 0 {
			return false
		}
	}
	return len(name) > 0
}
