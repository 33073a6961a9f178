package shadow

import (
	"bytes"
	"strings"
)

// htmlAttributes is how many attributes of a tag are looked at.
const htmlAttributes = 32

// namedValue is a value in HTML that has a name: of a hidden field, or of a meta element,
// in which frameworks give the token that guards a form. It stands there with entities.
type namedValue struct {
	name     string
	from, to int // where its value stands
}

// namedValues finds them one after the other until each wants no more. It looks for tags
// alone, so that one in a comment or a script is taken, too: that hides too much rather
// than too little.
func namedValues(data []byte, each func(namedValue) (more bool)) {
	for at := 0; ; {
		next := bytes.IndexByte(data[at:], '<')
		if next < 0 {
			return
		}
		at += next + 1
		var named, valued string
		switch {
		case isTag(data[at:], "input"):
			named, valued, at = "name", "value", at+len("input")
		case isTag(data[at:], "meta"):
			named, valued, at = "name", "content", at+len("meta")
		default:
			continue
		}
		var found namedValue
		hidden := valued == "content"
		at = attributes(data, at, func(name string, from, to int) {
			switch text := string(data[from:min(to, from+256)]); {
			case name == "type":
				hidden = hidden || strings.EqualFold(text, "hidden")
			case name == named:
				found.name = text
			case name == valued:
				found.from, found.to = from, to
			}
		})
		if hidden && found.name != "" && found.to > found.from && !each(found) {
			return
		}
	}
}

// isTag reports whether a tag of that name begins there.
func isTag(data []byte, name string) bool {
	return len(data) > len(name) && bytes.EqualFold(data[:len(name)], []byte(name)) && strings.IndexByte(" \t\r\n\f/", data[len(name)]) >= 0
}

const htmlSpace = " \t\r\n\f"

// attributes reads those of a tag up to its end, or to that of the text, and gives where
// that is. Names are in lower case, values are where they stand, without quotes.
func attributes(data []byte, at int, each func(name string, from, to int)) (end int) {
	skip := func(some string) {
		for at < len(data) && strings.IndexByte(some, data[at]) >= 0 {
			at++
		}
	}
	until := func(some string) (from, to int) {
		from = at
		for at < len(data) && strings.IndexByte(some, data[at]) < 0 {
			at++
		}
		return from, at
	}
	for range htmlAttributes {
		skip(htmlSpace + "/")
		if at >= len(data) || data[at] == '>' {
			break
		}
		from, to := until(htmlSpace + "/>=")
		name := strings.ToLower(string(data[from:min(to, from+64)]))
		if skip(htmlSpace); at >= len(data) || data[at] != '=' {
			continue
		}
		at++
		skip(htmlSpace)
		if at >= len(data) {
			break
		}
		if quote := data[at]; quote == '"' || quote == '\'' {
			at++
			from, to = until(string(quote))
			at = min(at+1, len(data))
		} else {
			from, to = until(htmlSpace + ">")
		}
		each(name, from, to)
	}
	return at
}
