package shadow

import (
	"bytes"
	"hash/maphash"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"
)

// A text is compared in parts: words and values, and of markup its elements. What
// follows a word until the next one is of the word.
type part struct {
	from, to, end int32 // of the text: the word or tag, and what follows it
	node          int32 // the element, comment or column it is in
	run           int32 // the number of the line or text it is in
	kind          partKind
	label         bool   // it may name the value after it
	hash          uint64 // of the word and what follows, without white space
	key           uint64 // of the word and the one before it
}

type partKind uint8

const (
	partWord partKind = iota
	partOpen          // the beginning of an element
	partEnd           // the end of one
	partData          // what a script of JSON holds
	partRest          // all that is beyond the limits
)

// maxParts is how many parts a text is compared in; what is beyond is one.
const maxParts = 1 << 18

// parted is a text in parts.
type parted struct {
	text    []byte
	parts   []part
	nodes   []partNode // the first is all of the text
	base    string     // the place of the first node
	json    bool       // it looks like JSON: what names a value is in quotes, before a colon
	table   bool       // it is one, and so in columns
	columns [][]byte   // their names, if they have some
	run     int32
	last    uint64 // hash of the word before, in the run
}

// reset begins with a text.
func (t *parted) reset(text []byte, place string) {
	*t = parted{text: text, parts: t.parts[:0], nodes: append(t.nodes[:0], partNode{parent: -1, hash: 1}), base: place}
}

// release keeps the memory, unless it is of an uncommonly great body.
func (t *parted) release() {
	*t = parted{parts: t.parts[:0], nodes: t.nodes[:0]}
	if cap(t.parts) > 1<<15 {
		t.parts, t.nodes = nil, nil
	}
}

// full reports whether no more parts are made.
func (t *parted) full() bool { return len(t.parts) >= maxParts }

// rest makes one part of all that follows.
func (t *parted) rest(from int) {
	if from >= len(t.text) || len(t.parts) > maxParts {
		return
	}
	h := mix(maphash.Bytes(seed, t.text[from:]), uint64(partRest))
	t.parts = append(t.parts, part{from: int32(from), to: int32(len(t.text)), end: int32(len(t.text)), kind: partRest, hash: h, key: h})
}

// newRun begins a line or another text: what is before names nothing in it.
func (t *parted) newRun() { t.run, t.last = t.run+1, 0 }

// words appends the words of text[from:to], which are in a node.
func (t *parted) words(from, to int, node int32) {
	for at := from; at < to; {
		if t.full() {
			return
		}
		begin, end, label := t.nextWord(from, at, to)
		next, line, h := t.gap(end, to, begin > from && isQuote(t.text[begin-1]) && end < to && t.text[end] == t.text[begin-1])
		h = mix(h, maphash.Bytes(seed, t.text[begin:end]))
		p := part{from: int32(begin), to: int32(end), end: int32(next), node: node, run: t.run, label: label, hash: h}
		p.key = mix(mix(t.last, h), t.nodes[node].hash)
		t.parts = append(t.parts, p)
		if t.last = h; line {
			t.newRun()
		}
		at = next
	}
}

// nextWord finds the word that begins at a position, and tells whether it may name the
// values that follow. What stands in quotes without any space is one, and so is what
// follows = or : up to a space, a bracket, a comma or a semicolon.
func (t *parted) nextWord(from, at, to int) (begin, end int, label bool) {
	before := byte(0)
	if at > from {
		before = t.text[at-1]
	}
	if isQuote(before) {
		if n := quotedLength(t.text[at:to], before); n > 0 {
			end = at + n
			return at, end, end+1 < to && (t.text[end+1] == ':' || t.text[end+1] == '=') && isLabel(t.text[at:end])
		}
	}
	value := before == '=' || before == ':'
	for end = at; end < to && !isBreak(t.text[end]); end++ {
		if !value && isMark(t.text[end]) && !(t.text[end] == ':' && end > at && end+1 < to && isDigit(t.text[end-1]) && isDigit(t.text[end+1])) {
			break
		}
	}
	if word := bytes.TrimRight(t.text[at:end], "."); len(word) > 0 { // of the sentence
		end = at + len(word)
	}
	short := end == at+1 && end < to && (t.text[end] == '=' || t.text[end] == ':') && isLetter(t.text[at])
	return at, end, !value && !t.json && (short || isLabel(t.text[at:end]))
}

