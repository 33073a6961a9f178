package shadow

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
)

// textual compares two texts part by part.
type textual struct {
	r        *comparison
	a, b     *parted
	differs  []bool         // parts of a that b has not there
	moved    map[int32]bool // parts of b that stand elsewhere in a
	movedA   map[int32]bool
	line     lineNames                 // of the line that was looked at last
	labels   map[int32]map[uint64]bool // of each node, as far as they are told apart
	swapped  bool                      // a is of the candidate
	anything bool                      // differs
}

// text compares two texts that are not the same: where they differ is told by the
// elements that it is in, or by the word before. It makes no difference to the places
// which of them is the baseline's.
func (r *comparison) text(a, b Response, x, y []byte) {
	media, media2 := mediaOf(a), mediaOf(b)
	if differs, written := r.inParts(&r.texted, x, y, media, media2, formOf(x, y, media, media2)); !differs && written {
		r.differ(Format, fmt.Appendf(nil, "%d bytes", len(a.Body.Data)), fmt.Appendf(nil, "%d bytes", len(b.Body.Data)))
	}
}

// inParts compares two texts at the place, and tells whether anything differs but white
// space and quotes, and if not, whether these do.
func (r *comparison) inParts(room *[2]parted, x, y []byte, media, media2 string, form textForm) (differs, written bool) {
	t, spans := r.aligned(room, x, y, media, media2, form)
	defer t.release()
	place := string(r.place)
	t.compare(spans)
	r.at(place)
	return t.anything, !t.anything && !bytes.Equal(t.a.withoutData(), t.b.withoutData())
}

// aligned makes the parts of two texts, and finds where they are not the same.
func (r *comparison) aligned(room *[2]parted, x, y []byte, media, media2 string, form textForm) (*textual, []span) {
	t := &textual{r: r, a: &room[0], b: &room[1]}
	if t.swapped = bytes.Compare(x, y) > 0; t.swapped {
		x, y, media, media2 = y, x, media2, media
	}
	place := string(r.place)
	t.a.read(x, place, media, form)
	t.b.read(y, place, media2, form)
	l := alignment{a: t.a.parts, b: t.b.parts}
	l.find(span{0, int32(len(l.a)), 0, int32(len(l.b))}, byKeys)
	return t, l.spans
}

func (t *textual) release() {
	t.a.release()
	t.b.release()
}

// pairOf is a part with the one that stands in its place, -1 for none.
type pairOf struct {
	a, b   int32
	away   int32 // from the word that names it, 0 if that is not known
	name   int32 // that word, of a; -1 for none
	number bool  // a number, of which nobody knows how far away it is
}

func (t *textual) compare(spans []span) {
	t.differs = make([]bool, len(t.a.parts))
	for _, s := range spans {
		for i := s.a0; i < s.a1; i++ {
			t.differs[i] = true
		}
	}
	t.move(spans)
	t.labels = map[int32]map[uint64]bool{}
	var pairs []pairOf
	for _, s := range spans {
		pairs = t.pair(pairs, s)
	}
	if len(t.moved) > 0 {
		pairs = t.rejoin(pairs)
	}
	for _, p := range pairs {
		t.count(p)
	}
	for _, p := range pairs {
		t.tell(p)
	}
}

// move finds parts that are in both, but elsewhere. That is a matter of order.
func (t *textual) move(spans []span) {
	t.moved, t.movedA = map[int32]bool{}, map[int32]bool{}
	if len(spans) == 1 && spans[0].a1-spans[0].a0 <= 1 && spans[0].b1-spans[0].b0 <= 1 { // one word for another
		return
	}
	where := map[uint64][]int32{}
	for n, s := range spans {
		for j := s.b0; j < s.b1; j++ {
			h := t.moving(t.b, j)
			where[h] = append(where[h], j, int32(n))
		}
	}
	last, lastSpan := int32(-1), -1
	for n, s := range spans {
		if lastSpan != n {
			last, lastSpan = -1, n
		}
		for i := s.a0; i < s.a1; i++ {
			h := t.moving(t.a, i)
			at := where[h]
			if len(at) == 0 {
				continue
			}
			j, in := at[0], at[1]
			where[h] = at[2:]
			t.movedA[i], t.moved[j] = true, true
			if int(in) != n || j < last {
				t.note(t.a.parts[i].node, "", Order, t.a.word(&t.a.parts[i]), t.b.word(&t.b.parts[j]))
			}
			last = max(last, j)
		}
	}
}

