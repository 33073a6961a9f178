package plan

import "reflect"

// decode reads a baseline in either form.
func (b *Baseline) decode(d *decoder, n *node, path string) {
	if n.kind == scalar {
		if text, ok := d.text(n, path); ok {
			b.Target = text
		}
		return
	}
	if n.kind != mapping {
		d.fail(path, n.place, "write for example: baseline: {runs: 5, first: record}", "a baseline wants the name of a target or a mapping, not %s", n.kind)
		return
	}
	d.value(n, reflect.ValueOf((*longBaseline)(b)).Elem(), path, "")
}
