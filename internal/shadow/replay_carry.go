package shadow

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
)

// Values that an answer produced and later requests need are found by what they
// look like: a recorded answer holds a name of something (a UUID, a token, an
// ETag, the id in a field called id), the answer of a target holds another one at
// the same place, and a later recorded request of the same session holds the
// recorded one. Words such as "pending" and times are not names. A bare number is
// one only as the id of what it is the id of: 17 of POST /orders is put into
// /orders/17 and into fields called order_id, and not into /products/17. What both
// answers name has moved, as the items of a list that comes in another order do: it
// stands for itself. For what only a URL names, see path.

// Bounds of what is looked through.
const (
	carryBody   = 256 << 10 // bytes of a body
	carryValues = 200       // of one answer
	carryShort  = 6         // bytes of a value that is none of a field called id
)

// pairing pairs the names in a recorded answer with those at the same places of
// another one. Only what differs is looked at closely: that is little.
type pairing struct {
	asked      Request
	collection string // what it was about
	was, is    *jsonTree
	found      map[string]string // by what the recorded one is remembered by; see carryKey

	// What was found, by the text in the recorded and in the other answer; a number
	// with its field.
	before, after map[string][]string
	paths         bool   // parts of paths are there, too
	text          []byte // of what is looked for there
}

// carriedHeaders are headers of answers that name what was made.
var carriedHeaders = []string{"Etag", "X-Csrf-Token", "X-Auth-Token"}

// paired gives what stands in another answer for the names in a recorded one, which
// was parsed into a tree, nil where it is no JSON.
func paired(r Request, recorded, own Response, was *jsonTree) map[string]string {
	p := &pairing{asked: r, collection: collectionOf(r.Target), was: was}
	for _, name := range carriedHeaders {
		before, after := recorded.Header.Get(name), own.Header.Get(name)
		if before != "" && after != "" && before != after {
			p.note(scopeIfNumber(before, p.collection), before, after)
		}
	}
	p.headerURLs(recorded, own)
	if bytes.Equal(recorded.Body.Data, own.Body.Data) {
		return p.found
	}
	if was == nil {
		p.htmlPairs(recorded.Body, own.Body)
		return p.found
	}
	var mine bool
	if p.is, mine = treeOf(own.Body); p.is != nil {
		if mine {
			defer p.is.release()
		}
		p.pair(0, 0, nil)
		p.leaveOut(p.is, p.before)
		p.leaveOut(p.was, p.after)
	}
	return p.found
}

// leaveOut forgets what was found of the names that an answer holds.
func (p *pairing) leaveOut(t *jsonTree, names map[string][]string) {
	if len(names) == 0 {
		return
	}
	for n := range int32(len(t.nodes)) {
		if kind := t.nodes[n].kind; kind != jsonString && kind != jsonNumber {
			continue
		}
		for _, key := range names[string(p.nameIn(t, n))] {
			delete(p.found, key)
		}
		if p.paths {
			p.leavePath(t.raw(n), names)
		}
	}
}

// nameIn is the text of a value; a number is a name in its field alone.
func (p *pairing) nameIn(t *jsonTree, n int32) []byte {
	if t.nodes[n].kind == jsonString {
		return t.raw(n)
	}
	p.text = append(append(append(p.text[:0], t.name(n)...), ' '), t.raw(n)...)
	return p.text
}

// finds notes what stands for the name in a node of the recorded answer.
func (p *pairing) finds(was, is int32, scope, before, after string) {
	p.note(scope, before, after)
	p.stands(was, is, carryKey(scope, before))
}

// stands remembers by which texts something was found.
func (p *pairing) stands(was, is int32, key string) {
	before := string(p.nameIn(p.was, was)) // before the next one, which takes its room
	p.remember(before, string(p.nameIn(p.is, is)), key)
}

// remember remembers what was found by a text in the recorded and one in the other
// answer.
func (p *pairing) remember(before, after string, keys ...string) {
	if p.before == nil {
		p.before, p.after = map[string][]string{}, map[string][]string{}
	}
	p.before[before] = append(p.before[before], keys...)
	p.after[after] = append(p.after[after], keys...)
}

// treeOf gives the tree of a body, if it is JSON, whole and not too long; nil
// otherwise. Own tells that whoever asked releases it.
func treeOf(b Body) (t *jsonTree, own bool) {
	switch {
	case b.Cut || len(b.Data) > carryBody || !looksJSON(b.Data):
		return nil, false
	case b.tree != nil:
		return b.tree, false
	}
	t = treePool.Get().(*jsonTree)
	if t.parse(b.Data) != nil {
		t.release()
		return nil, false
	}
	return t, true
}