// moving is a hash of a part where it does not matter what is before it.
func (t *textual) moving(of *parted, i int32) uint64 {
	return mix(of.parts[i].hash, of.nodes[of.parts[i].node].hash)
}

// shape is bucket, and whether a word is a number: "Lee" stands for no 12.00.
func (t *textual) shape(of *parted, i int32) uint64 {
	if t.isNumber(of, i) {
		return mix(t.bucket(of, i), 1)
	}
	return t.bucket(of, i)
}

// isNumber tells words that are, or begin with, a number: 12.00, -3, $5, #8127.
func (t *textual) isNumber(of *parted, i int32) bool {
	word := of.word(&of.parts[i])
	return of.parts[i].kind == partWord && (len(word) > 0 && isDigit(word[0]) || len(word) > 1 && isDigit(word[1]))
}

// isLateNumber tells numbers that words stand before in the line.
func (t *textual) isLateNumber(of *parted, i int32) bool {
	return i > 0 && of.parts[i-1].run == of.parts[i].run && t.isNumber(of, i)
}

// bucket is what parts that stand for one another have in common.
func (t *textual) bucket(of *parted, i int32) uint64 {
	return mix(uint64(of.parts[i].kind), of.nodes[of.parts[i].node].hash)
}

// pair takes together the parts of a span: one by one if they are of the same elements,
// else the first with the first of the same element and shape, and so on.
func (t *textual) pair(pairs []pairOf, s span) []pairOf {
	if t.alike(s) {
		return t.pairAlike(pairs, s)
	}
	name, _ := t.named(s.a0)
	waiting := map[uint64][]int32{}
	for j := s.b0; j < s.b1; j++ {
		if !t.moved[j] {
			h := t.shape(t.b, j)
			waiting[h] = append(waiting[h], j)
		}
	}
	taken := map[int32]bool{}
	for i := s.a0; i < s.a1; i++ {
		if t.movedA[i] {
			continue
		}
		h, j := t.shape(t.a, i), int32(-1)
		if some := waiting[h]; len(some) > 0 {
			j, waiting[h] = some[0], some[1:]
			taken[j] = true
		}
		pairs = append(pairs, pairOf{i, j, 0, t.nameFor(name, t.a, i), t.isLateNumber(t.a, i)})
	}
	for j := s.b0; j < s.b1; j++ {
		if !t.moved[j] && !taken[j] {
			pairs = append(pairs, pairOf{-1, j, 0, t.nameFor(name, t.b, j), t.isLateNumber(t.b, j)})
		}
	}
	return pairs
}

// alike tells spans whose parts are of the same elements, one by one.
func (t *textual) alike(s span) bool {
	if s.a1-s.a0 != s.b1-s.b0 {
		return false
	}
	for i, j := s.a0, s.b0; i < s.a1; i, j = i+1, j+1 {
		if t.movedA[i] != t.moved[j] || t.bucket(t.a, i) != t.bucket(t.b, j) {
			return false
		}
	}
	return true
}

// pairAlike takes together the first with the first. Each is as far from its name as
// the other.
func (t *textual) pairAlike(pairs []pairOf, s span) []pairOf {
	name, away := t.named(s.a0)
	for i := s.a0; i < s.a1; i++ {
		if i > s.a0 && t.a.parts[i].run != t.a.parts[i-1].run { // another line
			name, away = -1, 1
		} else if i > s.a0 {
			away++
		}
		if !t.movedA[i] {
			pairs = append(pairs, pairOf{i, s.b0 + i - s.a0, away, name, false})
		}
	}
	return pairs
}

// nameFor gives the word that names the parts of a span, if it names this one of them.
func (t *textual) nameFor(name int32, of *parted, i int32) int32 {
	if name >= 0 && t.bucket(of, i) == t.bucket(t.a, name) && (of == t.b || of.parts[i].run == t.a.parts[name].run) {
		return name
	}
	return -1
}

// rejoin pairs what is left over where parts have moved: it may have moved with them.
func (t *textual) rejoin(pairs []pairOf) []pairOf {
	waiting := map[uint64][]int32{}
	for _, p := range pairs {
		if p.a < 0 {
			h := t.bucket(t.b, p.b)
			waiting[h] = append(waiting[h], p.b)
		}
	}
	joined := map[int32]bool{}
	for i, p := range pairs {
		if p.b >= 0 {
			continue
		}
		if h := t.bucket(t.a, p.a); len(waiting[h]) > 0 {
			pairs[i].b, waiting[h] = waiting[h][0], waiting[h][1:]
			joined[pairs[i].b] = true
		}
	}
	return slices.DeleteFunc(pairs, func(p pairOf) bool { return p.a < 0 && joined[p.b] })
}

