package shadow

import (
	"bytes"
	"hash/maphash"
	"slices"
	"strconv"
)

// Values of a text have the places of the words before them, which both texts have. Of
// words that there are several times in a line, the one before them tells them apart,
// and then their number: "it is 10:31, your total is 12.00" has ~it~is and ~total~is.
// So noise at one value hides nothing at another. A place rests on the two texts alone:
// whatever it is, it is the same for the candidate's answer and for the baseline's
// second one, which is all that the test of noise asks for.

// maxAway is how far from its name a value may be, in words.
const maxAway = 16

// named finds the word that names what stands at a part: the nearest one before it in
// the line or text, of those that both texts have; -1 if there is none, and then how
// far it is from the beginning.
func (t *textual) named(i int32) (name, away int32) {
	if int(i) >= len(t.a.parts) {
		return -1, 0
	}
	run := t.a.parts[i].run
	for at := i - 1; at >= 0 && i-at <= maxAway; at-- {
		p := &t.a.parts[at]
		switch {
		case p.run != run:
			return -1, i - at
		case p.label && t.differs[at]: // the other text has another word there
			return -1, 0
		case p.label && t.maySecret(at):
			return -1, 0
		case p.label:
			return at, i - at
		}
	}
	if i < maxAway {
		return -1, i + 1
	}
	return -1, 0
}

// maySecret tells words that may be a secret, as they stand after the name of one.
func (t *textual) maySecret(at int32) bool {
	return at > 0 && t.a.parts[at-1].run == t.a.parts[at].run && t.r.comparer.names.isSecretText(t.a.word(&t.a.parts[at-1]))
}

// lineNames tells apart the words of a line, or of a text between tags, that may name a
// value.
type lineNames struct {
	run   int32
	first int32      // of its parts
	names []wordName // of its parts
}

// wordName is how a word names what is after it.
type wordName struct {
	key  uint64 // of the word, or of it and the one before it; 0 where it names nothing
	pair bool   // the one before it is a part of the name
	nth  int32  // such name of the line, from 1
}

// maxNth is the number of a name in its line from which on all are one.
const maxNth = 5

// nameOf tells how a word names what is after it.
func (t *textual) nameOf(i int32) wordName {
	if l := &t.line; len(l.names) == 0 || l.run != t.a.parts[i].run {
		l.first, l.run, l.names = i, t.a.parts[i].run, l.names[:0]
		for l.first > 0 && t.a.parts[l.first-1].run == l.run {
			l.first--
		}
		t.nameLine()
	}
	return t.line.names[i-t.line.first]
}

// nameLine names the words of a line.
func (t *textual) nameLine() {
	l, often := &t.line, map[uint64]int32{}
	l.names = slices.Grow(l.names, min(len(t.a.parts)-int(l.first), 64))
	for i := l.first; int(i) < len(t.a.parts) && t.a.parts[i].run == l.run; i++ {
		var n wordName
		if t.a.parts[i].label && !t.differs[i] {
			n.key = maphash.Bytes(seed, t.a.word(&t.a.parts[i]))
			often[n.key]++
		}
		l.names = append(l.names, n)
	}
	for i := len(l.names) - 1; i > 0; i-- {
		if n := &l.names[i]; n.key != 0 && often[n.key] > 1 && l.names[i-1].key != 0 {
			n.key, n.pair = mix(l.names[i-1].key, n.key), true
		}
	}
	clear(often)
	for i := range l.names {
		n := &l.names[i]
		often[n.key]++
		n.nth = min(often[n.key], maxNth)
	}
}

// maxLabels is how many words may name values of an element; where there are more, they
// are data.
const maxLabels = 32

// count counts the words that name something.
func (t *textual) count(p pairOf) {
	if p.name < 0 {
		return
	}
	node := t.a.parts[p.name].node
	if t.labels[node] == nil {
		t.labels[node] = map[uint64]bool{}
	}
	if n := t.nameOf(p.name); len(t.labels[node]) <= maxLabels {
		t.labels[node][mix(n.key, uint64(n.nth))] = true
	}
}

// Marks of the places of words.
const (
	// textMark is before the word that names a value of a text in a place. No name of
	// JSON has it there: appendName puts such a name in quotes.
	textMark  = ".~"
	otherText = ".~{key}" // where too many words name values
	pairMark  = "~"       // between two words that name a value together
)

// label gives the last part of the place of a pair: the word that names it, and how
// far that is if it is not the next.
func (t *textual) label(p pairOf) string {
	var kind partKind
	if p.a >= 0 {
		kind = t.a.parts[p.a].kind
	} else {
		kind = t.b.parts[p.b].kind
	}
	away := ""
	switch {
	case kind == partRest:
		return ".(rest)"
	case kind != partWord || t.a.table:
		return ""
	case p.number:
		away = "+n"
	case p.away > 1:
		away = "+" + strconv.Itoa(int(p.away))
	}
	switch {
	case p.name >= 0 && len(t.labels[t.a.parts[p.name].node]) > maxLabels:
		return otherText + away
	case p.name >= 0:
		return textMark + t.nameText(p.name) + away
	case away != "":
		return textMark + away
	}
	return ""
}

// nameText is a name as it stands in a place.
func (t *textual) nameText(i int32) string {
	n := t.nameOf(i)
	text := string(bytes.ToValidUTF8(t.a.word(&t.a.parts[i]), []byte("?")))
	if n.pair && !t.maySecret(i-1) {
		text = string(bytes.ToValidUTF8(t.a.word(&t.a.parts[i-1]), []byte("?"))) + pairMark + text
	}
	if n.nth > 1 && !t.a.json { // in which items of a list have the same names
		text += "(" + strconv.Itoa(int(n.nth)) + ")"
	}
	return text
}
