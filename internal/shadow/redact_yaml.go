package shadow

import (
	"bytes"
	"strings"
)

// Values of YAML may have several lines: in quotes, after | or >, or further to the right
// than their name is. The lists and objects of a secret are secret, as those of JSON are.

// column is how far to the right a place is in its line.
func (t *textRedaction) column(at int) int {
	return at - 1 - bytes.LastIndexByte(t.in[:at], '\n')
}

// lineEnd is where the line ends that a place is in.
func (t *textRedaction) lineEnd(at int) int {
	if i := bytes.IndexByte(t.in[at:], '\n'); i >= 0 {
		return at + i
	}
	return len(t.in)
}

// deeper is where the lines end that follow the one that ends at a place, and begin at
// some column or further to the right. Empty lines at the end do not count.
func (t *textRedaction) deeper(end, column int) int {
	for at := end; at < len(t.in); {
		begin := at + 1
		at = t.lineEnd(begin)
		switch indent, empty := indentOf(t.in[begin:at]); {
		case empty:
		case indent < column:
			return end
		default:
			end = at
		}
	}
	return end
}

// indentOf is how far to the right a line begins, and whether nothing is in it.
func indentOf(line []byte) (indent int, empty bool) {
	rest := bytes.TrimLeft(line, " \t")
	return len(line) - len(rest), len(bytes.TrimSpace(rest)) == 0
}

// blockMark finds what makes the lines after it a text: | or >, after a tag or an
// anchor, with what tells how they begin and end. number says that they may begin anywhere.
func blockMark(value []byte) (mark byte, number bool) {
	value, _, _ = bytes.Cut(value, []byte(" #"))
	for _, word := range bytes.Fields(value) {
		switch {
		case word[0] == '!' || word[0] == '&':
			continue
		case (word[0] == '|' || word[0] == '>') && len(bytes.Trim(word[1:], "+-0123456789")) == 0:
			return word[0], bytes.ContainsAny(word, "0123456789")
		}
		return 0, false
	}
	return 0, false
}

// block redacts the lines after name: |, for a name that begins at a place and a value
// after it; 0 where there is no such mark.
func (t *textRedaction) block(start, value int) int {
	first := t.lineEnd(value)
	mark, number := blockMark(t.in[value:first])
	if mark == 0 {
		return 0
	}
	column := t.column(start) + 1
	if begin := first + spaceBefore(t.in[first:]); begin < len(t.in) && !number {
		column = max(column, t.column(begin))
	}
	end := t.deeper(first, column)
	if end == first {
		return first
	}
	from := first + spaceBefore(t.in[first:end])
	to := from + len(bytes.TrimRight(t.in[from:end], " \t\r\n"))
	return t.hideAs(from, to, unfolded(t.in[from:to], mark == '|', t.column(from)))
}

// unfolded is a text of several lines as it is meant: with its lines, or with spaces in
// place of their ends.
func unfolded(text []byte, lines bool, indent int) string {
	var all []string
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimRight(line, " \t\r")
		if lines && i > 0 {
			line = line[min(indent, len(line)-len(strings.TrimLeft(line, " \t"))):]
		}
		if !lines {
			line = strings.TrimLeft(line, " \t")
		}
		if lines || line != "" {
			all = append(all, line)
		}
	}
	if lines {
		return strings.Join(all, "\n")
	}
	return strings.Join(all, " ")
}

// yaml redacts the value, after a colon, of a name that begins at a place, and gives the
// place after it.
func (t *textRedaction) yaml(start, colon int) int {
	value := t.spaces(colon + 1)
	end := t.lineEnd(value)
	switch rest := bytes.TrimSpace(t.in[value:end]); {
	case len(rest) == 0 || rest[0] == '#':
		return t.nested(end, t.column(start))
	case rest[0] == '*' || rest[0] == '$' && isSecretName(string(rest)): // what is elsewhere
		return end
	}
	if after := t.block(start, value); after > 0 {
		return after
	}
	return t.scalar(value, t.deeper(end, t.column(start)+1))
}