// word is the text of a part.
func (t *parted) word(p *part) []byte { return t.text[p.from:p.to] }

// tell notes how the parts of a pair differ.
func (t *textual) tell(p pairOf) {
	switch {
	case p.b < 0:
		of := &t.a.parts[p.a]
		t.note(of.node, t.label(p), Missing, t.a.shown(of), nil)
		return
	case p.a < 0:
		of := &t.b.parts[p.b]
		t.place(t.b, of.node, t.label(p))
		t.differ(Added, nil, t.b.shown(of))
		return
	}
	x, y := &t.a.parts[p.a], &t.b.parts[p.b]
	if x.kind == partOpen {
		t.tags(x, y)
		return
	}
	t.place(t.a, x.node, t.label(p))
	a, b := t.a.word(x), t.b.word(y)
	switch {
	case x.kind == partRest:
		t.differ(Changed, firstBytes(a, b), firstBytes(b, a))
	case x.kind == partData:
		t.data(a, b)
	case !bytes.Equal(a, b):
		t.words(a, b)
	default: // what is between words
		t.between(t.a.text[x.to:x.end], t.b.text[y.to:y.end])
	}
}

// words compares two words.
func (t *textual) words(a, b []byte) {
	t.anything = true
	if t.swapped {
		a, b = b, a
	}
	if len(a) <= maxHidden && len(b) <= maxHidden {
		t.r.texts(a, b, a, b)
		return
	}
	t.r.texts(a, b, firstText(a, b), firstText(b, a))
}

// firstText is a long word from shortly before where it differs from another.
func firstText(a, b []byte) []byte {
	begin := max(0, common(a, b)-maxExcerpt/4)
	return bytes.ToValidUTF8(a[begin:min(len(a), begin+maxExcerpt)], nil)
}

// between compares what stands between words.
func (t *textual) between(a, b []byte) {
	kind := Changed
	if bytes.Equal(bytes.Join(bytes.Fields(a), nil), bytes.Join(bytes.Fields(b), nil)) {
		kind = Format
	}
	t.differ(kind, strconv.AppendQuote(nil, excerpt(a)), strconv.AppendQuote(nil, excerpt(b)))
}

// tags compares the beginnings of two elements.
func (t *textual) tags(x, y *part) {
	name, a := tagAttributes(t.a.word(x))
	name2, b := tagAttributes(t.b.word(y))
	if name != name2 {
		t.note(x.node, "", Changed, t.a.shown(x), t.b.shown(y))
		return
	}
	values := map[string][]byte{}
	for _, at := range b {
		values[string(at.name)] = at.value
	}
	for _, at := range a {
		t.place(t.a, x.node, ".@"+elementName(at.name))
		value, both := values[string(at.name)]
		delete(values, string(at.name))
		switch {
		case !both:
			t.differ(Missing, at.value, nil)
		case !bytes.Equal(at.value, value):
			t.words(at.value, value)
		}
	}
	for _, at := range b {
		if _, only := values[string(at.name)]; only {
			t.place(t.a, x.node, ".@"+elementName(at.name))
			t.differ(Added, nil, at.value)
		}
	}
}

// shown is what is told of a part that is missing or added: of an element its name
// alone, and at least one byte.
func (t *parted) shown(p *part) []byte {
	switch {
	case p.kind == partOpen || p.kind == partEnd:
		raw := bytes.TrimSuffix(t.word(p), []byte(">"))
		if end := bytes.IndexAny(raw, " \t\r\n\f"); end >= 0 {
			raw = raw[:end]
		}
		return append(bytes.Clone(raw), '>')
	case p.from == p.to:
		return strconv.AppendQuote(nil, excerpt(t.text[p.to:p.end]))
	}
	return t.word(p)
}

// place goes to the place of a node.
func (t *textual) place(of *parted, node int32, label string) {
	t.r.place = append(append(t.r.place[:0], of.place(node)...), label...)
}

func (t *textual) note(node int32, label string, kind Kind, a, b []byte) {
	t.place(t.a, node, label)
	t.differ(kind, a, b)
}

// differ notes a difference, the other way round where the texts are.
func (t *textual) differ(kind Kind, a, b []byte) {
	t.anything = true
	if t.swapped {
		a, b = b, a
		switch kind {
		case Missing:
			kind = Added
		case Added:
			kind = Missing
		}
	}
	t.r.differ(kind, a, b)
}
