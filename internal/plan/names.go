package plan

import "fmt"

// decode reads one name or a list of them.
func (names *Names) decode(d *decoder, n *node, path string) {
	d.oneOrMore(n, path, func(item *node, at string) {
		if !d.wants(item, scalar, at, "write a name, or [a, b]") {
			return
		}
		if text, ok := d.text(item, at); ok {
			d.placeholders(item, text, at, "")
			*names = append(*names, text)
		}
	})
}

// decode reads one piece of evidence or a list of them.
func (triggers *Triggers) decode(d *decoder, n *node, path string) {
	d.oneOrMore(n, path, func(item *node, at string) {
		var t Trigger
		d.unit(item, &t, at)
		*triggers = append(*triggers, t)
	})
}

// oneOrMore reads what a list holds, or the one thing that stands in its place.
func (d *decoder) oneOrMore(n *node, path string, read func(item *node, at string)) {
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
		read(item, at)
	}
}