// scalar redacts a value of YAML that ends with some line, or with its quote.
func (t *textRedaction) scalar(from, end int) int {
	if c := t.in[from]; c == '"' || c == '\'' {
		last := from + 1
		for last < len(t.in) && t.in[last] != c {
			if t.in[last] == '\\' && c == '"' {
				last++
			}
			last++
		}
		last = min(last, len(t.in))
		t.hideAs(from+1, last, t.plain(unfolded(t.in[from+1:last], false, 0)))
		return t.lineEnd(last)
	}
	text := t.in[from:end]
	if line, _, several := bytes.Cut(text, []byte("\n")); !several {
		if comment := bytes.Index(line, []byte(" #")); comment >= 0 {
			text = text[:comment]
		}
	}
	text = bytes.TrimRight(text, " \t\r\n")
	if len(bytes.Trim(text, "[]{} ")) == 0 {
		return end
	}
	return t.hideAs(from, from+len(text), unfolded(text, false, 0))
}

// nested redacts what is in the lines after one that ends at a place with the name of a
// secret, which is at some column: a value, a list, or an object.
func (t *textRedaction) nested(end, column int) int {
	first := end + spaceBefore(t.in[end:])
	if first >= len(t.in) {
		return end
	}
	is := t.column(first)
	if list := t.in[first] == '-' && first+1 < len(t.in) && isSpace(t.in[first+1]); is < column || is == column && !list {
		return end
	}
	if is > column && t.in[first] != '-' && t.keyEnd(first, t.lineEnd(first)) == 0 {
		return t.lone(first, column+1)
	}
	for at := first; at < len(t.in); {
		if c := t.column(at); c < is || c == is && is == column && t.in[at] != '-' {
			return at
		}
		at = max(t.item(at), t.lineEnd(at))
		at += spaceBefore(t.in[at:])
	}
	return len(t.in)
}

// item redacts an item of a list, a member of an object, or a value, and gives the place
// after it.
func (t *textRedaction) item(at int) int {
	column := t.column(at)
	for at+1 < len(t.in) && t.in[at] == '-' && (t.in[at+1] == ' ' || t.in[at+1] == '\t') {
		at = t.spaces(at + 1)
	}
	end := t.lineEnd(at)
	if colon := t.keyEnd(at, end); colon > 0 {
		name, _ := t.nameBefore(colon)
		value := bytes.TrimSpace(t.in[colon+1 : end])
		if known := t.w.r.names.of(string(name)); known.within || !known.text && isNumber(string(value)) {
			return end
		}
		return t.yaml(at, colon)
	}
	if at >= end || t.in[at] == '#' || t.in[at] == '-' {
		return end
	}
	return t.lone(at, column+1)
}

// lone redacts a value that stands without a name, in its line and in those that follow
// and begin at a column or further to the right.
func (t *textRedaction) lone(at, column int) int {
	if after := t.block(at, at); after > 0 {
		return after
	}
	return t.scalar(at, t.deeper(t.lineEnd(at), column))
}

// keyEnd finds the colon after the key that a line has from a place on; 0 for none.
func (t *textRedaction) keyEnd(at, end int) int {
	for colon := at; colon < end; colon++ {
		if t.in[colon] == ':' && (colon+1 == end || isSpace(t.in[colon+1])) {
			if name, start := t.nameBefore(colon); len(name) > 0 && start == at {
				return colon
			}
			return 0
		}
	}
	return 0
}

// yamlPair redacts the value in the line after one that says that it is the name of a
// secret: name: DB_PASSWORD, and then value: x.
func (t *textRedaction) yamlPair(start, colon int, role pairRole) int {
	end := t.lineEnd(colon)
	named := bytes.Trim(bytes.TrimSpace(t.in[colon+1:end]), `"'`)
	next := end + spaceBefore(t.in[end:])
	if len(named) > maxName || next >= len(t.in) || t.column(next) != t.column(start) || !t.w.r.mayNameSecret(string(named)) {
		return 0
	}
	after := t.lineEnd(next)
	second := t.keyEnd(next, after)
	if second == 0 {
		return 0
	}
	name, _ := t.nameBefore(second)
	other := t.w.r.names.of(string(name)).role
	value := bytes.Trim(bytes.TrimSpace(t.in[second+1:after]), `"'`)
	if other < pairOther || other == pairOther && role != pairName || isSecretLabel(value) || isNoSecret(value) {
		return 0
	}
	return t.yaml(next, second)
}
