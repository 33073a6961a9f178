package plan

import (
	"github.com/goccy/go-yaml/ast"
)

// anchor builds a value with a name, so that aliases can refer to it.
func (b *builder) anchor(n *ast.AnchorNode, depth int) *node {
	name := n.Name.GetToken().Value
	b.anchors[name] = nil
	value := b.build(n.Value, depth+1)
	b.anchors[name] = value
	return value
}

// alias gives the value that an alias stands for. It is shared, so that aliases
// of aliases cost nothing here; its size is counted, so that what comes later
// is bounded.
func (b *builder) alias(n *ast.AliasNode) *node {
	at, name := tokenPlace(b.file, n.Start), n.Value.GetToken().Value
	value, known := b.anchors[name]
	switch {
	case !known:
		b.add(at, didYouMean(name, named(b.anchors)), "the alias *%s has no anchor &%s before it", name, name)
	case value == nil:
		b.add(at, "", "the alias *%s is inside of its own anchor, a cycle", name)
	default:
		if b.size += value.size; b.size <= maxNodes {
			return value
		}
		if b.size-value.size <= maxNodes {
			b.add(at, "write less with aliases", "aliases make the plan larger than %d values", maxNodes)
		}
	}
	return &node{kind: null, place: at, source: b.source, size: 1}
}

// merged gives the mappings that a merge key names.
func (b *builder) merged(value *node) []*node {
	switch value.kind {
	case mapping:
		return []*node{value}
	case listing:
		for _, item := range value.items {
			if item.kind != mapping {
				b.add(item.place, "", "<< wants mappings to merge, not %s", item.kind)
				return nil
			}
		}
		return value.items
	}
	if value.kind == null && len(b.errs) > 0 {
		return nil // a wrong alias, reported already
	}
	b.add(value.place, "write <<: *NAME", "<< wants a mapping to merge, not %s", value.kind)
	return nil
}

// inherit adds the keys of merged mappings that a mapping does not have itself.
// Of several, the first wins.
func (n *node) inherit(merged []*node) {
	have := map[string]bool{}
	for _, e := range n.entries {
		have[e.key] = true
	}
	for _, m := range merged {
		for _, e := range m.entries {
			if !have[e.key] {
				have[e.key] = true
				n.entries = append(n.entries, e)
			}
		}
	}
}
