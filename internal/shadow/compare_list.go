package shadow

import (
	"bytes"
	"cmp"
	"hash/maphash"
	"slices"
	"strconv"
)

// keyNames are the fields by which the items of a list are matched where no rule
// says how, the best first.
var keyNames = []string{"id", "uuid", "key", "sku", "code", "name"}

// list compares two lists. Items are matched by what tells them apart, else by
// being equal; what is left over is compared in its order.
func (r *comparison) list(x, y int32) {
	keep := len(r.kids)
	a := r.items(r.a, x)
	b := r.items(r.b, y)
	a, b = r.trimmed(a, b)
	declared := r.rules.keysOf(r.place)
	length := len(r.place)
	switch {
	case declared != nil && r.byKey(x, y, a, b, declared, true):
	case declared == nil && r.byFoundKey(x, y, a, b):
	default:
		r.byValue(x, y, a, b)
	}
	r.place, r.kids = r.place[:length], r.kids[:keep]
}

// items lists the nodes of a list's items.
func (r *comparison) items(t *jsonTree, list int32) []int32 {
	from := len(r.kids)
	for i := list + 1; i < t.nodes[list].next; i = t.nodes[i].next {
		r.kids = append(r.kids, i)
	}
	return r.kids[from:len(r.kids):len(r.kids)]
}

// trimmed leaves out what both lists begin and end with.
func (r *comparison) trimmed(a, b []int32) (x, y []int32) {
	for len(a) > 0 && len(b) > 0 && bytes.Equal(r.a.raw(a[0]), r.b.raw(b[0])) {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && bytes.Equal(r.a.raw(a[len(a)-1]), r.b.raw(b[len(b)-1])) {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return a, b
}

// byFoundKey compares by the first field that will do.
func (r *comparison) byFoundKey(x, y int32, a, b []int32) bool {
	if len(a) == 0 || len(b) == 0 || !allObjects(r.a, a) || !allObjects(r.b, b) {
		return false
	}
	for _, name := range keyNames {
		if r.byKey(x, y, a, b, []string{name}, false) {
			return true
		}
	}
	return false
}

func allObjects(t *jsonTree, items []int32) bool {
	for _, i := range items {
		if t.nodes[i].kind != jsonObject {
			return false
		}
	}
	return true
}

// byKey compares two lists whose items are told apart by fields. It does nothing
// and is false where an item lacks them, or two share them, or, unless that was
// declared, no item of one is in the other.
func (r *comparison) byKey(x, y int32, a, b []int32, fields []string, declared bool) bool {
	k, ok := keysOf(r.a, a, fields)
	if !ok {
		return false
	}
	l, ok := keysOf(r.b, b, fields)
	if !ok {
		return false
	}
	if slices.EqualFunc(k, l, bytes.Equal) { // in the same order: it matters little what they are
		r.inOrder(a, b)
		return true
	}
	where := make(map[string]int, len(l))
	for j, key := range l {
		where[string(key)] = j
	}
	match, matched := make([]int, len(a)), 0
	own := make(map[string]bool, len(k))
	for i, key := range k {
		own[string(key)] = true
		j, ok := where[string(key)]
		if match[i] = j; !ok {
			match[i] = -1
			continue
		}
		matched++
	}
	if len(where) < len(l) || len(own) < len(k) || matched == 0 && !declared {
		return false
	}
	r.matched(x, y, a, b, match)
	return true
}

// keysOf gives what tells each item apart; ok is false where an item has no such
// field, or one that is no string or number.
func keysOf(t *jsonTree, items []int32, fields []string) (keys [][]byte, ok bool) {
	keys = make([][]byte, len(items))
	for i, item := range items {
		for _, field := range fields {
			m := t.find(item, field)
			if m < 0 || t.nodes[m].kind != jsonString && t.nodes[m].kind != jsonNumber {
				return nil, false
			}
			if len(fields) == 1 {
				keys[i] = unquotedValue(t.raw(m))
				continue
			}
			keys[i] = append(append(keys[i], t.raw(m)...), 0)
		}
	}
	return keys, true
}

// find gives the member of that name, or -1.
func (t *jsonTree) find(object int32, name string) int32 {
	if t.nodes[object].kind != jsonObject {
		return -1
	}
	for i := object + 1; i < t.nodes[object].next; i = t.nodes[i].next {
		if string(t.name(i)) == name {
			return i
		}
	}
	return -1
}

// inOrder compares the first item with the first, and so on; what is left of the
// longer list is missing or added.
func (r *comparison) inOrder(a, b []int32) {
	r.place = append(r.place, "[]"...)
	both := min(len(a), len(b))
	for i := range both {
		r.value(a[i], b[i])
	}
	for _, i := range a[both:] {
		r.differ(Missing, r.a.raw(i), nil)
	}
	for _, j := range b[both:] {
		r.differ(Added, nil, r.b.raw(j))
	}
	r.place = r.place[:len(r.place)-len("[]")]
}

// matched compares the items of which match says which is which, -1 for none.
func (r *comparison) matched(x, y int32, a, b []int32, match []int) {
	if !ascending(match) {
		r.differ(Order, r.a.raw(x), r.b.raw(y))
	}
	r.place = append(r.place, "[]"...)
	taken := make([]bool, len(b))
	missing, added := 0, 0
	for i, j := range match {
		if j < 0 {
			missing++
			r.differ(Missing, r.a.raw(a[i]), nil)
			continue
		}
		taken[j] = true
		r.value(a[i], b[j])
	}
	for j, is := range taken {
		if !is {
			added++
			r.differ(Added, nil, r.b.raw(b[j]))
		}
	}
	if missing > 0 && added > 0 && missing != added { // else one of these tells it
		r.differ(Length, strconv.AppendInt(nil, int64(r.a.nodes[x].count), 10), strconv.AppendInt(nil, int64(r.b.nodes[y].count), 10))
	}
	r.place = r.place[:len(r.place)-len("[]")]
}

// ascending tells whether what is matched stands in the same order in both lists.
func ascending(match []int) bool {
	last := -1
	for _, j := range match {
		if j >= 0 {
			if j < last {
				return false
			}
			last = j
		}
	}
	return true
}

// hashed is an item with a hash of its value.
type hashed struct {
	hash uint64
	pos  int
}

// byValue compares two lists whose items nothing tells apart: equal ones are the
// same, and the rest is compared in its order.
func (r *comparison) byValue(x, y int32, a, b []int32) {
	if len(a) == 0 || len(b) == 0 || len(a) == 1 && len(b) == 1 {
		r.inOrder(a, b)
		return
	}
	match := matchEqual(r.hashes(r.a, a), r.hashes(r.b, b), len(a))
	if !ascending(match) {
		r.differ(Order, r.a.raw(x), r.b.raw(y))
	}
	taken := make([]bool, len(b))
	var restA, restB []int32
	for i, j := range match {
		if j < 0 {
			restA = append(restA, a[i])
			continue
		}
		taken[j] = true
	}
	for j, is := range taken {
		if !is {
			restB = append(restB, b[j])
		}
	}
	r.inOrder(restA, restB)
}

// matchEqual gives for each item of a the equal one of b, -1 for none; of several
// equal ones the first is the first.
func matchEqual(a, b []hashed, n int) []int {
	match := make([]int, n)
	for i := range match {
		match[i] = -1
	}
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].hash < b[0].hash:
			a = a[1:]
		case a[0].hash > b[0].hash:
			b = b[1:]
		default:
			match[a[0].pos] = b[0].pos
			a, b = a[1:], b[1:]
		}
	}
	return match
}