// gap passes what is between two words: it ends where the next one begins. The hash
// is of all but white space, of which a new line counts. A quote at its beginning may
// be that of the word before.
func (t *parted) gap(from, to int, quoted bool) (next int, line bool, h uint64) {
	at := from
	for ; at < to; at++ {
		c := t.text[at]
		switch {
		case c == '\n':
			if !line {
				h = mix(h, '\n')
			}
			line = true
		case c == ' ' || c == '\t' || c == '\r':
		case isBreak(c) || isMark(c) || c == '.' && (at+1 == to || isBreak(t.text[at+1])):
			h = mix(h, uint64(c))
		default:
			return at, line, h
		}
		if isQuote(c) && !(quoted && at == from) && quotedLength(t.text[at+1:to], c) > 0 {
			return at + 1, line, h
		}
	}
	return at, line, h
}

func isQuote(c byte) bool { return c == '"' || c == '\'' }

// maxQuoted is the length of what is one word in quotes, in bytes.
const maxQuoted = 256

// quotedLength is how much there is up to the closing quote, 0 where that is no word.
func quotedLength(text []byte, quote byte) int {
	for i, c := range text[:min(len(text), maxQuoted)] {
		switch {
		case c == quote:
			return i
		case c <= ' ' || c == '<' || c == '>' || c == ',' || c == ';' || c == '"' || c == '\'':
			return 0
		}
	}
	return 0
}

// isBreak tells what ends each word.
func isBreak(c byte) bool { return breaks[c]&1 != 0 }

// isMark tells what ends a word that is no value.
func isMark(c byte) bool { return breaks[c]&2 != 0 }

var breaks = func() (table [256]uint8) {
	for c := range ' ' + 1 {
		table[c] = 1
	}
	for _, c := range []byte(`;,()[]{}<>"'|`) {
		table[c] = 1
	}
	for _, c := range []byte(`=:&?!*`) {
		table[c] = 2
	}
	return table
}()

// maxLabel is the length of a word that may name a value, in bytes.
const maxLabel = 32

// isLabel tells words that may name a value: of letters alone, as no id and no
// password that one ought to have is.
func isLabel(word []byte) bool {
	if len(word) < 2 || len(word) > maxLabel || !isLetter(word[0]) {
		return false
	}
	for _, c := range word {
		if !isLetter(c) && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf
}

// mediaOf is the type that an answer says it has, in lower case, "" for none.
func mediaOf(r Response) string {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind
}

// read makes the parts of a text, by what it says it is or looks like.
func (t *parted) read(text []byte, place, media string, form textForm) {
	t.reset(text, place)
	t.parts = slices.Grow(t.parts, min(len(text)/4, maxParts)+1)
	t.json, t.table = form == formJSON, form == formTable
	switch form {
	case formMarkup:
		t.markup(strings.Contains(media, "xml") && media != "application/xhtml+xml" || bytes.HasPrefix(text, []byte("<?xml")))
	case formTable:
		t.cells(media)
	default:
		t.words(0, len(bytes.TrimRight(text, " \t\r\n")), 0)
	}
	if t.full() {
		t.rest(int(t.parts[len(t.parts)-1].end))
	}
}

// textForm is how a text is read.
type textForm uint8

const (
	formPlain textForm = iota
	formMarkup
	formTable
	formJSON // which can not be read as such
)

// formOf tells how two texts are read, which must be in the same way.
func formOf(a, b []byte, media, media2 string) textForm {
	markup := func(media string) bool {
		return media == "text/html" || strings.HasSuffix(media, "/xml") || strings.HasSuffix(media, "+xml")
	}
	tag := func(text []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("<")) }
	switch {
	case markup(media) || markup(media2) || tag(a) && tag(b):
		return formMarkup
	case looksJSON(a) && looksJSON(b):
		return formJSON
	case isTable(a, media) && isTable(b, media2):
		return formTable
	}
	return formPlain
}
