package plan

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// jsonNumber is a number as JSON writes it (RFC 8259, section 6).
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// anything decodes a node as JSON would: maps, lists, text, numbers, true,
// false and nothing. Numbers keep their spelling, as [json.Number]; what JSON
// does not write as a number (0x1f, .5, 1_000) is text.
func (d *decoder) anything(n *node, path, allowed string) any {
	switch n.kind {
	case mapping:
		out := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			out[e.key] = d.anything(e.value, path+`["`+e.key+`"]`, allowed)
		}
		return out
	case listing:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = d.anything(item, fmt.Sprintf("%s[%d]", path, i), allowed)
		}
		return out
	case scalar:
		text, ok := d.text(n, path)
		if !ok {
			return nil
		}
		d.placeholders(n, text, path, allowed)
		return plainValue(text, n.plain)
	}
	return nil
}

func plainValue(text string, plain bool) any {
	switch {
	case !plain:
		return text
	case text == "true" || text == "false":
		return text == "true"
	case text == "null" || text == "~":
		return nil
	case jsonNumber.MatchString(text):
		return json.Number(text)
	}
	return text
}