// hashes gives the hashes of items, sorted.
func (r *comparison) hashes(t *jsonTree, items []int32) []hashed {
	all := make([]hashed, len(items))
	for i, item := range items {
		all[i] = hashed{t.hash(item), i}
	}
	slices.SortFunc(all, func(p, q hashed) int { return cmp.Or(cmp.Compare(p.hash, q.hash), p.pos-q.pos) })
	return all
}

// seed makes hashes that nobody can foresee, so that nobody can make two values
// that differ and look equal.
var seed = maphash.MakeSeed()

// hash is the same for values that are equal, whatever the order of names, and
// different for others but for one of 2^64. It is computed once for each value:
// lists within lists would take long otherwise.
func (t *jsonTree) hash(n int32) uint64 {
	if len(t.hashes) == 0 {
		t.hashes = slices.Grow(t.hashes, len(t.nodes))[:len(t.nodes)]
		clear(t.hashes)
	}
	if t.hashes[n] == 0 {
		t.hashes[n] = t.newHash(n)
	}
	return t.hashes[n]
}

func (t *jsonTree) newHash(n int32) uint64 {
	node := &t.nodes[n]
	h := uint64(node.kind) + 1
	switch node.kind {
	case jsonObject:
		for i := n + 1; i < node.next; i = t.nodes[i].next {
			h += mix(maphash.Bytes(seed, t.name(i)), t.hash(i))
		}
	case jsonList:
		for i := n + 1; i < node.next; i = t.nodes[i].next {
			h = mix(h, t.hash(i))
		}
	case jsonString:
		h = maphash.Bytes(seed, unescapedJSON(t.raw(n)))
	default:
		h = mix(h, maphash.Bytes(seed, t.raw(n)))
	}
	return mix(h, uint64(node.kind))
}

// mix makes one hash of two that are not interchangeable (the finaliser of
// SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
func mix(a, b uint64) uint64 {
	z := a*0x9e3779b97f4a7c15 + b
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}