// pair goes through two values at the same place, in a field of that name. What is
// written the same is passed over: it names the same.
func (p *pairing) pair(was, is int32, field []byte) {
	a, b := &p.was.nodes[was], &p.is.nodes[is]
	if len(p.found) >= carryValues || a.kind != b.kind || bytes.Equal(p.was.raw(was), p.is.raw(is)) {
		return
	}
	switch a.kind {
	case jsonObject:
		p.members(was, is)
	case jsonList:
		x, y := was+1, is+1
		for x < a.next && y < b.next {
			p.pair(x, y, field)
			x, y = p.was.nodes[x].next, p.is.nodes[y].next
		}
	case jsonString, jsonNumber:
		p.scalar(was, is, string(field))
	}
}

// members pairs the members of two objects by name. Mostly they come in the same
// order.
func (p *pairing) members(was, is int32) {
	end, y := p.is.nodes[is].next, is+1
	for x := was + 1; x < p.was.nodes[was].next; x = p.was.nodes[x].next {
		name := p.was.name(x)
		if y >= end || !bytes.Equal(p.is.name(y), name) {
			for y = is + 1; y < end && !bytes.Equal(p.is.name(y), name); y = p.is.nodes[y].next { //nolint:revive // looks for it
			}
		}
		if y < end {
			p.pair(x, y, name)
			y = p.is.nodes[y].next
		}
	}
}

// scalar notes what stands for a name in a field.
func (p *pairing) scalar(was, is int32, field string) {
	scope := scopeOfField(field, p.collection)
	a, b := p.was.raw(was), p.is.raw(is)
	if a[0] != '"' {
		if scope != "" && isBareNumber(string(a)) && isBareNumber(string(b)) {
			p.finds(was, is, scope, string(a), string(b))
		}
		return
	}
	before, after := string(unescapedJSON(a)), string(unescapedJSON(b))
	p.path(before, after, urlOfLink)
	if namesSomething(field, before) && after != "" {
		p.finds(was, is, scopeIfNumber(before, scope), before, after)
		return
	}
	for _, key := range p.urls(before, after) {
		p.stands(was, is, key)
	}
}

// note remembers what stands for a recorded name.
func (p *pairing) note(scope, before, after string) {
	if p.found == nil {
		p.found = map[string]string{}
	}
	p.found[carryKey(scope, before)] = after
}

// carryKey is what a recorded value is remembered by. No value has the byte between.
func carryKey(scope, value string) string {
	if scope == "" {
		return value
	}
	return scope + "\x00" + value
}

func isBareNumber(text string) bool {
	return text != "" && len(text) <= 20 && strings.Trim(text, "0123456789") == ""
}

// scopeIfNumber confines a bare number that is shorter than others could be by
// chance.
func scopeIfNumber(value, scope string) string {
	if isBareNumber(value) {
		return scope
	}
	return ""
}

// scopeOfField is what the ids in a field are ids of: for id itself what the
// request was about, for order_id orders; "" for a field of no ids.
func scopeOfField(field, collection string) string {
	lower := strings.ToLower(field)
	switch base, is := strings.CutSuffix(lower, "id"); {
	case lower == "id":
		return collection
	case is && base != "" && (strings.HasSuffix(base, "_") || strings.HasSuffix(base, "-") || strings.HasSuffix(field, "Id") || strings.HasSuffix(field, "ID")):
		return plural(strings.Trim(base, "_-"))
	}
	return ""
}

// plural makes one word of what a field and a path call the same: category_id and
// /categories.
func plural(word string) string {
	switch base, is := strings.CutSuffix(word, "y"); {
	case is && base != "" && strings.IndexByte("aeiou", base[len(base)-1]) < 0:
		return base + "ies"
	case strings.HasSuffix(word, "ss"), strings.HasSuffix(word, "x"), strings.HasSuffix(word, "ch"), strings.HasSuffix(word, "sh"):
		return word + "es"
	case strings.HasSuffix(word, "s"):
		return word
	}
	return word + "s"
}

// collectionOf is what a path is about: its last part that is no name of one.
func collectionOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if !strings.ContainsAny(parts[i], "0123456789") {
			return plural(strings.ToLower(parts[i]))
		}
	}
	return ""
}

func lastSegment(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return ""
	}
	return u.Path[strings.LastIndexByte(u.Path, '/')+1:]
}

// jsonOf decodes a body that is JSON, whole and not too long.
func jsonOf(b Body) (any, bool) {
	if b.Cut || len(b.Data) == 0 || len(b.Data) > carryBody {
		return nil, false
	}
	if !looksJSON(b.Data) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(b.Data))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	return v, true
}
