package plan

import "fmt"

// decode reads one name or a list of them.
func (names *Names) decode(d *decoder, n *node, path string) {
	items := []*node{n}
	if n.kind == listing {
		items = n.items
	}
	for i, item := range items {
		at := path
		if n.kind == listing {
			at = fmt.Sprintf("%s[%d]", path, i)
		}
		d.values[at] = item
		if !d.wants(item, scalar, at, "write a name, or [a, b]") {
			continue
		}
		if text, ok := d.text(item, at); ok {
			d.placeholders(item, text, at, "")
			*names = append(*names, text)
		}
	}
}
